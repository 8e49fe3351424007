#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <concepts>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>

#include "engine_db/connector.h"
#include "tests/support/mock_connector.h"

namespace engine::db {
namespace {

using test::MockConnector;

using ::testing::_;
using ::testing::InSequence;
using ::testing::Return;

Result one_row(int64_t number) {
  return {RowBatch::from_rows({{.name = "loyaltyscore", .type_name = "bigint"}}, {{number}}), {.rowcount = 1}};
}

// What engine-core does with a connector that it knows by its interface only.
int64_t loyalty_score(DatabaseConnector& connector, std::string_view customer) {
  connector.connect();
  connector.begin();
  const Result result =
      connector.execute("SELECT count(*) AS loyaltyScore FROM loyaltyPoints WHERE customer_id = ?", {customer});
  connector.commit();
  connector.close();
  return result.rows()[0]["loyaltyscore"].as<int64_t>();
}

Async<int64_t> loyalty_score(AsyncDatabaseConnector& connector, std::string customer) {
  co_await connector.async_connect();
  co_await connector.async_begin();
  const Result result = co_await connector.async_execute(
      "SELECT count(*) AS loyaltyScore FROM loyaltyPoints WHERE customer_id = ?", parameters(customer));
  co_await connector.async_commit();
  co_await connector.async_close();
  co_return result.rows()[0]["loyaltyscore"].as<int64_t>();
}

class MockAsyncConnector : public AsyncDatabaseConnector {
 public:
  MOCK_METHOD(Async<void>, async_connect, (), (override));
  MOCK_METHOD(Async<Result>, async_execute, (std::string_view, const Parameters&, const CallOptions&), (override));
  MOCK_METHOD(Async<void>, async_begin, (const TransactionOptions&), (override));
  MOCK_METHOD(Async<void>, async_commit, (), (override));
  MOCK_METHOD(Async<void>, async_rollback, (), (override));
  MOCK_METHOD(Async<void>, async_close, (), (override));
};

TEST(US001Interface, MockConnectorIsUsedPolymorphically) {
  MockConnector mock;
  const InSequence in_this_order;
  EXPECT_CALL(mock, connect);
  EXPECT_CALL(mock, begin(_));
  EXPECT_CALL(mock, execute(_, Parameters{"c-17"}, _)).WillOnce(Return(one_row(42)));
  EXPECT_CALL(mock, commit);
  EXPECT_CALL(mock, close);
  EXPECT_EQ(loyalty_score(mock, "c-17"), 42);
}

TEST(US001Interface, MockAsyncConnectorIsUsedPolymorphically) {
  MockAsyncConnector mock;
  const auto done = [] { return Async<void>::completed(std::monostate{}); };
  const InSequence in_this_order;
  EXPECT_CALL(mock, async_connect).WillOnce(done);
  EXPECT_CALL(mock, async_begin(_)).WillOnce([&](const TransactionOptions&) { return done(); });
  EXPECT_CALL(mock, async_execute(_, Parameters{"c-17"}, _))
      .WillOnce([](std::string_view, const Parameters&, const CallOptions&) {
        return Async<Result>::completed(one_row(42));
      });
  EXPECT_CALL(mock, async_commit).WillOnce(done);
  EXPECT_CALL(mock, async_close).WillOnce(done);
  EXPECT_EQ(sync_wait(loyalty_score(mock, "c-17")), 42);
}

// A class that lacks a method, or has it with another signature, stays abstract: no object of it can be made.
class WithoutRollback : public DatabaseConnector {
 public:
  void connect() override {}
  Result execute(std::string_view, const Parameters&, const CallOptions&) override { return {}; }
  void begin(const TransactionOptions&) override {}
  void commit() override {}
  void close() override {}
};
class WithOtherRollback : public WithoutRollback {
 public:
  using WithoutRollback::rollback;
  void rollback(int /*levels*/) {}
};
class Complete : public WithoutRollback {
 public:
  void rollback() override {}
};

class AsyncWithoutClose : public AsyncDatabaseConnector {
 public:
  Async<void> async_connect() override { return Async<void>::completed(std::monostate{}); }
  Async<Result> async_execute(std::string_view, const Parameters&, const CallOptions&) override {
    return Async<Result>::completed(Result());
  }
  Async<void> async_begin(const TransactionOptions&) override { return async_connect(); }
  Async<void> async_commit() override { return async_connect(); }
  Async<void> async_rollback() override { return async_connect(); }
};
class AsyncComplete : public AsyncWithoutClose {
 public:
  Async<void> async_close() override { return async_connect(); }
};

TEST(US001Interface, AllMethodsMustBeProvided) {
  static_assert(std::is_abstract_v<DatabaseConnector>);
  static_assert(std::is_abstract_v<WithoutRollback>);
  static_assert(!std::is_abstract_v<Complete>);
  static_assert(std::is_abstract_v<AsyncDatabaseConnector>);
  static_assert(std::is_abstract_v<AsyncWithoutClose>);
  static_assert(!std::is_abstract_v<AsyncComplete>);
}

TEST(US001Interface, ASignatureThatDiffersDoesNotCompile) {
  // With `override` (and under -Woverloaded-virtual) it is an error at once; without, the class stays abstract.
  static_assert(std::is_abstract_v<WithOtherRollback>);
}

// The signatures are part of the contract with engine-core: a change fails here.
template <typename T>
concept SyncOperations = requires(T connector, std::string_view sql, const Parameters& list, const CallOptions& call,
                                  const TransactionOptions& transaction) {
  { connector.connect() } -> std::same_as<void>;
  { connector.execute(sql) } -> std::same_as<Result>;
  { connector.execute(sql, list) } -> std::same_as<Result>;
  { connector.execute(sql, list, call) } -> std::same_as<Result>;
  { connector.begin() } -> std::same_as<void>;
  { connector.begin(transaction) } -> std::same_as<void>;
  { connector.commit() } -> std::same_as<void>;
  { connector.rollback() } -> std::same_as<void>;
  { connector.close() } -> std::same_as<void>;
};
template <typename T>
concept AsyncOperations = requires(T connector, std::string_view sql, const Parameters& list, const CallOptions& call,
                                   const TransactionOptions& transaction) {
  { connector.async_connect() } -> std::same_as<Async<void>>;
  { connector.async_execute(sql) } -> std::same_as<Async<Result>>;
  { connector.async_execute(sql, list) } -> std::same_as<Async<Result>>;
  { connector.async_execute(sql, list, call) } -> std::same_as<Async<Result>>;
  { connector.async_begin() } -> std::same_as<Async<void>>;
  { connector.async_begin(transaction) } -> std::same_as<Async<void>>;
  { connector.async_commit() } -> std::same_as<Async<void>>;
  { connector.async_rollback() } -> std::same_as<Async<void>>;
  { connector.async_close() } -> std::same_as<Async<void>>;
};

TEST(US001Interface, SignaturesAreStable) {
  static_assert(SyncOperations<DatabaseConnector&>);
  static_assert(AsyncOperations<AsyncDatabaseConnector&>);
  static_assert(!SyncOperations<AsyncDatabaseConnector&>);
}

TEST(US001Interface, ConnectorsAreOwnedThroughTheInterface) {
  static_assert(std::has_virtual_destructor_v<DatabaseConnector>);
  static_assert(std::has_virtual_destructor_v<AsyncDatabaseConnector>);
  const std::unique_ptr<DatabaseConnector> held = std::make_unique<Complete>();
  EXPECT_EQ(held->execute("SELECT 1").rowcount(), 0);
}

}  // namespace
}  // namespace engine::db
