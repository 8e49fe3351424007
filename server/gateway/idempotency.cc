#include "server/gateway/idempotency.h"

#include <iterator>
#include <memory>
#include <utility>
#include <vector>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "engine/db/v1/connector.pb.h"
#include "sdk/common/limits.h"
#include "server/base/failure.h"
#include "server/call/attempt.h"
#include "server/gateway/planning.h"
#include "server/postgres/command_text.h"

namespace engine::db::gateway {
namespace {

// Whoever comes first makes the table; the lock keeps two from doing so at once. Behind it the catalogue itself is
// read: to_regclass() may still answer from what this session knew before it waited.
constexpr char kMakeTable[] = R"(DO $$ BEGIN
  IF pg_catalog.to_regclass('engine_db.calls') IS NULL THEN
    PERFORM pg_catalog.pg_advisory_xact_lock(7305803951064281455);
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_tables WHERE schemaname = 'engine_db' AND tablename = 'calls') THEN
      CREATE SCHEMA IF NOT EXISTS engine_db;
      CREATE TABLE IF NOT EXISTS engine_db.calls (
        caller name NOT NULL DEFAULT session_user, key text NOT NULL, digest bigint NOT NULL, response bytea,
        called_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (caller, key));
      CREATE INDEX IF NOT EXISTS calls_called_at_idx ON engine_db.calls (called_at);
    END IF;
  END IF;
END $$)";
constexpr char kDropOld[] =
    "DELETE FROM engine_db.calls WHERE ctid = ANY (ARRAY (SELECT ctid FROM engine_db.calls WHERE called_at < now() - "
    "interval '24 hours' AND caller = session_user LIMIT 1000 FOR UPDATE SKIP LOCKED))";
constexpr int kCallsADrop = 100;
// Waits for a call with the same key that is under way.
constexpr char kTakeKey[] = "INSERT INTO engine_db.calls (key, digest) VALUES (?, ?) ON CONFLICT DO NOTHING";
constexpr char kLookUp[] = "SELECT digest, response FROM engine_db.calls WHERE caller = session_user AND key = ?";
constexpr char kKeepResponse[] = "UPDATE engine_db.calls SET response = ? WHERE caller = session_user AND key = ?";
constexpr size_t kMaxKeptBytes = size_t{16} << 20;

// Of one attempt.
struct Lookup {
  bool taken = false;
  v1::ExecuteResponse found;
};

absl::Status Bind(call::PlannedStatement& planned, const std::vector<v1::Value>& values) {
  return BindParameters({values.begin(), values.end()}, planned);
}

v1::Value Text(const std::string& text) {
  v1::Value value;
  value.set_text_value(text);
  return value;
}

std::unique_ptr<postgres::ResultReceiver> Ignore(call::Attempt&, postgres::EndCallback end) {
  return std::make_unique<postgres::CommandResult>(std::move(end));
}

// What the look-up found, if it was not this call that took the key.
absl::Status ReadKept(const Lookup& lookup, IdempotentCall& call) {
  if (lookup.found.rows_size() == 0) {
    return ToStatus({.code = absl::StatusCode::kAborted,
                     .reason = Reason::kIdempotencyKeyBusy,
                     .kind = ErrorKind::kTransaction,
                     .outcome = Outcome::kRolledBack,
                     .retryable = true,
                     .message = "the idempotency key was given up by another call just now: repeat the call"});
  }
  const v1::Row& row = lookup.found.rows(0);
  if (row.values(0).int64_value() != call.digest) {
    return InvalidRequest("idempotency_key", Reason::kIdempotencyKeyReused,
                          "idempotency_key was used for a call with another statement or other parameters");
  }
  call.answered_before(row.values(1).bytes_value());
  return absl::OkStatus();
}

}  // namespace

int64_t DigestOf(std::string_view bytes) {
  // FNV-1a, 64 bits: http://www.isthe.com/chongo/tech/comp/fnv
  uint64_t hash = 0xcbf29ce484222325U;
  for (const char byte : bytes) hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3U;
  return static_cast<int64_t>(hash);
}

absl::Status MakeExactlyOnce(call::CallPlan& plan) {
  if (plan.begin.has_value() || !plan.transaction_id.empty()) {
    return InvalidRequest("exactly_once", Reason::kExactlyOnceInTransaction,
                          "exactly_once is for autocommit: a transaction's Commit always knows as much");
  }
  plan.begin.emplace();
  plan.ending = call::Ending::kCommit;
  plan.exactly_once = true;
  return absl::OkStatus();
}

