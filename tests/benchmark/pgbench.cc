#include "tests/benchmark/pgbench.h"

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <stdexcept>
#include <utility>

#include "tests/support/process.h"

namespace engine::db::bench {
namespace {

std::string RunPgbench(const Environment& environment, const std::string& host, int port,
                       const std::vector<std::string>& arguments) {
  const test::PostgresCluster& postgres = environment.postgres();
  test::ProcessOptions options;
  options.command = {test::PostgresProgram("pgbench"), "-h", host, "-p", std::to_string(port), "-U", postgres.user()};
  options.command.insert(options.command.end(), arguments.begin(), arguments.end());
  options.command.push_back(postgres.dbname());
  options.environment = {{"PGPASSWORD", postgres.password()}};
  const test::Completed completed = test::RunProgram(options, std::chrono::minutes(10));
  if (completed.exit_code != 0) throw std::runtime_error("pgbench failed:\n" + completed.out + completed.err);
  return completed.out;
}

// The number behind `label` in what pgbench prints.
double NumberAfter(const std::string& output, const std::string& label) {
  const size_t found = output.find(label);
  if (found == std::string::npos) throw std::runtime_error("pgbench did not print \"" + label + "\":\n" + output);
  return std::strtod(output.c_str() + found + label.size(), nullptr);
}

Contender MakeContender(const Environment& environment, const PgbenchOptions& options, bool direct,
                        const std::string& mode) {
  const std::string host = direct ? environment.postgres().host() : environment.pgbouncer().host();
  const int port = direct ? environment.postgres().port() : environment.pgbouncer().port();
  return {.name = (direct ? "direct" : kPgbouncer) + (", pgbench " + mode),
          .middle = direct ? 0 : environment.pgbouncer().pid(),
          .run = [=, &environment](double seconds) -> Contender::Work {
            const std::string clients = std::to_string(options.clients);
            const std::string output = RunPgbench(environment, host, port,
                                                  {"-n", "-b", options.script, "-M", mode, "-c", clients, "-j", "2",
                                                   "-T", std::to_string(std::lround(std::ceil(seconds)))});
            const double transactions = NumberAfter(output, "number of transactions actually processed: ");
            // It leaves the rate out when logging its clients in took all of the time, as on a busy machine's warm-up.
            if (transactions == 0) return {.operations = 0, .seconds = seconds};
            return {.operations = transactions, .seconds = transactions / NumberAfter(output, "tps = ")};
          }};
}

}  // namespace

void FillPgbenchTables(const Environment& environment, int scale) {
  RunPgbench(environment, environment.postgres().host(), environment.postgres().port(),
             {"-i", "-q", "-s", std::to_string(scale)});
}

std::vector<Contender> PgbenchContenders(const Environment& environment, const PgbenchOptions& options) {
  std::vector<Contender> contenders = {MakeContender(environment, options, true, "prepared"),
                                       MakeContender(environment, options, false, "simple"),
                                       MakeContender(environment, options, false, "extended")};
  if (environment.pgbouncer().keeps_prepared_statements()) {
    contenders.push_back(MakeContender(environment, options, false, "prepared"));
  }
  return contenders;
}

const Series& BestOfPgbouncer(const std::vector<Series>& all) {
  return Best(all, [](const Series& series) { return series.name.starts_with(kPgbouncer); });
}

}  // namespace engine::db::bench
