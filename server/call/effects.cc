#include "server/call/effects.h"

#include <algorithm>

namespace engine::db::call {

using postgres::Elsewhere;

bool Effects::MayWrite() const {
  if (OnlyReads(plan_) && !circumstances_.hides_writes) {
    // A transaction that something else has run in may have been made READ WRITE by it.
    const bool untouched = !circumstances_.in_transaction || (!record_.may_have_written && !record_.settings_changed);
    if (circumstances_.guarded || (circumstances_.read_only_asked && untouched)) return false;
  }
  return std::any_of(plan_.statements.begin(), plan_.statements.end(),
                     [](const PlannedStatement& planned) { return Executes(planned) && !IsNeutral(planned); });
}

bool Effects::Writes(const PlannedStatement& planned) const {
  return Executes(planned) && !IsNeutral(planned) && (!OnlyReads(planned) || circumstances_.hides_writes);
}

bool Effects::AnyWrites() const {
  return std::any_of(plan_.statements.begin(), plan_.statements.end(),
                     [this](const PlannedStatement& planned) { return Writes(planned); });
}

bool Effects::AnyStatement(bool (sql::Statement::*is)() const) const {
  return std::any_of(plan_.statements.begin(), plan_.statements.end(), [&](const PlannedStatement& planned) {
    return Executes(planned) && planned.bound.statement != nullptr && ((*planned.bound.statement).*is)();
  });
}

bool Effects::MayChangeSettings() const {
  return std::any_of(plan_.statements.begin(), plan_.statements.end(), [](const PlannedStatement& planned) {
    return planned.bound.statement != nullptr && planned.bound.statement->may_change_settings();
  });
}

bool Effects::CallsUnknownCode() const { return AnyStatement(&sql::Statement::calls_unknown_code); }

bool Effects::CallsOutside() const { return surroundings_.functions == Elsewhere::kAtOnce && CallsUnknownCode(); }

bool Effects::CommitsElsewhere() const {
  if (InTransaction()) return record_.reach.at_most() != Elsewhere::kNothing;
  return AnyWrites() && surroundings_.foreign != Elsewhere::kNothing;
}

Elsewhere Effects::FarthestReach() const { return std::max(surroundings_.foreign, surroundings_.functions); }

bool Effects::WantMark() const {
  if (!InTransaction() || plan_.ending == Ending::kRollback) return false;
  // The question takes a snapshot. Where the caller's own statements have not, it waits for them, or for COMMIT.
  if (plan_.ending != Ending::kCommit && !AnyStatement(&sql::Statement::takes_snapshot)) return false;
  if (record_.mark_due) return true;
  if (!MayWrite()) return false;
  return !record_.mark.has_value() || record_.mark->xid == 0 || AnyStatement(&sql::Statement::may_change_settings) ||
         record_.reach.known() < FarthestReach();
}

bool Effects::LeaveMarkDue() const {
  return MayWrite() && !AnyStatement(&sql::Statement::takes_snapshot) &&
         (!record_.mark.has_value() || record_.mark->xid == 0);
}

}  // namespace engine::db::call
