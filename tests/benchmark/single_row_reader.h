// The direct way to read a large result: libpq in single-row mode.
#ifndef ENGINE_DB_TESTS_BENCHMARK_SINGLE_ROW_READER_H_
#define ENGINE_DB_TESTS_BENCHMARK_SINGLE_ROW_READER_H_

#include <cstdint>
#include <string>

namespace engine::db::bench {

// What was read: proof that every cell was, and that all readers saw the same.
struct Checksum {
  uint64_t rows = 0;
  int64_t integers = 0;
  double numbers = 0;
  uint64_t bytes = 0;  // of everything that is read as it came, without a conversion
};

// Runs `sql` on a connection of its own and converts every int2, int4, int8, float4 and float8 to a number; other types
// are read as they come. Throws std::runtime_error.
Checksum ReadSingleRows(const std::string& connection_string, const std::string& sql, bool binary);

}  // namespace engine::db::bench

#endif  // ENGINE_DB_TESTS_BENCHMARK_SINGLE_ROW_READER_H_
