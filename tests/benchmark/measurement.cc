#include "tests/benchmark/measurement.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <sstream>

#include "tests/support/process.h"

namespace engine::db::bench {
namespace {

constexpr double kWarmUpSeconds = 0.5;

// Of one process; with those of its children that have ended, if wanted.
double ProcessCpu(pid_t pid, bool with_children) {
  const std::string stat = test::ReadFile("/proc/" + std::to_string(pid) + "/stat");
  const size_t name_end = stat.rfind(')');  // the name itself may hold anything
  if (name_end == std::string::npos) return 0;
  std::istringstream fields(stat.substr(name_end + 1));
  std::string skipped;
  constexpr int kFieldsBeforeTimes = 11;  // proc(5): from "state" (3) to "cmajflt" (13)
  for (int i = 0; i < kFieldsBeforeTimes; ++i) fields >> skipped;
  double user = 0;
  double system = 0;
  double children_user = 0;
  double children_system = 0;
  fields >> user >> system >> children_user >> children_system;
  const double ticks = user + system + (with_children ? children_user + children_system : 0);
  return ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

double UsedBy(int who) {
  rusage usage{};
  getrusage(who, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

Sample RunOnce(const Contender& contender, double seconds, pid_t postmaster) {
  const CpuSeconds before = ReadCpu(postmaster, contender.middle);
  const Contender::Work work = contender.run(seconds);
  const CpuSeconds after = ReadCpu(postmaster, contender.middle);
  const double to_us = 1e6 / std::max(work.operations, 1.0);
  return {.per_second = work.operations / work.seconds,
          .cpu_us = {.postgres = (after.postgres - before.postgres) * to_us,
                     .middle = (after.middle - before.middle) * to_us,
                     .driver = (after.driver - before.driver) * to_us}};
}

}  // namespace

CpuSeconds ReadCpu(pid_t postmaster, pid_t middle) {
  CpuSeconds cpu;
  cpu.postgres = ProcessCpu(postmaster, true);
  for (const pid_t backend : test::ChildrenOf(postmaster)) cpu.postgres += ProcessCpu(backend, false);
  if (middle != 0) cpu.middle = ProcessCpu(middle, false);
  cpu.driver = UsedBy(RUSAGE_SELF) + UsedBy(RUSAGE_CHILDREN);
  return cpu;
}

std::vector<Series> Interleave(const std::vector<Contender>& contenders, const Rounds& rounds, pid_t postmaster) {
  std::vector<Series> all;
  for (const Contender& contender : contenders) {
    std::cerr << "  warm-up: " << contender.name << std::endl;
    contender.run(std::min(kWarmUpSeconds, rounds.seconds));
    all.push_back({.name = contender.name});
  }
  for (int round = 1; round <= rounds.count; ++round) {
    std::cerr << "  round " << round << " of " << rounds.count << std::endl;
    for (size_t i = 0; i < contenders.size(); ++i) {
      all[i].samples.push_back(RunOnce(contenders[i], rounds.seconds, postmaster));
    }
  }
  return all;
}

double Median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

std::vector<double> Rates(const Series& series) {
  std::vector<double> rates;
  for (const Sample& sample : series.samples) rates.push_back(sample.per_second);
  return rates;
}

const Series& Best(const std::vector<Series>& all, const std::function<bool(const Series&)>& is_candidate) {
  const Series* best = nullptr;
  for (const Series& series : all) {
    if (!is_candidate(series)) continue;
    if (best == nullptr || Median(Rates(series)) > Median(Rates(*best))) best = &series;
  }
  return *best;
}

Comparison Compare(const Series& subject, const Series& baseline, std::optional<double> target) {
  std::vector<double> ratios;
  for (size_t i = 0; i < std::min(subject.samples.size(), baseline.samples.size()); ++i) {
    ratios.push_back(subject.samples[i].per_second / baseline.samples[i].per_second);
  }
  return {.subject = subject.name, .baseline = baseline.name, .ratio = Median(ratios), .target = target};
}

}  // namespace engine::db::bench
