#include "server/pool/cleaner.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "server/postgres/command_text.h"
#include "server/postgres/results.h"

namespace engine::db::pool {
namespace {

using observe::CloseReason;

// Bringing a backend back to a clean state is a round trip or two; one that needs longer is not worth waiting for.
constexpr absl::Duration kCleaningTime = absl::Seconds(5);

// Made once; never destroyed, since backends may still run them while the process exits.
const std::shared_ptr<const sql::BoundText>& Guard(bool on) {
  using Text = std::shared_ptr<const sql::BoundText>;
  static const auto* on_text = new Text(postgres::CommandText("SET default_transaction_read_only = on"));
  static const auto* off_text = new Text(postgres::CommandText("RESET default_transaction_read_only"));
  return on ? *on_text : *off_text;
}

const std::shared_ptr<const sql::BoundText>& DiscardSequences() {
  static const auto* text = new std::shared_ptr<const sql::BoundText>(postgres::CommandText("DISCARD SEQUENCES"));
  return *text;
}

// Everything that DISCARD ALL undoes (PostgreSQL's manual, DISCARD) but prepared statements, which stay valid when all
// else is as it was, and DISCARD PLANS, which would have each of them planned anew. Up to its Sync it is one transaction,
// so that all of it works, or the backend is closed.
constexpr const char* kReset[] = {
    "CLOSE ALL", "SET SESSION AUTHORIZATION DEFAULT", "RESET ALL", "UNLISTEN *", "DISCARD TEMP", "DISCARD SEQUENCES"};

// What one caller gave setseed() outlives DISCARD ALL, and would tell that caller the next one's random numbers.
std::string UnlockAndNewSeed() {
  absl::InsecureBitGen random;
  return absl::StrFormat("SELECT pg_catalog.pg_advisory_unlock_all(), pg_catalog.setseed(%.17f)",
                         absl::Uniform<double>(absl::IntervalClosed, random, -1, 1));
}

// Fails unless the gateway's own statements are all that is prepared.
std::string CheckPrepared(size_t own) {
  return absl::StrCat(
      "SELECT 1 / (pg_catalog.count(*) = ", own,
      " AND NOT coalesce(pg_catalog.bool_or(from_sql), false))::int FROM pg_catalog.pg_prepared_statements");
}

// A failure is found when the backend is drained.
void RunCommand(Slot& slot, postgres::Operation operation) {
  slot.commands.push_back(
      std::make_unique<postgres::CommandResult>([&slot](const absl::StatusOr<postgres::Completion>& end) {
        if (!end.ok()) slot.command_failed = true;
      }));
  operation.receiver = slot.commands.back().get();
  slot.backend->Run(operation);
}

}  // namespace

Cleaner::Cleaner(Slots& slots, observe::PoolMetrics& metrics, absl::AnyInvocable<void()> changed)
    : slots_(slots), metrics_(metrics), changed_(std::move(changed)) {}

void Cleaner::Begin(Slot& slot) {
  slots_.Become(slot, SlotState::kCleaning);
  slot.time_limit.SetAfter(kCleaningTime, [this, &slot] {
    slots_.Close(slot, CloseReason::kUnclean);
    changed_();
  });
  Continue(slot);
}

// Decides what becomes of a backend that was given back: one step at a time, again after each, until it is clean or
// closed.
void Cleaner::Continue(Slot& slot) {
  const auto close = [&](CloseReason reason) {
    slots_.Close(slot, reason);
    changed_();
  };
  if (slot.session.schema_changed && !slot.backend->busy()) {
    slot.session.schema_changed = false;
    slot.session.prepared_void = true;
    ForgetPlansBut(&slot);
  }
  if (!slot.backend->usable()) return close(CloseReason::kLost);
  if (slot.retired) return close(CloseReason::kRetired);
  if (slot.command_failed) return close(CloseReason::kUnclean);
  if (slot.backend->busy()) return;  // comes back here when it is drained
  if (slot.backend->in_transaction()) return RunCommand(slot, {.text = postgres::CommandText("ROLLBACK")});
  if (slot.session.outlasts_reset) return close(CloseReason::kUnclean);
  if (std::exchange(slot.resetting, false)) {
    slot.backend->AcceptReportedSettings();  // the defaults themselves may have changed
    return Continue(slot);
  }
  if (slot.session.changed || slot.backend->ReportedSettingsChanged()) return Reset(slot);
  slot.time_limit.Cancel();
  slots_.Become(slot, SlotState::kIdle);
  changed_();
}

void Cleaner::AfterReads(Slot& slot) {
  slot.time_limit.Cancel();
  if (slot.retired) {
    slots_.Close(slot, CloseReason::kRetired);
  } else if (slot.command_failed) {  // the guard could not be set: never seen, but then nothing is proven
    slots_.Close(slot, CloseReason::kUnclean);
  } else if (slot.session.changed || slot.backend->ReportedSettingsChanged()) {
    Begin(slot);
  } else {
    slots_.Become(slot, SlotState::kIdle);
  }
  changed_();
}

// PostgreSQL notices that a prepared statement's tables have changed, but goes on with the parameter types that it had
// inferred before: a timestamp's time zone would be dropped where the column has become a timestamptz.
void Cleaner::ForgetPlansBut(const Slot* one) {
  for (Slot* slot : slots_.All()) {
    if (slot == one || slot->state == SlotState::kOpening || slot->state == SlotState::kClosed) continue;
    slot->backend->ForgetPreparedStatements();
    slot->session.changed = slot->session.prepared_void = true;  // the server still has them
    if (slot->state == SlotState::kIdle) Begin(*slot);
  }
}

void Cleaner::Reset(Slot& slot) {
  slot.resetting = true;
  const SessionState session = std::exchange(slot.session, {});
  metrics_.resets.Increment();
  const auto run = [&slot](std::string command, bool sync) {
    RunCommand(slot, {.text = postgres::CommandText(std::move(command)), .sync = sync, .keep_prepared = false});
  };
  if (session.prepared_void) {
    slot.backend->ForgetPreparedStatements();
    run("DISCARD ALL", /*sync=*/true);
  } else {
    for (const char* command : kReset) run(command, /*sync=*/false);
    if (session.ran_unknown) run(CheckPrepared(slot.backend->prepared_statements()), /*sync=*/false);
  }
  run(UnlockAndNewSeed(), /*sync=*/true);
  slot.backend->StartPreparing();
}

void Cleaner::SetGuard(Slot& slot, bool on) {
  slot.session.guarded = on;
  RunCommand(slot, {.text = Guard(on)});
}

void Cleaner::ForgetSequences(Slot& slot, bool sync) {
  slot.session.sequences_of = 0;
  RunCommand(slot, {.text = DiscardSequences(), .sync = sync});
}

}  // namespace engine::db::pool
