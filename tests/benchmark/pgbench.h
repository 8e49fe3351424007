// The program pgbench: the driver of everything that is not the gateway.
#ifndef ENGINE_DB_TESTS_BENCHMARK_PGBENCH_H_
#define ENGINE_DB_TESTS_BENCHMARK_PGBENCH_H_

#include <string>
#include <vector>

#include "tests/benchmark/environment.h"
#include "tests/benchmark/measurement.h"

namespace engine::db::bench {

// Fills pgbench's tables: 100,000 accounts a unit of `scale`. Throws std::runtime_error.
void FillPgbenchTables(const Environment& environment, int scale);

struct PgbenchOptions {
  std::string script;  // a built-in one: "select-only", "tpcb-like"
  int clients = 1;
};

// pgbench straight to PostgreSQL with prepared statements, and through PgBouncer in each protocol mode that works with
// its transaction pooling. The former's name begins with "direct", those of the others with kPgbouncer.
inline constexpr const char* kPgbouncer = "PgBouncer";
std::vector<Contender> PgbenchContenders(const Environment& environment, const PgbenchOptions& options);

// The best of PgBouncer's series.
const Series& BestOfPgbouncer(const std::vector<Series>& all);

}  // namespace engine::db::bench

#endif  // ENGINE_DB_TESTS_BENCHMARK_PGBENCH_H_
