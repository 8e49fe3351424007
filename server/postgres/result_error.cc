#include "server/postgres/result_error.h"

#include <libpq-fe.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/base/carried.h"
#include "server/base/failure.h"
#include "server/base/text.h"
#include "server/postgres/condition_name.h"
#include "server/postgres/hidden_values.h"
#include "server/postgres/message_sources.h"
#include "server/postgres/message_text.h"
#include "server/postgres/sqlstate.h"

namespace engine::db::postgres {
namespace {

using absl::StatusCode;

constexpr size_t kMaxHintBytes = 400;
constexpr size_t kMaxNameBytes = 64;
constexpr char kRaisedUrl[] = "engine.db/raised";

// What of an error's message and hint may be shown.
struct Shown {
  std::string message;
  std::string hint;
};

// The statement's first words, in capitals: "CREATE FUNCTION".
std::string FirstWords(std::string_view sql, int count) {
  std::string words;
  size_t at = 0;
  while (count-- > 0) {
    while (at < sql.size() && absl::ascii_isspace(static_cast<unsigned char>(sql[at]))) ++at;
    const size_t begin = at;
    while (at < sql.size() && absl::ascii_isalpha(static_cast<unsigned char>(sql[at]))) ++at;
    absl::StrAppend(&words, words.empty() ? "" : " ", absl::AsciiStrToUpper(ToAbsl(sql.substr(begin, at - begin))));
  }
  return words;
}

// It checks a function's body, which the caller wrote, and runs nothing.
bool MakesFunction(std::string_view sql) {
  return FirstWords(sql, 2) == "CREATE FUNCTION" || FirstWords(sql, 2) == "CREATE PROCEDURE" ||
         FirstWords(sql, 4) == "CREATE OR REPLACE FUNCTION" || FirstWords(sql, 4) == "CREATE OR REPLACE PROCEDURE";
}

// Whether an error can only be about what the caller wrote. With a context it was found while something else ran: a
// function, or the parser on a value (note::regtype), whose positions are those in that value.
bool IsAboutCallersText(const PGresult& result, std::string_view sql) {
  if (!ErrorField(result, PG_DIAG_INTERNAL_POSITION).empty() || !ErrorField(result, PG_DIAG_INTERNAL_QUERY).empty())
    return false;
  const bool has_position = !ErrorField(result, PG_DIAG_STATEMENT_POSITION).empty();
  if (!ErrorField(result, PG_DIAG_CONTEXT).empty()) return has_position && MakesFunction(sql);
  if (has_position) return true;
  const std::string word = FirstWords(sql, 1);  // of commands that evaluate nothing
  return word == "DROP" || word == "GRANT" || word == "REVOKE" || word == "COMMENT";
}

bool IsOfRawParser(std::string_view file) {
  return file == "scan.l" || file == "scan.c" || file == "gram.y" || file == "gram.c";
}

// Where a transaction fails when everything in it had worked: the check for serializability, and a foreign server that
// was told to commit (postgres_fdw names the command that failed).
bool IsAtCommit(std::string_view routine, std::string_view context) {
  return routine == "PreCommit_CheckForSerializationFailure" ||
         context.find("COMMIT TRANSACTION") != std::string_view::npos;
}

Shown WithoutText(std::string_view sqlstate) {
  const std::string_view hint = ConsequenceOf(sqlstate).hint;
  return {absl::StrCat(ConditionName(sqlstate), " (PostgreSQL's message is not shown, since it may hold data)"),
          absl::StrCat(ToAbsl(hint), hint.empty() ? "" : "; ",
                       "PostgreSQL's own log has the message, and the gateway's has it with errorDetail: log")};
}

Shown WhatToShow(const PGresult& result, std::string_view sqlstate, MessageKind kind, std::string_view sql) {
  const std::string_view primary = ErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  const std::string_view hint = ErrorField(result, PG_DIAG_MESSAGE_HINT);
  const MessageFacts& facts = MessageFactsOf(sqlstate);
  if (IsAboutCallersText(result, sql)) {
    const bool of_value = facts.subject == MessageSubject::kValue;
    return {of_value ? WithoutQuoted(primary) : std::string(primary), std::string(hint)};
  }
  // The text of a statement that a function made, perhaps of rows.
  const bool is_inner =
      !ErrorField(result, PG_DIAG_INTERNAL_POSITION).empty() || !ErrorField(result, PG_DIAG_INTERNAL_QUERY).empty();
  if (is_inner || kind == MessageKind::kData || kind == MessageKind::kAuthored) return WithoutText(sqlstate);
  std::string message = kind == MessageKind::kNames          ? std::string(primary)
                        : kind == MessageKind::kQuotesValues ? WithoutQuoted(primary)
                                                             : WithoutQuotedUnlessIn(primary, sql);
  if (facts.may_hold_numbers) message = WithoutNumbersUnlessIn(message, sql);
  return {std::move(message), std::string(hint)};
}

void SetNames(const PGresult& result, size_t limit, Failure& failure) {
  failure.constraint_name = Clipped(ErrorField(result, PG_DIAG_CONSTRAINT_NAME), limit);
  failure.schema_name = Clipped(ErrorField(result, PG_DIAG_SCHEMA_NAME), limit);
  failure.table_name = Clipped(ErrorField(result, PG_DIAG_TABLE_NAME), limit);
  failure.column_name = Clipped(ErrorField(result, PG_DIAG_COLUMN_NAME), limit);
  failure.data_type_name = Clipped(ErrorField(result, PG_DIAG_DATATYPE_NAME), limit);
}

// What the author of a function wrote waits for whoever knows the parameters.
void AttachRaised(const PGresult& result, absl::Status& status) {
  Failure raised = {.message = Clipped(ErrorField(result, PG_DIAG_MESSAGE_PRIMARY), kMaxSearchedBytes),
                    .hint = Clipped(ErrorField(result, PG_DIAG_MESSAGE_HINT), kMaxSearchedBytes)};
  SetNames(result, kMaxSearchedBytes, raised);
  Carry(kRaisedUrl, std::move(raised), status);
}

std::string Hidden(const std::string& text, absl::Span<const std::string_view> values, std::string_view sql,
                   size_t limit) {
  std::string shown = HideValues(text, values, sql, Search::kPieces);
  // The end of what was clipped may be the beginning of a value.
  if (text.size() >= kMaxSearchedBytes)
    shown = absl::StrCat(shown.substr(0, shown.size() - std::min<size_t>(shown.size(), 16)), "...");
  return Clipped(shown, limit);
}

}  // namespace

absl::Status StatusOfResult(const PGresult& result, std::string_view sql, const ErrorTexts& texts) {
  std::string_view severity = ErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
  if (severity.empty()) severity = ErrorField(result, PG_DIAG_SEVERITY);
  if (severity.empty()) return LinkLost(absl::OkStatus());  // libpq's own words: the link broke
  std::string_view sqlstate = ErrorField(result, PG_DIAG_SQLSTATE);
  if (sqlstate.empty()) sqlstate = "XX000";  // an error of which the server does not say which is the server's fault
  const std::string_view primary = ErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  const std::string_view file = ErrorField(result, PG_DIAG_SOURCE_FILE);
  const bool is_in_value = !ErrorField(result, PG_DIAG_CONTEXT).empty() && IsOfRawParser(file) && !MakesFunction(sql);
  const std::string_view position = is_in_value ? std::string_view() : ErrorField(result, PG_DIAG_STATEMENT_POSITION);
  const std::string_view routine = ErrorField(result, PG_DIAG_SOURCE_FUNCTION);
  const std::string_view context = ErrorField(result, PG_DIAG_CONTEXT);
  Consequence consequence = ConsequenceOf(sqlstate);
  // Names are looked up before a command begins; what its functions name is reported with their context. (An error of
  // an index expression's own, while the index is built, has none of these SQLSTATEs: all that it calls is immutable.)
  const bool refused_by_name = consequence.of_names && context.empty();
  const Cause stale_plan = StalePlanCause(sqlstate, primary, routine);
  if (stale_plan != Cause::kOther) {
    consequence = {.code = StatusCode::kAborted,
                   .outcome = Outcome::kNotExecuted,
                   .retryable = true,
                   .cause = stale_plan,
                   .hint = consequence.hint};
  } else if (texts.logged) {
    LogWholeError(result, sql, texts);
  }
  // What ends a session is about the session; a pooler before PostgreSQL has no source files to tell.
  const bool is_fatal = severity == "FATAL" || severity == "PANIC";
  const MessageKind kind = is_fatal ? MessageKind::kQuotesNames : KindOfMessage({sqlstate, file, routine});
  const Shown shown = WhatToShow(result, sqlstate, kind, sql);

  Failure failure = {.code = consequence.code,
                     .reason = stale_plan != Cause::kOther ? Reason::kStalePlan : Reason::kPostgresqlError,
                     .kind = consequence.kind,
                     .phase = IsAtCommit(routine, context) ? Phase::kCommitting
                              : refused_by_name            ? Phase::kValidating
                                                           : Phase::kExecuting,
                     .outcome = consequence.outcome,
                     .cause = consequence.cause,
                     .retryable = consequence.retryable,
                     .sqlstate = std::string(sqlstate),
                     .message = Clipped(shown.message, kMaxMessageBytes),
                     .hint = Clipped(shown.hint.empty() ? consequence.hint : shown.hint, kMaxHintBytes)};
  if (failure.message.empty()) failure.message = "PostgreSQL refused the statement without a message";
  uint32_t at = 0;
  if (absl::SimpleAtoi(ToAbsl(position), &at)) failure.position = at;
  if (kind != MessageKind::kAuthored && kind != MessageKind::kData) SetNames(result, kMaxNameBytes, failure);
  // A value that is refused while parameters are bound: the context's last line says whose.
  int parameter = position.empty() ? ParameterNumberIn(context.substr(context.rfind('\n') + 1)) : 0;
  if (parameter == 0 && MessageFactsOf(sqlstate).may_name_parameter) parameter = ParameterNumberIn(primary);
  if (parameter > 0) failure.field = absl::StrCat("$", parameter);

  absl::Status status = ToStatus(std::move(failure));
  // The session is over, even if the link should not be closed yet.
  if (is_fatal) return LinkLost(status);
  if (kind == MessageKind::kAuthored && !texts.hides_raised) AttachRaised(result, status);
  return status;
}

absl::Status WithoutValues(const absl::Status& status, absl::Span<const std::string_view> values,
                           std::string_view sql) {
  const auto* raised = FindCarried<Failure>(kRaisedUrl, status);
  if (raised == nullptr) {
    return WithFailure(status, [&](Failure& failure) {
      failure.message = HideValues(failure.message, values, sql, Search::kWhole);
      failure.hint = HideValues(failure.hint, values, sql, Search::kWhole);
    });
  }
  const auto hidden = [&](const std::string& text, size_t limit = kMaxNameBytes) {
    return Hidden(text, values, sql, limit);
  };
  absl::Status shown = WithFailure(status, [&](Failure& failure) {
    failure.message = hidden(raised->message, kMaxMessageBytes);
    failure.hint =
        raised->hint.empty() ? std::string(ConsequenceOf(failure.sqlstate).hint) : hidden(raised->hint, kMaxHintBytes);
    failure.constraint_name = hidden(raised->constraint_name);
    failure.schema_name = hidden(raised->schema_name);
    failure.table_name = hidden(raised->table_name);
    failure.column_name = hidden(raised->column_name);
    failure.data_type_name = hidden(raised->data_type_name);
  });
  shown.ErasePayload(kRaisedUrl);
  return shown;
}

}  // namespace engine::db::postgres
