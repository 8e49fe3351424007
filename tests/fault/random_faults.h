// Every kind of fault that can be healed again, chosen at random.
#ifndef ENGINE_DB_TESTS_FAULT_RANDOM_FAULTS_H_
#define ENGINE_DB_TESTS_FAULT_RANDOM_FAULTS_H_

#include <chrono>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "tests/fault/ledger.h"
#include "tests/fault/rig.h"

namespace engine::db::test {

// One thread at a time: the one that made the rig. The choice follows from the seed alone; what it hits does not.
class RandomFaults {
 public:
  // What scripted errors hold in the fields where PostgreSQL puts row data: it must not show anywhere.
  RandomFaults(FaultRig& rig, Ledger& ledger, uint32_t seed, std::string canary);

  // Injects the next fault, waits until it has happened (at most 2 s), and heals it. Returns its name, or "" if nobody
  // ran into it. Throws std::runtime_error when a server does not come back.
  std::string Inject();

  // The names of all.
  [[nodiscard]] static std::vector<std::string> Names();
  // One of them, by its name.
  bool Inject(const std::string& name);

 private:
  using Random = std::mt19937;
  struct Kind;
  static const std::vector<Kind>& Kinds();

  // A rule that is to be fired once.
  bool Once(const FaultRule& rule);
  bool OnceThenHeal(const FaultRule& rule, int hold_ms_at_most);
  // The same for a fault of connecting: existing links are cut so that there are new ones.
  bool AtConnecting(FaultRule rule, int hold_ms_at_most);
  bool Terminate(const std::string& condition);
  bool SignalBackend(int signal);
  bool WaitForServer();
  void Hold(int least_ms, int most_ms);
  std::string AnyStatement();

  FaultRig& rig_;
  Ledger& ledger_;
  Random random_;
  const std::string canary_;
};

}  // namespace engine::db::test

#endif  // ENGINE_DB_TESTS_FAULT_RANDOM_FAULTS_H_
