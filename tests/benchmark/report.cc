#include "tests/benchmark/report.h"

#include <algorithm>
#include <iomanip>
#include <nlohmann/json.hpp>

namespace engine::db::bench {
namespace {

constexpr int kNameWidth = 46;
constexpr int kNumberWidth = 11;

struct Summary {
  double median = 0;
  double min = 0;
  double max = 0;
  CpuSeconds cpu_us = {};  // medians
};

Summary Summarize(const Series& series) {
  const std::vector<double> rates = Rates(series);
  if (rates.empty()) return {};
  const auto [min, max] = std::minmax_element(rates.begin(), rates.end());
  const auto median_of = [&series](double CpuSeconds::*part) {
    std::vector<double> values;
    for (const Sample& sample : series.samples) values.push_back(sample.cpu_us.*part);
    return Median(values);
  };
  return {.median = Median(rates),
          .min = *min,
          .max = *max,
          .cpu_us = {.postgres = median_of(&CpuSeconds::postgres),
                     .middle = median_of(&CpuSeconds::middle),
                     .driver = median_of(&CpuSeconds::driver)}};
}

bool Meets(const Comparison& comparison) { return !comparison.target || comparison.ratio >= *comparison.target; }

void PrintScenario(const ScenarioResult& scenario, std::ostream& out) {
  out << "\n" << scenario.name << " (" << scenario.unit << "/s; CPU in µs each)\n";
  out << std::left << std::setw(kNameWidth) << "" << std::right;
  for (const char* head : {"median", "min", "max", "postgres", "middle", "driver"}) {
    out << std::setw(kNumberWidth) << head;
  }
  out << "\n" << std::fixed;
  for (const Series& series : scenario.series) {
    const Summary summary = Summarize(series);
    out << std::left << std::setw(kNameWidth) << series.name << std::right << std::setprecision(0);
    for (const double rate : {summary.median, summary.min, summary.max}) out << std::setw(kNumberWidth) << rate;
    out << std::setprecision(2);
    for (const double cpu : {summary.cpu_us.postgres, summary.cpu_us.middle, summary.cpu_us.driver}) {
      out << std::setw(kNumberWidth) << cpu;
    }
    out << "\n";
  }
  for (const Comparison& comparison : scenario.comparisons) {
    out << "  " << std::setprecision(2) << comparison.ratio << " × [" << comparison.subject << "] / ["
        << comparison.baseline << "]";
    if (comparison.target) out << ", target " << *comparison.target << (Meets(comparison) ? ": met" : ": MISSED");
    out << "\n";
  }
  for (const std::string& note : scenario.notes) out << "  " << note << "\n";
}

nlohmann::json ToJson(const ScenarioResult& scenario) {
  nlohmann::json contenders = nlohmann::json::array();
  for (const Series& series : scenario.series) {
    const Summary summary = Summarize(series);
    contenders.push_back({{"name", series.name},
                          {"median", summary.median},
                          {"min", summary.min},
                          {"max", summary.max},
                          {"rounds", Rates(series)},
                          {"cpu_us",
                           {{"postgres", summary.cpu_us.postgres},
                            {"middle", summary.cpu_us.middle},
                            {"driver", summary.cpu_us.driver}}}});
  }
  nlohmann::json comparisons = nlohmann::json::array();
  for (const Comparison& comparison : scenario.comparisons) {
    nlohmann::json entry = {
        {"subject", comparison.subject}, {"baseline", comparison.baseline}, {"ratio", comparison.ratio}};
    if (comparison.target) entry["target"] = *comparison.target;
    comparisons.push_back(std::move(entry));
  }
  return {{"name", scenario.name},
          {"unit", scenario.unit + "/s"},
          {"contenders", std::move(contenders)},
          {"comparisons", std::move(comparisons)},
          {"notes", scenario.notes},
          {"sound", scenario.sound}};
}

}  // namespace

void PrintTable(const Report& report, std::ostream& out) {
  for (const auto& [name, value] : report.machine) out << std::left << std::setw(12) << name << " " << value << "\n";
  out << report.rounds.count << " interleaved rounds of " << report.rounds.seconds
      << " s; ratios are medians of the rounds' ratios\n";
  for (const ScenarioResult& scenario : report.scenarios) PrintScenario(scenario, out);
  out << "\n" << report.gateway_at_end << "\n";
}

void PrintJson(const Report& report, std::ostream& out) {
  nlohmann::json machine;
  for (const auto& [name, value] : report.machine) machine[name] = value;
  nlohmann::json scenarios = nlohmann::json::array();
  for (const ScenarioResult& scenario : report.scenarios) scenarios.push_back(ToJson(scenario));
  const nlohmann::json all = {{"machine", std::move(machine)},
                              {"rounds", report.rounds.count},
                              {"seconds", report.rounds.seconds},
                              {"scenarios", std::move(scenarios)},
                              {"gateway_at_end", report.gateway_at_end}};
  out << all.dump(2) << "\n";
}

bool MeetsTargets(const Report& report) {
  return std::all_of(report.scenarios.begin(), report.scenarios.end(), [](const ScenarioResult& scenario) {
    return scenario.sound && std::all_of(scenario.comparisons.begin(), scenario.comparisons.end(), Meets);
  });
}

}  // namespace engine::db::bench
