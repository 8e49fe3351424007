#ifndef ENGINE_DB_TESTS_FAULT_LINK_FAULT_TEST_H_
#define ENGINE_DB_TESTS_FAULT_LINK_FAULT_TEST_H_

#include <string>

#include "tests/fault/fault_test.h"

namespace engine::db::test {

inline constexpr RetryConfig kRetry{.max_attempts = 5, .initial_delay_ms = 1, .max_delay_ms = 50};

// What a link does to the rows of a table.
class LinkFaults : public FaultTest {
 protected:
  void SetUp() override { CreateTable("n int"); }
  [[nodiscard]] std::string Insert() const { return "INSERT INTO " + name() + " VALUES (?)"; }
};

}  // namespace engine::db::test

#endif  // ENGINE_DB_TESTS_FAULT_LINK_FAULT_TEST_H_
