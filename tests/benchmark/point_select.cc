#include <stdexcept>
#include <string>

#include "engine_db/postgres_connector.h"
#include "tests/benchmark/closed_loop.h"
#include "tests/benchmark/pgbench.h"
#include "tests/benchmark/scenarios.h"

namespace engine::db::bench {
namespace {

constexpr int kInFlight = 64;
constexpr int64_t kAccounts = 100'000;
constexpr const char* kSql = "SELECT abalance FROM pgbench_accounts WHERE aid = ?";

// As pgbench, every answer is looked at.
void Check(const Result& result) {
  if (result.rows().size() != 1) throw std::runtime_error("an account is missing");
}

Contender Asynchronous(const Environment& environment, PostgresAsyncConnector& connector, const std::string& socket) {
  return {.name = "gateway, " + socket + ", async " + std::to_string(kInFlight) + " in flight",
          .middle = environment.gateway().pid(),
          .run = [&connector](double seconds) {
            ClosedLoop loop(kInFlight, [&connector](Random& random) {
              return connector.async_execute(kSql, {RandomUpTo(kAccounts, random)});
            });
            return loop.Run(seconds);
          }};
}

Contender Synchronous(const Environment& environment, PostgresSyncConnector& connector, int threads) {
  return {.name = "gateway, TCP, sync " + std::to_string(threads) + (threads == 1 ? " thread" : " threads"),
          .middle = environment.gateway().pid(),
          .run = [&connector, threads](double seconds) {
            return RunThreads(threads, seconds, [&connector](Random& random) {
              Check(connector.execute(kSql, {RandomUpTo(kAccounts, random)}));
            });
          }};
}

}  // namespace

ScenarioResult RunPointSelect(const Environment& environment, const Rounds& rounds) {
  FillPgbenchTables(environment, 1);
  PostgresAsyncConnector by_tcp(environment.Target(), {.address = environment.gateway_tcp()});
  PostgresAsyncConnector by_unix(environment.Target(), {.address = environment.gateway_unix()});
  PostgresSyncConnector synchronous(environment.Target(), {.address = environment.gateway_tcp()});
  by_tcp.async_connect().future().get();
  by_unix.async_connect().future().get();
  synchronous.connect();

  std::vector<Contender> contenders = PgbenchContenders(environment, {.script = "select-only", .clients = kInFlight});
  const size_t first_of_gateway = contenders.size();
  contenders.push_back(Asynchronous(environment, by_tcp, "TCP"));
  contenders.push_back(Asynchronous(environment, by_unix, "unix socket"));
  contenders.push_back(Synchronous(environment, synchronous, 16));
  contenders.push_back(Synchronous(environment, synchronous, 1));

  ScenarioResult result{.name = "point-select", .unit = "statements"};
  result.series = Interleave(contenders, rounds, environment.postgres().pid());
  const Series& tcp = result.series[first_of_gateway];
  const Series& unix_socket = result.series[first_of_gateway + 1];
  const Series& pgbouncer = BestOfPgbouncer(result.series);
  result.comparisons = {Compare(tcp, pgbouncer, 1.0), Compare(unix_socket, pgbouncer), Compare(tcp, result.series[0])};
  return result;
}

}  // namespace engine::db::bench
