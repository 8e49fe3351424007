// What a contender achieved, and how rounds of several contenders are run fairly.
#ifndef ENGINE_DB_TESTS_BENCHMARK_MEASUREMENT_H_
#define ENGINE_DB_TESTS_BENCHMARK_MEASUREMENT_H_

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace engine::db::bench {

// CPU time used since some fixed moment, in seconds: of PostgreSQL with its backends, of what stands in between, and of
// the driver (this process and the pgbench processes that have ended).
struct CpuSeconds {
  double postgres = 0;
  double middle = 0;
  double driver = 0;
};

// Reads them; `middle` is the gateway's or PgBouncer's process, 0 for none. A process's own clock ticks in 10 ms.
CpuSeconds ReadCpu(pid_t postmaster, pid_t middle);

// One round of one contender.
struct Sample {
  double per_second = 0;
  // CPU time an operation, in microseconds. Where others use the machine, it says more than the rate.
  CpuSeconds cpu_us = {};
};

// One way of doing the scenario's work.
struct Contender {
  std::string name;
  // The process between the driver and PostgreSQL; 0 for none.
  pid_t middle = 0;
  // Works for about so many seconds. Returns operations a second and the operations in all.
  struct Work {
    double operations = 0;
    double seconds = 0;
  };
  std::function<Work(double seconds)> run;
};

// All rounds of one contender.
struct Series {
  std::string name;
  std::vector<Sample> samples = {};
};

// One contender against another: the median of the rounds' ratios, since both of a round saw the same machine.
struct Comparison {
  std::string subject;
  std::string baseline;
  double ratio = 0;
  // What it should be at least, where something is promised.
  std::optional<double> target = {};
};

struct ScenarioResult {
  std::string name;
  std::string unit;  // what is counted: "statements"
  std::vector<Series> series = {};
  std::vector<Comparison> comparisons = {};
  // What else was seen, a line each, and whether all of it is as it should be.
  std::vector<std::string> notes = {};
  bool sound = true;
};

struct Rounds {
  double seconds = 3;  // a round of one contender
  int count = 5;
};

// Runs the contenders in turn (A B C A B C …), after a short round each that does not count. Says on stderr where it
// is.
std::vector<Series> Interleave(const std::vector<Contender>& contenders, const Rounds& rounds, pid_t postmaster);

double Median(std::vector<double> values);

// The rates of a series.
std::vector<double> Rates(const Series& series);

// Which of the series that `is_candidate` accepts has the best median rate. There must be one.
const Series& Best(const std::vector<Series>& all, const std::function<bool(const Series&)>& is_candidate);

Comparison Compare(const Series& subject, const Series& baseline, std::optional<double> target = std::nullopt);

}  // namespace engine::db::bench

#endif  // ENGINE_DB_TESTS_BENCHMARK_MEASUREMENT_H_
