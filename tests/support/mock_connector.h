// A connector as engine-core's own tests would have it.
#ifndef ENGINE_DB_TESTS_SUPPORT_MOCK_CONNECTOR_H_
#define ENGINE_DB_TESTS_SUPPORT_MOCK_CONNECTOR_H_

#include <gmock/gmock.h>

#include "engine_db/connector.h"

namespace engine::db::test {

class MockConnector : public DatabaseConnector {
 public:
  MOCK_METHOD(void, connect, (), (override));
  MOCK_METHOD(Result, execute, (std::string_view, const Parameters&, const CallOptions&), (override));
  MOCK_METHOD(void, begin, (const TransactionOptions&), (override));
  MOCK_METHOD(void, commit, (), (override));
  MOCK_METHOD(void, rollback, (), (override));
  MOCK_METHOD(void, close, (), (override));
};

}  // namespace engine::db::test

#endif  // ENGINE_DB_TESTS_SUPPORT_MOCK_CONNECTOR_H_
