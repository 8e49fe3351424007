// What follows from an error that PostgreSQL reports: the one place that looks at SQLSTATEs (PostgreSQL manual,
// appendix A). Everything above reads the fields of the Failure that are set from it.
#ifndef ENGINE_DB_SERVER_POSTGRES_SQLSTATE_H_
#define ENGINE_DB_SERVER_POSTGRES_SQLSTATE_H_

#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "server/base/failure.h"

namespace engine::db::postgres {

// The consequences of a SQLSTATE.
struct Consequence {
  absl::StatusCode code = absl::StatusCode::kInvalidArgument;
  ErrorKind kind = ErrorKind::kExecution;
  // Of the statement's implicit transaction.
  Outcome outcome = Outcome::kRolledBack;
  // The same statement may well succeed if it is simply run again, and nothing of the first run remains.
  bool retryable = false;
  Cause cause = Cause::kOther;
  // Also said of what a command names, which is looked up before the command does anything.
  bool of_names = false;
  // What to do about it, where PostgreSQL does not say it.
  std::string_view hint = {};
};

// What an error's message tells of, which decides what of it may be shown (see message_sources.h).
enum class MessageSubject : uint8_t {
  kOther,
  kState,       // the state of the server, the session or the transaction: nothing of the data
  kValue,       // a value
  kConstraint,  // a constraint that a row violates
  kSignature,   // a function or an operator by its signature, which PostgreSQL never quotes
};

struct MessageFacts {
  MessageSubject subject = MessageSubject::kOther;
  // A number outside of quotation marks may come out of a value.
  bool may_hold_numbers = false;
  // The primary message may name a parameter: $1.
  bool may_name_parameter = false;
};

// Of an error that a statement ended with, while its session goes on. What ends the session is LinkLost().
[[nodiscard]] const Consequence& ConsequenceOf(std::string_view sqlstate);

[[nodiscard]] const MessageFacts& MessageFactsOf(std::string_view sqlstate);

// Whether a login that was refused like this will be refused again until somebody changes the settings. Empty: the
// server gave no SQLSTATE, or was not reached at all.
[[nodiscard]] bool IsPermanentRefusal(std::string_view sqlstate);

// kStalePlan or kMissingPlan if one of the gateway's own prepared statements is not, or no longer, what it was: preparing
// it again, under another name, mends it. Else kOther. `function` is the server's own that reported it, and needs no
// translation.
[[nodiscard]] Cause StalePlanCause(std::string_view sqlstate, std::string_view message, std::string_view function);

// The link to a backend broke while something was under way. `cause` is what was heard last, if anything (fact: the
// first error is the telling one); its SQLSTATE is kept. The outcome is UNKNOWN: whoever knows better says so.
[[nodiscard]] absl::Status LinkLost(const absl::Status& cause);

// Connecting failed with libpq's `message`, which must have been made with PQERRORS_VERBOSE so that it has the
// SQLSTATE. `target` names the target to the caller; `password` is left out of the message, should the server repeat
// it.
[[nodiscard]] absl::Status ConnectFailed(std::string_view target, std::string_view message, std::string_view password);

}  // namespace engine::db::postgres

#endif  // ENGINE_DB_SERVER_POSTGRES_SQLSTATE_H_
