#include <chrono>
#include <cmath>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "engine_db/postgres_connector.h"
#include "tests/benchmark/pgbench.h"
#include "tests/benchmark/scenarios.h"
#include "tests/benchmark/single_row_reader.h"
#include "tests/support/process.h"

namespace engine::db::bench {
namespace {

constexpr uint64_t kRows = 1'000'000;
constexpr long kMemoryTargetKib = 64L * 1024;

struct Table {
  std::string label;
  std::string name;
  std::string columns;
};

const std::vector<Table>& Tables() {
  static const std::vector<Table> tables = {
      {"mixed", "bench_mixed",
       "i::int8 AS a, (i % 1000)::int4 AS b, 'customer ' || i AS c, i * 0.25::float8 AS d,"
       " '2024-01-01 00:00:00+00'::timestamptz + i * interval '1 second' AS e, (i * 1.01)::numeric(12, 2) AS f"},
      {"fixed", "bench_fixed",
       "i::int8 AS a, (i % 1000)::int4 AS b, (i % 100)::int2 AS c, i * 0.25::float8 AS d, (i % 1000)::float4 AS e,"
       " -i::int8 AS f"},
  };
  return tables;
}

void Fill(const Environment& environment, const Table& table) {
  environment.postgres().Exec("DROP TABLE IF EXISTS " + table.name);
  environment.postgres().Exec("CREATE TABLE " + table.name + " AS SELECT " + table.columns +
                              " FROM generate_series(1, " + std::to_string(kRows) + ") AS i");
  environment.postgres().Exec("GRANT SELECT ON " + table.name + " TO " + environment.postgres().user());
  // Otherwise the first readers would pay for the hint bits.
  environment.postgres().Exec("VACUUM (FREEZE, ANALYZE) " + table.name);
}

// Every cell through Row and Cell, as a caller's code would.
Checksum ReadStream(PostgresSyncConnector& connector, const std::string& sql) {
  Checksum sum;
  RowStream stream = connector.execute_stream(sql);
  while (const std::optional<RowBatch> batch = stream.next_batch()) {
    for (const Row row : *batch) {
      ++sum.rows;
      sum.integers += row[0].as<int64_t>() + row[1].as<int32_t>();
      sum.numbers += row[3].as<double>();
      if (row[2].kind() == CellKind::kText) {
        sum.bytes += row[2].as<std::string_view>().size() + row[4].as<std::string_view>().size() +
                     row[5].as<std::string_view>().size();
      } else {
        sum.integers += row[2].as<int16_t>() + row[5].as<int64_t>();
        sum.numbers += row[4].as<double>();
      }
    }
  }
  return sum;
}

// Bytes are left out: binary and text forms of a value differ in length.
void RequireSame(const Checksum& read, const Checksum& expected) {
  if (read.rows != kRows || read.integers != expected.integers || std::abs(read.numbers - expected.numbers) > 1) {
    throw std::runtime_error("a reader did not see all of the table");
  }
}

template <typename Read>
Contender::Work Timed(const Checksum& expected, Read read) {
  const auto begin = std::chrono::steady_clock::now();
  const Checksum sum = read();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  RequireSame(sum, expected);
  return {.operations = static_cast<double>(kRows), .seconds = seconds};
}

std::vector<Contender> Contenders(const Environment& environment, PostgresSyncConnector& connector,
                                  const Table& table) {
  const std::string sql = "SELECT * FROM " + table.name;
  const std::string target = environment.postgres().AppUser();
  const Checksum expected = ReadSingleRows(target, sql, true);
  const auto direct = [=](bool binary) {
    return [=](double /*seconds*/) { return Timed(expected, [&] { return ReadSingleRows(target, sql, binary); }); };
  };
  return {{.name = table.label + ": libpq single-row, text", .run = direct(false)},
          {.name = table.label + ": libpq single-row, binary", .run = direct(true)},
          {.name = table.label + ": gateway, TCP, RowStream",
           .middle = environment.gateway().pid(),
           .run = [=, &connector](double /*seconds*/) {
             return Timed(expected, [&] { return ReadStream(connector, sql); });
           }}};
}

}  // namespace

ScenarioResult RunStream(const Environment& environment, const Rounds& rounds) {
  PostgresSyncConnector connector(environment.Target(), {.address = environment.gateway_tcp()});
  connector.connect();
  const test::MemoryUsage before = environment.gateway().Memory();

  std::vector<Contender> contenders;
  for (const Table& table : Tables()) {
    Fill(environment, table);
    const std::vector<Contender> more = Contenders(environment, connector, table);
    contenders.insert(contenders.end(), more.begin(), more.end());
  }

  ScenarioResult result{.name = "stream", .unit = "rows"};
  result.series = Interleave(contenders, rounds, environment.postgres().pid());
  for (size_t first = 0; first < result.series.size(); first += 3) {
    const Series& gateway = result.series[first + 2];
    result.comparisons.push_back(Compare(gateway, result.series[first], 0.5));
    result.comparisons.push_back(Compare(gateway, result.series[first + 1], 0.5));
  }
  const long growth = environment.gateway().Memory().peak_resident_kib - before.resident_kib;
  result.sound = growth < kMemoryTargetKib;
  result.notes = {
      "mixed: int8, int4, text, float8, timestamptz, numeric; fixed: int8, int4, int2, float8, float4, int8",
      "the gateway's memory grew by " + std::to_string(growth / 1024) + " MiB at most (" +
          std::to_string(before.resident_kib / 1024) + " MiB before); target: less than " +
          std::to_string(kMemoryTargetKib / 1024) + " MiB: " + (result.sound ? "met" : "MISSED"),
  };
  return result;
}

}  // namespace engine::db::bench
