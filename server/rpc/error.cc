#include "server/rpc/error.h"

#include <cstdint>
#include <string_view>

#include "absl/time/time.h"

namespace engine::db::rpc {

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

}  // namespace engine::db::rpc
