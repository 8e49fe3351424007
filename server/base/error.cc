#include "server/base/error.h"

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace engine::db {

absl::Status MakeError(absl::StatusCode code, const v1::DatabaseError& detail) {
  Failure failure = {.code = code};
  Assign(detail, failure);
  return ToStatus(std::move(failure));
}

absl::Status MakeError(absl::StatusCode code, v1::ErrorKind kind, std::string_view reason, std::string_view message) {
  return ToStatus({.code = code,
                   .reason = FindReason(reason).value_or(Reason::kUnspecified),
                   .kind = static_cast<ErrorKind>(kind),
                   .message = std::string(message)});
}

absl::Status InvalidRequest(std::string_view field, std::string_view reason, std::string_view message) {
  return InvalidRequest(field, FindReason(reason).value_or(Reason::kUnspecified), message);
}

v1::DatabaseError ToProto(const Failure& failure) {
  v1::DatabaseError detail;
  detail.set_kind(static_cast<v1::ErrorKind>(failure.kind));
  detail.set_phase(static_cast<v1::Phase>(failure.phase));
  detail.set_outcome(static_cast<v1::Outcome>(failure.outcome));
  detail.set_status_code(static_cast<int32_t>(failure.code));
  detail.set_sqlstate(failure.sqlstate);
  detail.set_message(failure.message);
  detail.set_hint(failure.hint);
  detail.set_position(failure.position);
  detail.set_statement_index(failure.statement_index);
  detail.set_retryable(failure.retryable);
  detail.set_retry_after_ms(static_cast<uint32_t>(absl::ToInt64Milliseconds(failure.retry_after)));
  detail.set_constraint_name(failure.constraint_name);
  detail.set_schema_name(failure.schema_name);
  detail.set_table_name(failure.table_name);
  detail.set_column_name(failure.column_name);
  detail.set_data_type_name(failure.data_type_name);
  detail.set_rows_delivered(failure.rows_delivered);
  detail.set_field(failure.field);
  const std::string_view reason = NameOf(failure.reason);
  detail.set_reason(reason.data(), reason.size());
  detail.set_transaction_state(static_cast<v1::TransactionState>(failure.transaction_state));
  return detail;
}

v1::DatabaseError ErrorDetail(const absl::Status& status) {
  return status.ok() ? v1::DatabaseError() : ToProto(FailureOf(status));
}

void Assign(const v1::DatabaseError& detail, Failure& failure) {
  failure.reason = FindReason(detail.reason()).value_or(Reason::kUnspecified);
  failure.kind = static_cast<ErrorKind>(detail.kind());
  failure.phase = static_cast<Phase>(detail.phase());
  failure.outcome = static_cast<Outcome>(detail.outcome());
  failure.transaction_state = static_cast<TransactionState>(detail.transaction_state());
  failure.retryable = detail.retryable();
  failure.retry_after = absl::Milliseconds(detail.retry_after_ms());
  failure.sqlstate = detail.sqlstate();
  failure.message = detail.message();
  failure.hint = detail.hint();
  failure.field = detail.field();
  failure.constraint_name = detail.constraint_name();
  failure.schema_name = detail.schema_name();
  failure.table_name = detail.table_name();
  failure.column_name = detail.column_name();
  failure.data_type_name = detail.data_type_name();
  failure.position = detail.position();
  failure.statement_index = detail.statement_index();
  failure.rows_delivered = detail.rows_delivered();
}

}  // namespace engine::db
