// What a target has learnt of statements that their texts do not show.
#ifndef ENGINE_DB_SERVER_CALL_LEARNT_STATEMENTS_H_
#define ENGINE_DB_SERVER_CALL_LEARNT_STATEMENTS_H_

#include <string>

#include "absl/container/flat_hash_set.h"
#include "server/sql/statement.h"

namespace engine::db::call {

// Loop thread only. Bounded: past its limit a list begins anew, and what it held will be learnt again.
class LearntStatements {
 public:
  // The text only reads, and the server refused it because it writes.
  void NoteHiddenWrite(const sql::Statement& statement) { Note(hidden_writers_, statement); }
  [[nodiscard]] bool HidesWrites(const sql::Statement& statement) const { return Has(hidden_writers_, statement); }

  // Its plan was out of date in a transaction, where it can't be prepared anew: what the transaction does before it may
  // be what changes its meaning (in a trigger), each time. So it is not kept prepared there.
  void NoteLostPlan(const sql::Statement& statement) { Note(plan_losers_, statement); }
  [[nodiscard]] bool LosesPlans(const sql::Statement& statement) const { return Has(plan_losers_, statement); }

 private:
  using Fingerprints = absl::flat_hash_set<std::string>;
  static constexpr size_t kMaxFingerprints = 10'000;

  static void Note(Fingerprints& in, const sql::Statement& statement) {
    if (in.size() >= kMaxFingerprints) in.clear();
    in.insert(statement.fingerprint());
  }
  [[nodiscard]] static bool Has(const Fingerprints& in, const sql::Statement& statement) {
    return !in.empty() && in.contains(statement.fingerprint());
  }

  Fingerprints hidden_writers_;
  Fingerprints plan_losers_;
};

}  // namespace engine::db::call

#endif  // ENGINE_DB_SERVER_CALL_LEARNT_STATEMENTS_H_
