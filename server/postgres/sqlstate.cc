#include "server/postgres/sqlstate.h"

#include <array>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "server/base/error.h"
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
  v1::DatabaseError detail;
  detail.set_kind(v1::ERROR_KIND_CONNECTION);
  detail.set_phase(v1::PHASE_CONNECTING);
  detail.set_outcome(v1::OUTCOME_NOT_EXECUTED);
  detail.set_retryable(!permanent);
  detail.set_sqlstate(std::string(sqlstate));
  detail.set_reason(sqlstate.empty() ? "UNREACHABLE" : "LOGIN_REFUSED");
  const std::array<std::string_view, 1> secrets = {password};
  detail.set_message(Clipped(absl::StrCat("can't connect to ", ToAbsl(target), ": ",
                                          HideValues(text.substr(0, kMaxSearchedBytes), secrets, "", Search::kPieces)),
                             kMaxMessageBytes));
  detail.set_hint(std::string(LoginHintFor(sqlstate, text)));
  return MakeError(permanent ? StatusCode::kFailedPrecondition : StatusCode::kUnavailable, std::move(detail));
}

}  // namespace engine::db::postgres