absl::Status CheckMarks(const call::Target& target, const call::CallPlan& plan) {
  if (!plan.exactly_once || target.server().HasMarks()) return absl::OkStatus();
  return ToStatus(
      {.code = absl::StatusCode::kUnimplemented,
       .reason = Reason::kExactlyOnceUnavailable,
       .kind = ErrorKind::kInvalidRequest,
       .message = "exactly_once needs PostgreSQL 13 or later, and a role that may call pg_control_system()"});
}

absl::Status MakeIdempotent(const Parts& parts, call::CallPlan& plan, IdempotentCall call) {
  if (call.key.size() > limits::kMaxIdempotencyKeyBytes || call.key.find('\0') != std::string::npos) {
    return InvalidRequest(
        "idempotency_key", Reason::kMalformedKey,
        absl::StrCat("idempotency_key is 1 to ", limits::kMaxIdempotencyKeyBytes, " bytes without NUL"));
  }
  auto lookup = std::make_shared<Lookup>();
  std::vector<call::PlannedStatement> statements;

  call::PlannedStatement make_table;
  make_table.bound.text = postgres::CommandText(kMakeTable);
  make_table.receive = Ignore;
  statements.push_back(std::move(make_table));

  if (absl::Uniform(absl::BitGen(), 0, kCallsADrop) == 0) {
    absl::StatusOr<call::PlannedStatement> drop = MakePlannedStatement(parts, kDropOld);
    if (!drop.ok()) return drop.status();
    if (absl::Status status = Bind(*drop, {}); !status.ok()) return status;
    drop->receive = Ignore;
    statements.push_back(*std::move(drop));
  }

  absl::StatusOr<call::PlannedStatement> take = MakePlannedStatement(parts, kTakeKey);
  if (!take.ok()) return take.status();
  v1::Value digest;
  digest.set_int64_value(call.digest);
  if (absl::Status status = Bind(*take, {Text(call.key), digest}); !status.ok()) return status;
  take->receive = [lookup](call::Attempt&, postgres::EndCallback end) {
    *lookup = {};
    return std::make_unique<postgres::CommandResult>(
        [lookup, end = std::move(end)](const absl::StatusOr<postgres::Completion>& completion) mutable {
          lookup->taken = completion.ok() && completion->rows_affected == 1;
          end(completion);
        });
  };
  statements.push_back(*std::move(take));

  absl::StatusOr<call::PlannedStatement> look = MakePlannedStatement(parts, kLookUp);
  if (!look.ok()) return look.status();
  if (absl::Status status = Bind(*look, {Text(call.key)}); !status.ok()) return status;
  look->receive = [lookup](call::Attempt& attempt, postgres::EndCallback end) {
    return std::make_unique<postgres::CollectedResult>(
        v1::RESULT_FORMAT_ROWS, postgres::ResultLimits{.rows = 1, .bytes = kMaxKeptBytes}, attempt.Types(),
        lookup->found, [] {}, std::move(end));
  };
  statements.push_back(*std::move(look));
  plan.phase_ends.push_back(statements.size());

  std::move(plan.statements.begin(), plan.statements.end(), std::back_inserter(statements));
  plan.phase_ends.push_back(statements.size());

  absl::StatusOr<call::PlannedStatement> keep = MakePlannedStatement(parts, kKeepResponse);
  if (!keep.ok()) return keep.status();
  keep->receive = Ignore;
  statements.push_back(*std::move(keep));
  plan.phase_ends.push_back(statements.size());

  for (size_t i = 0; i < statements.size(); ++i) {
    statements[i].internal = i < plan.phase_ends[0] || i >= plan.phase_ends[1];
  }
  plan.statements = std::move(statements);
  plan.after_phase = [lookup, call = std::move(call)](call::CallPlan& of,
                                                      size_t phase) mutable -> absl::StatusOr<bool> {
    if (phase == 0 && !lookup->taken) {
      if (absl::Status status = ReadKept(*lookup, call); !status.ok()) return status;
      return false;
    }
    if (phase == 1) {
      v1::Value response;
      response.set_bytes_value(call.response());
      if (absl::Status status = Bind(of.statements.back(), {response, Text(call.key)}); !status.ok()) return status;
    }
    return true;
  };
  return absl::OkStatus();
}

}  // namespace engine::db::gateway
