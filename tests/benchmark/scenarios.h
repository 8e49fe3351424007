// What is measured. Each fills the tables it needs, and throws std::exception when a contender fails.
#ifndef ENGINE_DB_TESTS_BENCHMARK_SCENARIOS_H_
#define ENGINE_DB_TESTS_BENCHMARK_SCENARIOS_H_

#include "tests/benchmark/environment.h"
#include "tests/benchmark/measurement.h"

namespace engine::db::bench {

// A SELECT by primary key, 64 in flight.
ScenarioResult RunPointSelect(const Environment& environment, const Rounds& rounds);

// A million rows of six columns, every cell read. A round is one whole result, however long it takes.
ScenarioResult RunStream(const Environment& environment, const Rounds& rounds);

// A TPC-B-like transaction from 16 workers.
ScenarioResult RunTransaction(const Environment& environment, const Rounds& rounds);

}  // namespace engine::db::bench

#endif  // ENGINE_DB_TESTS_BENCHMARK_SCENARIOS_H_
