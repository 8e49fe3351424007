#include "engine_db/error.h"

#include <gtest/gtest.h>

#include <exception>
#include <type_traits>

namespace engine::db {
namespace {

template <typename Expected>
void expect_thrown_as(ErrorKind kind) {
  ErrorInfo info;
  info.kind = kind;
  info.message = "why";
  info.sqlstate = "42P01";
  try {
    std::rethrow_exception(make_error(info));
  } catch (const Expected& error) {
    EXPECT_STREQ(error.what(), "why");
    EXPECT_EQ(error.sqlstate(), "42P01");
    EXPECT_EQ(error.kind(), kind);
  }
}

TEST(US009ErrorNormalization, EachKindHasItsClass) {
  expect_thrown_as<DatabaseConnectionError>(ErrorKind::kConnection);
  expect_thrown_as<DatabaseExecutionError>(ErrorKind::kExecution);
  expect_thrown_as<DatabaseTimeoutError>(ErrorKind::kTimeout);
  expect_thrown_as<DatabaseTransactionError>(ErrorKind::kTransaction);
  expect_thrown_as<DatabaseRequestError>(ErrorKind::kInvalidRequest);
}

TEST(US009ErrorNormalization, TheFourKindsCatchEverything) {
  static_assert(std::is_base_of_v<DatabaseExecutionError, DatabaseRequestError>);
  static_assert(std::is_base_of_v<DatabaseError, DatabaseConnectionError>);
  static_assert(std::is_base_of_v<std::runtime_error, DatabaseError>);
  EXPECT_THROW(throw_error({.kind = ErrorKind::kInvalidRequest}), DatabaseExecutionError);
}

TEST(US009ErrorNormalization, KindsAndOutcomesHaveNames) {
  EXPECT_EQ(to_string(ErrorKind::kTransaction), "transaction");
  EXPECT_EQ(to_string(Outcome::kNotExecuted), "not executed");
  EXPECT_EQ(to_string(Phase::kCommitting), "committing");
}

}  // namespace
}  // namespace engine::db
