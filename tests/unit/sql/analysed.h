#ifndef ENGINE_DB_TESTS_UNIT_SQL_ANALYSED_H_
#define ENGINE_DB_TESTS_UNIT_SQL_ANALYSED_H_

#include <gtest/gtest.h>

#include <memory>
#include <string_view>

#include "server/sql/statement.h"

namespace engine::db::sql {

// A test that calls this fails for a text that is refused.
inline std::shared_ptr<const Statement> Analysed(std::string_view sql) {
  absl::StatusOr<std::shared_ptr<const Statement>> statement = Analyze(sql);
  EXPECT_TRUE(statement.ok()) << sql << ": " << statement.status();
  return statement.ok() ? *statement : nullptr;
}

}  // namespace engine::db::sql

#endif  // ENGINE_DB_TESTS_UNIT_SQL_ANALYSED_H_
