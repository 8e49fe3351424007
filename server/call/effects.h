// What the statements of a call may do, as far as their texts, the server and the circumstances tell.
#ifndef ENGINE_DB_SERVER_CALL_EFFECTS_H_
#define ENGINE_DB_SERVER_CALL_EFFECTS_H_

#include "server/call/call_plan.h"
#include "server/call/record.h"
#include "server/postgres/elsewhere.h"
#include "server/sql/statement.h"

namespace engine::db::call {

// Under what circumstances the statements run.
struct Circumstances {
  // The transaction was open before the call.
  bool in_transaction = false;
  // The caller asked for READ ONLY.
  bool read_only_asked = false;
  // The server refuses whatever writes.
  bool guarded = false;
  // The texts only read, and the server found one of them writing.
  bool hides_writes = false;
};

// A view: refers to what it is made of.
class Effects {
 public:
  Effects(const CallPlan& plan, const Circumstances& circumstances, const Record& record,
          const postgres::Surroundings& surroundings)
      : plan_(plan), circumstances_(circumstances), record_(record), surroundings_(surroundings) {}

  // Whether the server would let what runs write. A text that only reads is no proof: a view, an operator or a policy
  // may call anything. The server's refusal of writes is one.
  [[nodiscard]] bool MayWrite() const;
  // Whether a statement is no read by its text, or turned out not to be one; and whether any is.
  [[nodiscard]] bool Writes(const PlannedStatement& planned) const;
  [[nodiscard]] bool AnyWrites() const;
  // Whether a text changes settings that a mark tells of, or that decide whether the transaction may write.
  [[nodiscard]] bool MayChangeSettings() const;
  // Whether a text calls what may act elsewhere at once.
  [[nodiscard]] bool CallsOutside() const;
  // Whether a text calls functions of which nothing is known.
  [[nodiscard]] bool CallsUnknownCode() const;
  // Whether it may commit elsewhere when it commits here.
  [[nodiscard]] bool CommitsElsewhere() const;
  // As far as anything in the database may reach.
  [[nodiscard]] postgres::Elsewhere FarthestReach() const;

  // Whether the transaction's mark is to be asked for with these statements: once the transaction has an id that stays
  // the same, but what runs may give it one, change a setting that the mark tells of, or reach further than before.
  [[nodiscard]] bool WantMark() const;
  // Whether what runs will have to be covered by a mark that is not asked for yet.
  [[nodiscard]] bool LeaveMarkDue() const;

 private:
  [[nodiscard]] bool InTransaction() const { return circumstances_.in_transaction || plan_.begin.has_value(); }
  [[nodiscard]] bool AnyStatement(bool (sql::Statement::*is)() const) const;

  const CallPlan& plan_;
  const Circumstances& circumstances_;
  const Record& record_;
  const postgres::Surroundings& surroundings_;
};

}  // namespace engine::db::call

#endif  // ENGINE_DB_SERVER_CALL_EFFECTS_H_
