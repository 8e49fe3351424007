// engine-db-bench: the gateway, PgBouncer and libpq side by side, in one run that brings its own servers.
#include <CLI/CLI.hpp>
#include <exception>
#include <iostream>
#include <map>
#include <string>

#include "tests/benchmark/environment.h"
#include "tests/benchmark/report.h"
#include "tests/benchmark/scenarios.h"

namespace {

using namespace engine::db::bench;  // NOLINT(google-build-using-namespace)

constexpr const char* kFooter = R"(
Scenarios:
  point-select  SELECT by primary key among 100,000 accounts, 64 in flight: the asynchronous connector (TCP and unix
                socket) and the synchronous one (16 threads, 1 thread) against pgbench with 64 clients, straight
                (prepared) and through PgBouncer (its best mode counts). Target: 1.0 x PgBouncer.
  stream        1,000,000 rows of 6 columns, every cell read: RowStream against libpq in single-row mode, text and
                binary; once with mixed types, once with fixed-width ones. A round is one whole result. Targets: 0.5 x
                libpq, the gateway's memory growing by less than 64 MiB.
  transaction   The TPC-B-like transaction of pgbench (3 updates, 1 select, 1 insert; scale 16) as one atomic
                ExecuteBatch, 16 in flight, against pgbench with 16 clients.

It starts a private PostgreSQL (fsync off), PgBouncer (transaction pooling) and the gateway, on loopback TCP, and
removes them afterwards. The CPU columns say what an operation costs PostgreSQL, what stands in between and the driver,
in microseconds.
Exit code: 0, 2 when a target is missed, 1 when something failed.)";

struct Scenario {
  const char* name;
  ScenarioResult (*run)(const Environment&, const Rounds&);
};
constexpr Scenario kScenarios[] = {
    {"point-select", RunPointSelect}, {"stream", RunStream}, {"transaction", RunTransaction}};

int Run(int argc, char** argv) {
  CLI::App app("Measures the gateway side by side with PgBouncer and libpq", "engine-db-bench");
  std::string wanted = "all";
  Rounds rounds;
  int pool_size = 20;
  bool json = false;
  app.add_option("--scenario", wanted, "point-select, stream, transaction or all")
      ->capture_default_str()
      ->check(CLI::IsMember({"point-select", "stream", "transaction", "all"}));
  app.add_option("--seconds", rounds.seconds, "of a round, for each contender; pgbench needs whole ones")
      ->capture_default_str()
      ->check(CLI::Range(1.0, 3600.0));
  app.add_option("--rounds", rounds.count, "how many")->capture_default_str()->check(CLI::Range(1, 1000));
  app.add_option("--pool-size", pool_size, "server connections of PgBouncer, and of the gateway")
      ->capture_default_str()
      ->check(CLI::Range(1, 400));
  app.add_flag("--json", json, "print JSON instead of a table");
  app.footer(kFooter);
  CLI11_PARSE(app, argc, argv);

  const Environment environment(pool_size);
  Report report{.machine = environment.Describe(), .rounds = rounds};
  for (const Scenario& scenario : kScenarios) {
    if (wanted != "all" && wanted != scenario.name) continue;
    std::cerr << scenario.name << std::endl;
    report.scenarios.push_back(scenario.run(environment, rounds));
  }
  report.gateway_at_end = environment.DescribeGateway();
  json ? PrintJson(report, std::cout) : PrintTable(report, std::cout);
  return MeetsTargets(report) ? 0 : 2;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return Run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "engine-db-bench: " << error.what() << "\n";
    return 1;
  }
}
