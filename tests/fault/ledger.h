// The bank and the append-only ledger: what clients do to them, what they were told about it, and what PostgreSQL says
// afterwards.
#ifndef ENGINE_DB_TESTS_FAULT_LEDGER_H_
#define ENGINE_DB_TESTS_FAULT_LEDGER_H_

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "engine_db/error.h"
#include "tests/support/postgres_cluster.h"

namespace engine::db::test {

// What a client knows about an operation.
enum class Verdict {
  kAcknowledged,  // the call succeeded
  kCommitted,     // it failed, and says that it is committed all the same
  kNotExecuted,
  kRolledBack,  // also: the client never asked for a commit
  kUnknown,
  kNone,  // it failed, and says nothing about the outcome: never right for a write
};

[[nodiscard]] const char* ToString(Verdict verdict);
[[nodiscard]] Verdict VerdictOf(const DatabaseError& error);

// What the comparison of all that was told with all that is there has found.
struct Audit {
  int64_t operations = 0;
  int64_t acknowledged = 0;
  int64_t lost = 0;            // acknowledged or said to be committed, and not there
  int64_t duplicated = 0;      // there more than once
  int64_t wrong_verdicts = 0;  // said to be not executed or rolled back, and there
  int64_t missing_verdicts = 0;
  int64_t unknown = 0;
  int64_t unknown_applied = 0;  // of those, the ones that are there
  // The total is wrong, or an account holds something else than its transfers make.
  int64_t wrong_balances = 0;
  // A line for each of the above, at most 50.
  std::vector<std::string> violations;

  [[nodiscard]] bool ok() const { return lost + duplicated + wrong_verdicts + missing_verdicts + wrong_balances == 0; }
};

// Tables `bank` and `ledger`, and a record of every operation that clients tried. Any thread may call.
//
// An operation is one row of `ledger`, which has no key: what is written twice shows. A transfer is an operation that
// moves `amount` between two accounts of `bank` in the same transaction.
class Ledger {
 public:
  static constexpr int kAccounts = 12;
  static constexpr int kBalance = 1000;  // of each account, at first
  static constexpr int64_t kTotal = int64_t{kAccounts} * kBalance;

  // Makes the tables anew, for the role `app`.
  explicit Ledger(const PostgresCluster& cluster);

  // A new operation's number.
  int64_t Next();
  // What became of it, as its client sees it: once an operation, `how` says what it was and what the error said.
  void Note(int64_t operation, Verdict verdict, const std::string& how);

  // Compares. No client may be at work any more.
  [[nodiscard]] Audit Check() const { return Check(cluster_.Superuser()); }
  // With what another server holds, to which the tables have come: a connection string.
  [[nodiscard]] Audit Check(const std::string& server) const;

  // Statements, parameters in the order of their "?".
  static constexpr const char* kInsert = "INSERT INTO ledger (operation, note) VALUES (?, ?)";
  static constexpr const char* kInsertTransfer =
      "INSERT INTO ledger (operation, note, source, destination, amount) VALUES (?, ?, ?, ?, ?)";
  static constexpr const char* kWithdraw = "UPDATE bank SET balance = balance - ? WHERE account = ?";
  static constexpr const char* kDeposit = "UPDATE bank SET balance = balance + ? WHERE account = ?";
  // Must always say kTotal.
  static constexpr const char* kReadTotal = "SELECT sum(balance)::bigint AS total FROM bank";

 private:
  struct Entry {
    Verdict verdict = Verdict::kNone;
    std::string how;
  };

  const PostgresCluster& cluster_;
  mutable std::mutex mutex_;
  int64_t last_ = 0;
  std::map<int64_t, Entry> entries_;
};

}  // namespace engine::db::test

#endif  // ENGINE_DB_TESTS_FAULT_LEDGER_H_
