#include "server/postgres/sqlstate.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "server/base/text.h"
#include "server/postgres/hidden_values.h"
#include "server/postgres/message_text.h"
#include "server/postgres/prepared_statements.h"

namespace engine::db::postgres {
namespace {

using absl::StatusCode;

bool IsSqlState(std::string_view text) {
  if (text.size() != 5) return false;
  for (const char c : text) {
    if (!absl::ascii_isdigit(c) && !absl::ascii_isupper(c)) return false;
  }
  return true;
}

std::string_view LoginHintFor(std::string_view sqlstate, std::string_view text) {
  const auto says = [text](std::string_view words) { return text.find(words) != std::string_view::npos; };
  // PgBouncer's, of `options`.
  if (says("unsupported startup parameter")) {
    return "this is a pooler: connect to PostgreSQL itself, or to the pooler in session mode, with "
           "ignore_startup_parameters = options";
  }
  if (says("no password supplied")) return "the server asks for a password, and none was given";
  if (says("root certificate") || says("certificate verify failed")) {
    return "the certificate is held against tlsRootCertificate of the data source, else against "
           "databaseRootCertificate of the gateway's configuration, else against the machine's own authorities; "
           "~/.postgresql/root.crt is not read";
  }
  if (sqlstate == "28P01") return "check user and password, or what the password file holds";
  if (sqlstate.substr(0, 2) == "28") return "check user, dbname and tls_mode against the server's pg_hba.conf";
  if (sqlstate == "3D000") return "check dbname";
  if (sqlstate == "42501") return "grant the role CONNECT on the database";
  if (sqlstate == "53300") return "raise the server's max_connections, or lower max_pool_size";
  if (sqlstate.empty()) return "check host, port and tls_mode, and that the server runs";
  return "";
}

// A row is a SQLSTATE, or a class (its first two characters) for those of it that have no row of their own. Sorted.
struct Row {
  std::string_view sqlstate;
  Consequence consequence;
};

constexpr std::string_view kConflictHint = "repeat it: another transaction was in its way";
constexpr std::string_view kUnknownHint = "look whether it took effect before repeating it";
constexpr std::string_view kPoolerHint =
    "if a connection pooler stands before PostgreSQL, let it pool sessions, or connect past it";

// The statement is in order, but something that it found is not as it should be: a row, an object's state, what a
// function of the application's insists on.
constexpr Consequence kStateFound = {.code = StatusCode::kFailedPrecondition};
constexpr Consequence kTransactionState = {.code = StatusCode::kFailedPrecondition, .kind = ErrorKind::kTransaction};
// A server behind this one, a foreign one or one that a function asks, could not be reached, or went away.
constexpr Consequence kUnreachable = {
    .code = StatusCode::kUnavailable, .kind = ErrorKind::kConnection, .retryable = true};
constexpr Consequence kConnectionBroke = {
    .code = StatusCode::kUnknown, .kind = ErrorKind::kConnection, .outcome = Outcome::kUnknown};
constexpr Consequence kInDoubt = {
    .code = StatusCode::kUnknown, .kind = ErrorKind::kTransaction, .outcome = Outcome::kUnknown, .hint = kUnknownHint};
constexpr Consequence kConflicted = {.code = StatusCode::kAborted,
                                     .kind = ErrorKind::kTransaction,
                                     .retryable = true,
                                     .cause = Cause::kConflict,
                                     .hint = kConflictHint};
constexpr Consequence kServersFault = {.code = StatusCode::kInternal};
constexpr Consequence kName = {.of_names = true};

constexpr Consequence OutOf(std::string_view hint) {
  return {.code = StatusCode::kResourceExhausted, .cause = Cause::kInsufficientResources, .hint = hint};
}

constexpr auto kRows = std::to_array<Row>({
    {"02", kStateFound},
    {"08", kConnectionBroke},
    {"08001", kUnreachable},
    {"08004", kUnreachable},
    {"08007", kInDoubt},
    {"08P01", kServersFault},
    {"09", kStateFound},
    {"0A", {.code = StatusCode::kUnimplemented}},
    {"0A000", {.code = StatusCode::kUnimplemented, .of_names = true}},
    {"0B", kTransactionState},
    {"0L", {.code = StatusCode::kPermissionDenied}},
    {"20", kStateFound},
    {"23", kStateFound},
    {"23505", {.code = StatusCode::kAlreadyExists}},
    {"24", kStateFound},
    {"25", kTransactionState},
    {"25001", {.code = StatusCode::kFailedPrecondition, .kind = ErrorKind::kTransaction, .of_names = true}},
    {"25006",
     {.code = StatusCode::kUnavailable,
      .kind = ErrorKind::kConnection,
      .outcome = Outcome::kNotExecuted,
      .retryable = true,
      .cause = Cause::kReadOnly,
      .hint = "connect to the server that takes writes, or leave read_only out"}},
    {"25P02",
     {.code = StatusCode::kFailedPrecondition,
      .kind = ErrorKind::kTransaction,
      .outcome = Outcome::kNotExecuted,
      .hint = "roll back, or roll back to a savepoint; nothing else runs in a failed transaction"}},
    {"25P03", kConnectionBroke},
    {"26000", {.hint = kPoolerHint}},
    {"27", kStateFound},
    {"28", {.code = StatusCode::kFailedPrecondition, .cause = Cause::kCredentials}},
    {"2B", kStateFound},
    {"2D", kTransactionState},
    {"2F", kStateFound},
    {"34", kStateFound},
    {"38", kStateFound},
    {"39", kStateFound},
    {"3B", kTransactionState},
    {"3D000", {.cause = Cause::kCredentials}},
    {"3F000", kName},
    {"40", {.code = StatusCode::kAborted, .kind = ErrorKind::kTransaction}},
    {"40001", kConflicted},
    {"40003", kInDoubt},
    {"40P01", kConflicted},
    {"42501",
     {.code = StatusCode::kPermissionDenied,
      .cause = Cause::kPermissionDenied,
      .of_names = true,
      .hint = "grant the role what it needs, or use another data source"}},
    {"42703", kName},
    {"42704", kName},
    {"42710", kName},
    {"42803", {.cause = Cause::kNotGrouped}},
    {"42804", {.cause = Cause::kTypeMismatch}},
    {"42809", kName},
    {"42883", {.cause = Cause::kTypeMismatch}},
    {"42P01", kName},
    {"42P05", {.hint = kPoolerHint}},
    {"42P07", kName},
    {"42P08", {.cause = Cause::kUnknownParameterType}},
    {"42P10", {.cause = Cause::kNotSelected}},
    {"42P18", {.cause = Cause::kUnknownParameterType}},
    {"44", kStateFound},
    {"53", OutOf("")},
    {"53100", OutOf("the server's disk is full: nothing can be written until there is room")},
    {"53200", OutOf("the server is out of memory: ask for less, or lower work_mem")},
    {"53300",
     {.code = StatusCode::kUnavailable,
      .kind = ErrorKind::kConnection,
      .retryable = true,
      .cause = Cause::kInsufficientResources}},
    {"53400", OutOf("a limit of the server's configuration was reached (temp_file_limit or the like)")},
    {"55", kStateFound},
    {"55P03",
     {.code = StatusCode::kAborted,
      .kind = ErrorKind::kTimeout,
      .retryable = true,
      .hint = "another transaction holds the lock: repeat it later, or raise lock_timeout"}},
    {"57", kStateFound},
    {"57014",
     {.code = StatusCode::kCancelled,
      .kind = ErrorKind::kTimeout,
      .cause = Cause::kCancelled,
      .hint = "neither the caller nor the gateway cancelled it: statement_timeout did, or pg_cancel_backend()"}},
    {"57P01", kConnectionBroke},
    {"57P02", kConnectionBroke},
    {"57P03", kUnreachable},
    {"57P04", kConnectionBroke},
    {"57P05", kConnectionBroke},
    {"58", kServersFault},
    {"72000", {.code = StatusCode::kAborted, .retryable = true}},  // the snapshot was too old
    {"F0", kServersFault},
    {"HV", kStateFound},
    {"HV001", {.code = StatusCode::kResourceExhausted}},
    {"HV00N", kUnreachable},
    {"P0", kStateFound},
    {"P0004", kServersFault},
    {"XX", kServersFault},
});

// The same, of messages. A row of its own repeats what holds for its class.
struct MessageRow {
  std::string_view sqlstate;
  MessageFacts facts;
};

constexpr MessageFacts kOfState = {.subject = MessageSubject::kState};
constexpr MessageFacts kOfObjectState = {.subject = MessageSubject::kState, .may_hold_numbers = true};
constexpr MessageFacts kOfSignature = {
    .subject = MessageSubject::kSignature, .may_hold_numbers = true, .may_name_parameter = true};

constexpr auto kMessageRows = std::to_array<MessageRow>({
    {"0A", {.may_hold_numbers = true}},
    {"22", {.subject = MessageSubject::kValue, .may_hold_numbers = true}},
    {"23", {.subject = MessageSubject::kConstraint}},
    {"25", kOfState},
    {"40", kOfState},
    {"42", {.may_hold_numbers = true, .may_name_parameter = true}},
    {"42725", kOfSignature},
    {"42883", kOfSignature},
    {"53", kOfState},
    {"55", {.may_hold_numbers = true}},
    {"55006", kOfObjectState},
    {"55P03", kOfObjectState},
    {"57", kOfState},
});

template <typename Rows>
constexpr bool IsSorted(const Rows& rows) {
  for (size_t i = 1; i < rows.size(); ++i) {
    if (!(rows[i - 1].sqlstate < rows[i].sqlstate)) return false;
  }
  return true;
}
static_assert(IsSorted(kRows) && IsSorted(kMessageRows), "the tables are searched by halves");

// The SQLSTATE's own row, else that of its class, else null.
template <typename Rows>
const typename Rows::value_type* FindRow(const Rows& rows, std::string_view sqlstate) {
  const auto find = [&rows](std::string_view key) {
    const auto* row = std::lower_bound(rows.begin(), rows.end(), key,
                                       [](const auto& r, std::string_view wanted) { return r.sqlstate < wanted; });
    return row != rows.end() && row->sqlstate == key ? row : nullptr;
  };
  const auto* own = find(sqlstate);
  return own != nullptr ? own : find(sqlstate.substr(0, 2));
}

}  // namespace

const Consequence& ConsequenceOf(std::string_view sqlstate) {
  static constexpr Consequence kOther;
  const Row* row = FindRow(kRows, sqlstate);
  return row != nullptr ? row->consequence : kOther;
}

const MessageFacts& MessageFactsOf(std::string_view sqlstate) {
  static constexpr MessageFacts kOther;
  const MessageRow* row = FindRow(kMessageRows, sqlstate);
  return row != nullptr ? row->facts : kOther;
}

bool IsPermanentRefusal(std::string_view sqlstate) {
  const std::string_view cls = sqlstate.substr(0, 2);
  return ConsequenceOf(sqlstate).cause == Cause::kCredentials || cls == "0A" || cls == "22" || cls == "42" ||
         sqlstate == "08P01" || sqlstate == "55000";
}

Cause StalePlanCause(std::string_view sqlstate, std::string_view message, std::string_view function) {
  const auto says = [message](std::string_view words) { return message.find(words) != std::string_view::npos; };
  const auto is = [](bool stale, Cause cause) { return stale ? cause : Cause::kOther; };
  if (sqlstate == "0A000") {
    return is(function == "RevalidateCachedQuery" || says("cached plan"), Cause::kStalePlan);
  }
  // Found while values are bound: the type of a parameter was dropped since, and perhaps made again.
  if (sqlstate == "XX000") {
    return is(function == "getTypeInputInfo" || function == "getTypeBinaryInputInfo", Cause::kStalePlan);
  }
  // A caller may PREPARE, EXECUTE and DEALLOCATE under names of its own.
  return is((sqlstate == "26000" || sqlstate == "42P05") && says(kPreparedNames), Cause::kMissingPlan);
}

absl::Status LinkLost(const absl::Status& cause) {
  Failure failure = {.code = StatusCode::kUnknown,
                     .reason = Reason::kLinkLost,
                     .kind = ErrorKind::kConnection,
                     .phase = Phase::kExecuting,
                     .outcome = Outcome::kUnknown,
                     .backend_usable = false,
                     .message = "the connection to PostgreSQL was lost"};
  if (!cause.ok()) {
    const Failure heard = FailureOf(cause);
    failure.sqlstate = heard.sqlstate;
    failure.cause = heard.cause;
    if (heard.reason == Reason::kLinkLost) {
      if (!heard.message.empty()) failure.message = heard.message;
    } else if (!heard.message.empty()) {
      absl::StrAppend(&failure.message, ": ", heard.message);
    }
  }
  return ToStatus(std::move(failure));
}

absl::Status ConnectFailed(std::string_view target, std::string_view message, std::string_view password) {
  // Of 'connection to server at "h" (1.2.3.4), port 5432 failed: FATAL:  28P01: password ...\nLOCATION: ...' the tail
  // of the last first-line counts; libpq may have tried several addresses.
  std::string_view text = message;
  if (const size_t location = text.find("\nLOCATION:"); location != std::string_view::npos)
    text = text.substr(0, location);
  if (const size_t failed = text.rfind(" failed: "); failed != std::string_view::npos) text = text.substr(failed + 9);
  std::string_view sqlstate;
  if (const size_t severity = text.find(":  "); severity < 16) {
    std::string_view rest = text.substr(severity + 3);
    if (rest.size() > 7 && IsSqlState(rest.substr(0, 5)) && rest.substr(5).starts_with(": ")) {
      sqlstate = rest.substr(0, 5);
      text = rest.substr(7);
    }
  }
  text = text.substr(0, text.find('\n'));

  const bool permanent = IsPermanentRefusal(sqlstate);
  const std::array<std::string_view, 1> secrets = {password};
  return ToStatus(
      {.code = permanent ? StatusCode::kFailedPrecondition : StatusCode::kUnavailable,
       .reason = sqlstate.empty() ? Reason::kUnreachable : Reason::kLoginRefused,
       .kind = ErrorKind::kConnection,
       .phase = Phase::kConnecting,
       .outcome = Outcome::kNotExecuted,
       .cause = ConsequenceOf(sqlstate).cause,
       .retryable = !permanent,
       .sqlstate = std::string(sqlstate),
       .message = Clipped(absl::StrCat("can't connect to ", ToAbsl(target), ": ",
                                       HideValues(text.substr(0, kMaxSearchedBytes), secrets, "", Search::kPieces)),
                          kMaxMessageBytes),
       .hint = std::string(LoginHintFor(sqlstate, text))});
}

}  // namespace engine::db::postgres
