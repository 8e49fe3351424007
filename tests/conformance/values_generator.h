// Values of PostgreSQL's types, as texts that PostgreSQL takes: the edges of each type, and random ones.
#ifndef ENGINE_DB_TESTS_CONFORMANCE_VALUES_GENERATOR_H_
#define ENGINE_DB_TESTS_CONFORMANCE_VALUES_GENERATOR_H_

#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

namespace engine::db::test {

// The same values for the same seed, on every machine (std::uniform_int_distribution would promise no such thing).
class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}

  uint64_t Bits() { return engine_(); }
  // 0 to bound - 1.
  uint64_t Below(uint64_t bound) { return engine_() % bound; }
  int64_t Between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(Below(static_cast<uint64_t>(high - low) + 1));
  }
  bool OneIn(uint64_t n) { return Below(n) == 0; }
  template <typename T>
  const T& Of(const std::vector<T>& list) {
    return list[Below(list.size())];
  }

 private:
  std::mt19937_64 engine_;
};

struct TypeOfValues {
  std::string sql;  // "numeric(20,5)"
  // Texts that the type takes, each of its edges among them.
  std::vector<std::string> edges;
  std::function<std::string(Random&)> any;
};

// What has to be there for the types of the user's own and of extensions that AllTypes() has. For a superuser.
std::string SetUpTypes();

std::vector<TypeOfValues> AllTypes();

// `count` values of a type, the edges first.
std::vector<std::string> ValuesOf(const TypeOfValues& type, size_t count, Random& random);

// All of Unicode but NUL and the surrogates, up to `characters`.
std::string AnyText(Random& random, size_t characters);

}  // namespace engine::db::test

#endif  // ENGINE_DB_TESTS_CONFORMANCE_VALUES_GENERATOR_H_
