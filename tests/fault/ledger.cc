#include "tests/fault/ledger.h"

#include <pqxx/pqxx>

namespace engine::db::test {

const char* ToString(Verdict verdict) {
  switch (verdict) {
    case Verdict::kAcknowledged:
      return "acknowledged";
    case Verdict::kCommitted:
      return "COMMITTED";
    case Verdict::kNotExecuted:
      return "NOT_EXECUTED";
    case Verdict::kRolledBack:
      return "ROLLED_BACK";
    case Verdict::kUnknown:
      return "UNKNOWN";
    case Verdict::kNone:
      return "no outcome";
  }
  return "";
}

Verdict VerdictOf(const DatabaseError& error) {
  switch (error.outcome()) {
    case Outcome::kNotExecuted:
      return Verdict::kNotExecuted;
    case Outcome::kRolledBack:
      return Verdict::kRolledBack;
    case Outcome::kCommitted:
      return Verdict::kCommitted;
    case Outcome::kUnknown:
      return Verdict::kUnknown;
    case Outcome::kUnspecified:
      return Verdict::kNone;
  }
  return Verdict::kNone;
}

Ledger::Ledger(const PostgresCluster& cluster) : cluster_(cluster) {
  cluster_.Exec(
      "SET ROLE app; DROP TABLE IF EXISTS bank, ledger; "
      "CREATE TABLE bank (account int PRIMARY KEY, balance bigint NOT NULL); "
      "CREATE TABLE ledger (operation bigint NOT NULL, note text, source int, destination int, amount bigint); "
      "INSERT INTO bank SELECT account, " +
      std::to_string(kBalance) + " FROM generate_series(1, " + std::to_string(kAccounts) + ") account");
}

int64_t Ledger::Next() {
  const std::lock_guard lock(mutex_);
  return ++last_;
}

void Ledger::Note(int64_t operation, Verdict verdict, const std::string& how) {
  const std::lock_guard lock(mutex_);
  entries_[operation] = {verdict, how};
}

Audit Ledger::Check(const std::string& server) const {
  pqxx::connection connection(server);
  pqxx::nontransaction work(connection);
  Audit audit;
  const auto violation = [&audit](int64_t& counter, const std::string& text) {
    ++counter;
    constexpr size_t kLines = 50;
    if (audit.violations.size() < kLines) audit.violations.push_back(text);
  };
  std::map<int64_t, int64_t> there;
  for (const auto& row : work.exec("SELECT operation, count(*) FROM ledger GROUP BY operation")) {
    there[row[0].as<int64_t>()] = row[1].as<int64_t>();
  }
  const std::lock_guard lock(mutex_);
  for (const auto& [operation, count] : there) {
    if (!entries_.contains(operation)) {
      violation(audit.missing_verdicts, "operation " + std::to_string(operation) + " is there, and nobody noted it");
    }
  }
  for (const auto& [operation, entry] : entries_) {
    const auto found = there.find(operation);
    const int64_t count = found == there.end() ? 0 : found->second;
    const std::string name =
        "operation " + std::to_string(operation) + " (" + entry.how + "; " + ToString(entry.verdict) + ") ";
    ++audit.operations;
    if (count > 1) violation(audit.duplicated, name + "is there " + std::to_string(count) + " times");
    switch (entry.verdict) {
      case Verdict::kAcknowledged:
        ++audit.acknowledged;
        [[fallthrough]];
      case Verdict::kCommitted:
        if (count == 0) violation(audit.lost, name + "is lost");
        break;
      case Verdict::kNotExecuted:
      case Verdict::kRolledBack:
        if (count > 0) violation(audit.wrong_verdicts, name + "is there");
        break;
      case Verdict::kUnknown:
        ++audit.unknown;
        audit.unknown_applied += count > 0 ? 1 : 0;
        break;
      case Verdict::kNone:
        violation(audit.missing_verdicts, name + "failed without an outcome");
        break;
    }
  }
  const pqxx::result accounts =
      work.exec("SELECT account, balance, " + std::to_string(kBalance) +
                " + coalesce((SELECT sum(amount) FROM ledger WHERE destination = account), 0)"
                " - coalesce((SELECT sum(amount) FROM ledger WHERE source = account), 0) AS expected FROM bank");
  int64_t total = 0;
  for (const auto& row : accounts) {
    total += row[1].as<int64_t>();
    if (row[1].as<int64_t>() == row[2].as<int64_t>()) continue;
    violation(audit.wrong_balances, std::string("account ") + row[0].c_str() + " holds " + row[1].c_str() +
                                        ", its transfers make " + row[2].c_str());
  }
  if (total != kTotal) violation(audit.wrong_balances, "the bank holds " + std::to_string(total) + " in all");
  return audit;
}

}  // namespace engine::db::test
