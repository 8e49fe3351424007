// What people and programs see of a run.
#ifndef ENGINE_DB_TESTS_BENCHMARK_REPORT_H_
#define ENGINE_DB_TESTS_BENCHMARK_REPORT_H_

#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "tests/benchmark/measurement.h"

namespace engine::db::bench {

struct Report {
  std::vector<std::pair<std::string, std::string>> machine = {};
  Rounds rounds = {};
  std::vector<ScenarioResult> scenarios = {};
  std::string gateway_at_end = {};
};

void PrintTable(const Report& report, std::ostream& out);
void PrintJson(const Report& report, std::ostream& out);

// Whether every ratio with a target reached it, and every scenario was sound.
bool MeetsTargets(const Report& report);

}  // namespace engine::db::bench

#endif  // ENGINE_DB_TESTS_BENCHMARK_REPORT_H_
