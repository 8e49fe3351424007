// What tests of the contract's own promises about faults stand on: plain calls, over a link to PostgreSQL that fails on
// command.
#ifndef ENGINE_DB_TESTS_FAULT_CONTRACT_FAULT_TEST_H_
#define ENGINE_DB_TESTS_FAULT_CONTRACT_FAULT_TEST_H_

#include <string>

#include "tests/integration/gateway_calls.h"
#include "tests/support/fault_proxy.h"

namespace engine::db::test {

class ContractFaultTest : public GatewayCallsTest {
 protected:
  void TearDown() override {
    proxy_.Heal();
    GatewayCallsTest::TearDown();
  }

  [[nodiscard]] FaultProxy& proxy() { return proxy_; }

  // A connection on this test's own pool through the proxy, with as many attempts and next to no delay between them; to
  // the database of all tests, if none is named.
  [[nodiscard]] std::string OpenFaulty(int attempts, int max_pool_size = 3, const std::string& dbname = "") {
    v1::ConnectRequest request = ConnectTo(max_pool_size);
    request.mutable_config()->set_host(proxy_.host());
    request.mutable_config()->set_port(proxy_.port());
    if (!dbname.empty()) request.mutable_config()->set_dbname(dbname);
    v1::RetrySettings& retry = *request.mutable_config()->mutable_retry();
    retry.set_max_attempts(attempts);
    retry.set_initial_delay_ms(1);
    retry.set_max_delay_ms(20);
    return Open(request);
  }

  FaultProxy::RuleId Fault(const std::string& statement, FaultPoint point, FaultAct act = FaultAct::kCut,
                           int times = 1) {
    return proxy_.Add({.statement = statement, .times = times, .point = point, .act = act, .bytes = 5});
  }

 private:
  FaultProxy proxy_{Postgres().host(), Postgres().port()};
};

}  // namespace engine::db::test

#endif  // ENGINE_DB_TESTS_FAULT_CONTRACT_FAULT_TEST_H_
