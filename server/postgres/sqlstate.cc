#include "server/postgres/sqlstate.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/base/error.h"
#include "server/base/text.h"
#include "server/base/utf8.h"
#include "server/postgres/message_text.h"
#include "server/postgres/prepared_statements.h"

namespace engine::db::postgres {
namespace {

using absl::StatusCode;

std::string_view Field(const PGresult& result, int code) {
  const char* value = PQresultErrorField(&result, code);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

// Bounded so that the details fit into HTTP/2 trailers.
std::string Clip(std::string_view raw, size_t limit) {
  const std::string text = ToValidUtf8(raw);  // a database in SQL_ASCII has others
  if (text.size() <= limit) return text;
  size_t end = limit;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;  // not within a UTF-8 sequence
  return absl::StrCat(ToAbsl(text.substr(0, end)), "...");
}

bool IsSqlState(std::string_view text) {
  if (text.size() != 5) return false;
  for (const char c : text) {
    if (!absl::ascii_isdigit(c) && !absl::ascii_isupper(c)) return false;
  }
  return true;
}

// Messages of these quote names, and a name may come out of a value: ?::regclass, to_tsquery(?), pg_read_file(?).
bool MayQuoteNameFromValue(std::string_view sqlstate) {
  constexpr std::array<std::string_view, 12> kStates = {"42601", "42602", "42622", "42P01", "42P02", "42703",
                                                        "42704", "42725", "42883", "3D000", "3F000", "34000"};
  return sqlstate.substr(0, 2) == "58" || std::find(kStates.begin(), kStates.end(), sqlstate) != kStates.end();
}

// What of the primary message may be shown.
std::string Shown(std::string_view primary, std::string_view sqlstate, bool has_place, std::string_view sql) {
  if (sqlstate.substr(0, 2) == "22") return WithoutQuoted(primary);
  // An error with a position is about the text of a statement or function, not about what it found in a value.
  if (MayQuoteNameFromValue(sqlstate) && !has_place) return WithoutQuotedUnlessIn(primary, sql);
  return std::string(primary);
}

// What a command names is looked up before it begins; what its functions name is reported with their context. (An
// error of an index expression's own, while the index is built, has none of these SQLSTATEs: all that it calls is
// immutable.)
bool IsRefusedByName(std::string_view sqlstate, std::string_view context) {
  constexpr std::array<std::string_view, 10> kStates = {"0A000", "25001", "3F000", "42501", "42703",
                                                        "42704", "42710", "42809", "42P01", "42P07"};
  return context.empty() && std::find(kStates.begin(), kStates.end(), sqlstate) != kStates.end();
}

// Where a transaction fails when everything in it had worked: the check for serializability, and a foreign server that
// was told to commit (postgres_fdw names the command that failed).
bool IsAtCommit(std::string_view function, std::string_view context) {
  return function == "PreCommit_CheckForSerializationFailure" ||
         context.find("COMMIT TRANSACTION") != std::string_view::npos;
}

// What to do about it, where PostgreSQL does not say it.
std::string_view HintFor(std::string_view sqlstate) {
  if (sqlstate == "25P02") return "roll back, or roll back to a savepoint; nothing else runs in a failed transaction";
  if (sqlstate == "25006") return "connect to the server that takes writes, or leave read_only out";
  if (sqlstate == "26000" || sqlstate == "42P05") {
    return "if a connection pooler stands before PostgreSQL, let it pool sessions, or connect past it";
  }
  if (sqlstate == "40001" || sqlstate == "40P01") return "repeat it: another transaction was in its way";
  if (sqlstate == "40003" || sqlstate == "08007") return "look whether it took effect before repeating it";
  if (sqlstate == "42501") return "grant the role what it needs, or use another data source";
  if (sqlstate == "53100") return "the server's disk is full: nothing can be written until there is room";
  if (sqlstate == "53200") return "the server is out of memory: ask for less, or lower work_mem";
  if (sqlstate == "53400") return "a limit of the server's configuration was reached (temp_file_limit or the like)";
  if (sqlstate == "55P03") return "another transaction holds the lock: repeat it later, or raise lock_timeout";
  if (sqlstate == "57014") {
    return "neither the caller nor the gateway cancelled it: statement_timeout did, or pg_cancel_backend()";
  }
  return "";
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

}  // namespace

Consequence ConsequenceOf(std::string_view sqlstate) {
  const std::string_view cls = sqlstate.substr(0, 2);
  const auto is = [sqlstate](auto... codes) { return ((sqlstate == codes) || ...); };
  const auto in = [cls](auto... classes) { return ((cls == classes) || ...); };

  if (is("40001", "40P01")) {
    return {.code = StatusCode::kAborted, .kind = v1::ERROR_KIND_TRANSACTION, .retryable = true};
  }
  if (is("40003", "08007")) {
    return {.code = StatusCode::kUnknown, .kind = v1::ERROR_KIND_TRANSACTION, .outcome = v1::OUTCOME_UNKNOWN};
  }
  if (in("40")) return {.code = StatusCode::kAborted, .kind = v1::ERROR_KIND_TRANSACTION};
  // A server behind this one, a foreign one or one that a function asks, could not be reached, or went away.
  if (is("08001", "08004", "53300", "57P03", "HV00N")) {
    return {.code = StatusCode::kUnavailable, .kind = v1::ERROR_KIND_CONNECTION, .retryable = true};
  }
  if (is("08P01")) return {.code = StatusCode::kInternal};
  if (in("08") || is("57P01", "57P02", "57P04", "57P05", "25P03")) {
    return {.code = StatusCode::kUnknown, .kind = v1::ERROR_KIND_CONNECTION, .outcome = v1::OUTCOME_UNKNOWN};
  }
  if (is("57014")) return {.code = StatusCode::kCancelled, .kind = v1::ERROR_KIND_TIMEOUT};
  if (is("55P03")) return {.code = StatusCode::kAborted, .kind = v1::ERROR_KIND_TIMEOUT, .retryable = true};
  if (is("25006")) {
    return {.code = StatusCode::kUnavailable,
            .kind = v1::ERROR_KIND_CONNECTION,
            .outcome = v1::OUTCOME_NOT_EXECUTED,
            .retryable = true};
  }
  if (is("25P02")) {
    return {.code = StatusCode::kFailedPrecondition,
            .kind = v1::ERROR_KIND_TRANSACTION,
            .outcome = v1::OUTCOME_NOT_EXECUTED};
  }
  if (in("25", "0B", "2D", "3B")) return {.code = StatusCode::kFailedPrecondition, .kind = v1::ERROR_KIND_TRANSACTION};
  if (is("72000")) return {.code = StatusCode::kAborted, .retryable = true};  // the snapshot was too old
  if (is("HV001") || in("53")) return {.code = StatusCode::kResourceExhausted};
  if (is("23505")) return {.code = StatusCode::kAlreadyExists};
  if (is("42501") || in("0L")) return {.code = StatusCode::kPermissionDenied};
  if (in("0A")) return {.code = StatusCode::kUnimplemented};
  if (is("P0004") || in("58", "F0", "XX")) return {.code = StatusCode::kInternal};
  // The statement is in order, but something that it found is not as it should be: a row, an object's state, what a
  // function of the application's insists on.
  if (in("02", "09", "20", "23", "24", "27", "28", "2B", "2F", "34", "38", "39", "44", "55", "57", "HV", "P0")) {
    return {.code = StatusCode::kFailedPrecondition};
  }
  return {};
}

bool IsPermanentRefusal(std::string_view sqlstate) {
  const std::string_view cls = sqlstate.substr(0, 2);
  return MayMeanOldSecret(sqlstate) || cls == "0A" || cls == "22" || cls == "42" || sqlstate == "08P01" ||
         sqlstate == "55000";
}

bool MayMeanOldSecret(std::string_view sqlstate) { return sqlstate.substr(0, 2) == "28" || sqlstate == "3D000"; }

bool MeansStalePlan(std::string_view sqlstate, std::string_view message, std::string_view function) {
  if (sqlstate == "0A000") {
    return function == "RevalidateCachedQuery" || message.find("cached plan") != std::string_view::npos;
  }
  // Found while values are bound: the type of a parameter was dropped since, and perhaps made again.
  if (sqlstate == "XX000" && (function == "getTypeInputInfo" || function == "getTypeBinaryInputInfo")) return true;
  // A caller may PREPARE, EXECUTE and DEALLOCATE under names of its own.
  return (sqlstate == "26000" || sqlstate == "42P05") && message.find(kPreparedNames) != std::string_view::npos;
}

absl::Status StatusOfResult(const PGresult& result, std::string_view sql) {
  std::string_view severity = Field(result, PG_DIAG_SEVERITY_NONLOCALIZED);
  if (severity.empty()) severity = Field(result, PG_DIAG_SEVERITY);
  if (severity.empty()) return LinkLost(absl::OkStatus());  // libpq's own words: the link broke
  std::string_view sqlstate = Field(result, PG_DIAG_SQLSTATE);
  if (sqlstate.empty()) sqlstate = "XX000";  // an error of which the server does not say which is the server's fault
  const std::string_view primary = Field(result, PG_DIAG_MESSAGE_PRIMARY);
  const std::string_view position = Field(result, PG_DIAG_STATEMENT_POSITION);
  const bool has_place = !position.empty() || !Field(result, PG_DIAG_INTERNAL_POSITION).empty();
  const std::string_view hint = Field(result, PG_DIAG_MESSAGE_HINT);
  Consequence consequence = ConsequenceOf(sqlstate);
  const std::string_view function = Field(result, PG_DIAG_SOURCE_FUNCTION);
  const bool stale_plan = MeansStalePlan(sqlstate, primary, function);
  if (stale_plan) {
    consequence = {.code = StatusCode::kAborted, .outcome = v1::OUTCOME_NOT_EXECUTED, .retryable = true};
  }

  v1::DatabaseError detail;
  detail.set_kind(consequence.kind);
  const std::string_view context = Field(result, PG_DIAG_CONTEXT);
  detail.set_phase(IsAtCommit(function, context)        ? v1::PHASE_COMMITTING
                   : IsRefusedByName(sqlstate, context) ? v1::PHASE_VALIDATING
                                                        : v1::PHASE_EXECUTING);
  detail.set_outcome(consequence.outcome);
  detail.set_retryable(consequence.retryable);
  detail.set_sqlstate(std::string(sqlstate));
  detail.set_reason(std::string(stale_plan ? "STALE_PLAN" : kPostgresError));
  detail.set_message(Clip(Shown(primary, sqlstate, has_place, sql), 700));
  if (detail.message().empty()) detail.set_message("PostgreSQL refused the statement without a message");
  detail.set_hint(Clip(hint.empty() ? HintFor(sqlstate) : hint, 400));
  uint32_t at = 0;
  if (absl::SimpleAtoi(ToAbsl(position), &at)) detail.set_position(at);
  detail.set_constraint_name(Clip(Field(result, PG_DIAG_CONSTRAINT_NAME), 64));
  detail.set_schema_name(Clip(Field(result, PG_DIAG_SCHEMA_NAME), 64));
  detail.set_table_name(Clip(Field(result, PG_DIAG_TABLE_NAME), 64));
  detail.set_column_name(Clip(Field(result, PG_DIAG_COLUMN_NAME), 64));
  detail.set_data_type_name(Clip(Field(result, PG_DIAG_DATATYPE_NAME), 64));
  // A value that is refused while parameters are bound: the context's last line says whose.
  int parameter = position.empty() ? ParameterNumberIn(context.substr(context.rfind('\n') + 1)) : 0;
  if (parameter == 0 && sqlstate.substr(0, 2) == "42") parameter = ParameterNumberIn(primary);
  if (parameter > 0) detail.set_field(absl::StrCat("$", parameter));

  const absl::Status status = MakeError(consequence.code, std::move(detail));
  // The session is over, even if the link should not be closed yet.
  return severity == "FATAL" || severity == "PANIC" ? LinkLost(status) : status;
}

absl::Status LinkLost(const absl::Status& cause) {
  v1::DatabaseError detail;
  detail.set_kind(v1::ERROR_KIND_CONNECTION);
  detail.set_phase(v1::PHASE_EXECUTING);
  detail.set_outcome(v1::OUTCOME_UNKNOWN);
  detail.set_reason(std::string(kLinkLost));
  detail.set_message("the connection to PostgreSQL was lost");
  if (!cause.ok()) {
    const v1::DatabaseError heard = ErrorDetail(cause);
    detail.set_sqlstate(heard.sqlstate());
    if (heard.reason() == kLinkLost) {
      if (!heard.message().empty()) detail.set_message(heard.message());
    } else if (!heard.message().empty()) {
      detail.set_message(absl::StrCat("the connection to PostgreSQL was lost: ", heard.message()));
    }
  }
  return MakeError(StatusCode::kUnknown, std::move(detail));
}

absl::Status ConnectFailed(std::string_view target, std::string_view message) {
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
  v1::DatabaseError detail;
  detail.set_kind(v1::ERROR_KIND_CONNECTION);
  detail.set_phase(v1::PHASE_CONNECTING);
  detail.set_outcome(v1::OUTCOME_NOT_EXECUTED);
  detail.set_retryable(!permanent);
  detail.set_sqlstate(std::string(sqlstate));
  detail.set_reason(sqlstate.empty() ? "UNREACHABLE" : "LOGIN_REFUSED");
  detail.set_message(Clip(absl::StrCat("can't connect to ", ToAbsl(target), ": ", ToAbsl(text)), 700));
  detail.set_hint(std::string(LoginHintFor(sqlstate, text)));
  return MakeError(permanent ? StatusCode::kFailedPrecondition : StatusCode::kUnavailable, std::move(detail));
}

}  // namespace engine::db::postgres
