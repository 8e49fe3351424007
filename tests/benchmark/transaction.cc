#include <string>

#include "engine_db/postgres_connector.h"
#include "tests/benchmark/closed_loop.h"
#include "tests/benchmark/pgbench.h"
#include "tests/benchmark/scenarios.h"

namespace engine::db::bench {
namespace {

constexpr int kWorkers = 16;
// A branch a worker, as TPC-B asks for: otherwise all of them would wait for one row's lock.
constexpr int kScale = kWorkers;

// pgbench's tpcb-like script.
Batch MakeTransaction(Random& random) {
  const int64_t account = RandomUpTo(int64_t{100'000} * kScale, random);
  const int64_t teller = RandomUpTo(int64_t{10} * kScale, random);
  const int64_t branch = RandomUpTo(kScale, random);
  const int64_t delta = RandomUpTo(10'001, random) - 5'001;
  return {
      {"UPDATE pgbench_accounts SET abalance = abalance + ? WHERE aid = ?", {{delta, account}}},
      {"SELECT abalance FROM pgbench_accounts WHERE aid = ?", {{account}}},
      {"UPDATE pgbench_tellers SET tbalance = tbalance + ? WHERE tid = ?", {{delta, teller}}},
      {"UPDATE pgbench_branches SET bbalance = bbalance + ? WHERE bid = ?", {{delta, branch}}},
      {"INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (?, ?, ?, ?, CURRENT_TIMESTAMP)",
       {{teller, branch, account, delta}}},
  };
}

}  // namespace

ScenarioResult RunTransaction(const Environment& environment, const Rounds& rounds) {
  FillPgbenchTables(environment, kScale);
  PostgresAsyncConnector connector(environment.Target(), {.address = environment.gateway_tcp()});
  connector.async_connect().future().get();

  std::vector<Contender> contenders = PgbenchContenders(environment, {.script = "tpcb-like", .clients = kWorkers});
  contenders.push_back({.name = "gateway, TCP, ExecuteBatch atomic, " + std::to_string(kWorkers) + " in flight",
                        .middle = environment.gateway().pid(),
                        .run = [&connector](double seconds) {
                          ClosedLoop loop(kWorkers, [&connector](Random& random) {
                            return connector.async_execute_batch(MakeTransaction(random), {.atomic = true});
                          });
                          return loop.Run(seconds);
                        }});

  ScenarioResult result{.name = "transaction", .unit = "transactions"};
  result.series = Interleave(contenders, rounds, environment.postgres().pid());
  result.comparisons = {Compare(result.series.back(), BestOfPgbouncer(result.series)),
                        Compare(result.series.back(), result.series.front())};
  result.sound =
      environment.postgres().Scalar(
          "SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(delta) FROM pgbench_history)"
          " AND (SELECT sum(bbalance) FROM pgbench_branches) = (SELECT sum(delta) FROM pgbench_history)") == "t";
  result.notes.emplace_back(result.sound ? "the books balance afterwards" : "THE BOOKS DO NOT BALANCE");
  return result;
}

}  // namespace engine::db::bench
