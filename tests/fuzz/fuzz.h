// What the fuzz targets share.
#ifndef ENGINE_DB_TESTS_FUZZ_FUZZ_H_
#define ENGINE_DB_TESTS_FUZZ_FUZZ_H_

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace engine::db {

// What must hold for any input. libFuzzer keeps the input for which it does not.
inline void Require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

}  // namespace engine::db

#endif  // ENGINE_DB_TESTS_FUZZ_FUZZ_H_
