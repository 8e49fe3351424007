#include "server/postgres/sqlstate.h"

#include <cstdint>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/base/error.h"
#include "server/base/text.h"

namespace engine::db::postgres {
namespace {

using absl::StatusCode;

std::string_view Field(const PGresult& result, int code) {
  const char* value = PQresultErrorField(&result, code);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

// 22P02 and its like quote the value they refuse. A value may hold quotes itself: everything from the first to the last
// goes.
std::string WithoutQuotedData(std::string_view message) {
  const size_t first = message.find('"');
  const size_t last = message.rfind('"');
  if (first == std::string_view::npos || first == last) return std::string(message);
  return absl::StrCat(ToAbsl(message.substr(0, first + 1)), "...", ToAbsl(message.substr(last)));
}

// Bounded so that the details fit into HTTP/2 trailers.
std::string Clip(std::string_view text, size_t limit) {
  if (text.size() <= limit) return std::string(text);
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

}  // namespace

Consequence ConsequenceOf(std::string_view sqlstate) {
  const std::string_view cls = sqlstate.substr(0, 2);
  if (sqlstate == "40001" || sqlstate == "40P01") {
    return {.code = StatusCode::kAborted, .kind = v1::ERROR_KIND_TRANSACTION, .retryable = true};
  }
  if (sqlstate == "40003" || sqlstate == "08007") {
    return {.code = StatusCode::kUnknown, .kind = v1::ERROR_KIND_TRANSACTION, .outcome = v1::OUTCOME_UNKNOWN};
  }
  if (cls == "40") return {.code = StatusCode::kAborted, .kind = v1::ERROR_KIND_TRANSACTION};
  if (sqlstate == "57P03" || sqlstate == "53300" || sqlstate == "08001" || sqlstate == "08004") {
    return {.code = StatusCode::kUnavailable,
            .kind = v1::ERROR_KIND_CONNECTION,
            .outcome = v1::OUTCOME_NOT_EXECUTED,
            .retryable = true,
            .backend_usable = false};
  }
  if (cls == "08" || cls == "58" || sqlstate == "57P01" || sqlstate == "57P02" || sqlstate == "57P05" ||
      sqlstate == "25P03") {
    return {.code = StatusCode::kUnknown,
            .kind = v1::ERROR_KIND_CONNECTION,
            .outcome = v1::OUTCOME_UNKNOWN,
            .backend_usable = false};
  }
  if (cls == "28" || sqlstate == "3D000") {
    return {.code = StatusCode::kFailedPrecondition,
            .kind = v1::ERROR_KIND_CONNECTION,
            .outcome = v1::OUTCOME_NOT_EXECUTED,
            .backend_usable = false};
  }
  if (sqlstate == "57014") return {.code = StatusCode::kCancelled, .kind = v1::ERROR_KIND_TIMEOUT};
  if (sqlstate == "55P03") return {.code = StatusCode::kAborted, .kind = v1::ERROR_KIND_TIMEOUT, .retryable = true};
  if (sqlstate == "25006") {
    return {.code = StatusCode::kFailedPrecondition};
  }
  if (cls == "25") return {.code = StatusCode::kFailedPrecondition, .kind = v1::ERROR_KIND_TRANSACTION};
  if (cls == "53") return {.code = StatusCode::kResourceExhausted};
  if (cls == "22") return {.code = StatusCode::kInvalidArgument};
  if (sqlstate == "23505" || sqlstate == "23P01") return {.code = StatusCode::kAlreadyExists};
  if (cls == "23") return {.code = StatusCode::kFailedPrecondition};
  if (sqlstate == "42501") return {.code = StatusCode::kPermissionDenied};
  if (cls == "55") return {.code = StatusCode::kFailedPrecondition};
  if (cls == "XX") return {.code = StatusCode::kInternal};
  return {};
}

bool MeansStalePlan(std::string_view sqlstate, std::string_view message) {
  return sqlstate == "26000" || (sqlstate == "0A000" && message.find("cached plan") != std::string_view::npos);
}

absl::Status StatusOfResult(const PGresult& result) {
  const std::string_view sqlstate = Field(result, PG_DIAG_SQLSTATE);
  const std::string_view primary = Field(result, PG_DIAG_MESSAGE_PRIMARY);
  const Consequence consequence = ConsequenceOf(sqlstate);

  v1::DatabaseError detail;
  detail.set_kind(consequence.kind);
  detail.set_phase(v1::PHASE_EXECUTING);
  detail.set_outcome(consequence.outcome);
  detail.set_retryable(consequence.retryable);
  detail.set_sqlstate(std::string(sqlstate));
  detail.set_reason(MeansStalePlan(sqlstate, primary) ? "STALE_PLAN" : "POSTGRESQL_ERROR");
  detail.set_message(Clip((sqlstate.substr(0, 2) == "22") ? WithoutQuotedData(primary) : std::string(primary), 700));
  detail.set_hint(Clip(Field(result, PG_DIAG_MESSAGE_HINT), 400));
  uint32_t position = 0;
  if (absl::SimpleAtoi(ToAbsl(Field(result, PG_DIAG_STATEMENT_POSITION)), &position)) detail.set_position(position);
  detail.set_constraint_name(std::string(Field(result, PG_DIAG_CONSTRAINT_NAME)));
  detail.set_schema_name(std::string(Field(result, PG_DIAG_SCHEMA_NAME)));
  detail.set_table_name(std::string(Field(result, PG_DIAG_TABLE_NAME)));
  detail.set_column_name(std::string(Field(result, PG_DIAG_COLUMN_NAME)));
  detail.set_data_type_name(std::string(Field(result, PG_DIAG_DATATYPE_NAME)));
  if (sqlstate.empty()) {  // libpq's own words: the link broke
    return LinkLost(absl::OkStatus());
  }
  return MakeError(consequence.code, std::move(detail));
}

absl::Status LinkLost(const absl::Status& cause) {
  v1::DatabaseError detail;
  detail.set_kind(v1::ERROR_KIND_CONNECTION);
  detail.set_phase(v1::PHASE_EXECUTING);
  detail.set_outcome(v1::OUTCOME_UNKNOWN);
  detail.set_reason("LINK_LOST");
  detail.set_message("the connection to PostgreSQL was lost");
  if (!cause.ok()) {
    const v1::DatabaseError heard = ErrorDetail(cause);
    detail.set_sqlstate(heard.sqlstate());
    if (!heard.message().empty() && heard.reason() != "LINK_LOST") {
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

  Consequence consequence = ConsequenceOf(sqlstate.empty() ? "08001" : sqlstate);
  v1::DatabaseError detail;
  detail.set_kind(v1::ERROR_KIND_CONNECTION);
  detail.set_phase(v1::PHASE_CONNECTING);
  detail.set_outcome(v1::OUTCOME_NOT_EXECUTED);
  detail.set_retryable(consequence.retryable);
  detail.set_sqlstate(std::string(sqlstate));
  detail.set_reason(sqlstate.empty() ? "UNREACHABLE" : "LOGIN_REFUSED");
  detail.set_message(Clip(absl::StrCat("can't connect to ", ToAbsl(target), ": ", ToAbsl(text)), 700));
  const bool permanent = consequence.code == StatusCode::kFailedPrecondition;
  return MakeError(permanent ? StatusCode::kFailedPrecondition : StatusCode::kUnavailable, std::move(detail));
}

}  // namespace engine::db::postgres
