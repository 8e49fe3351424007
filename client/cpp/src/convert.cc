#include "client/cpp/src/convert.h"

#include <chrono>
#include <span>
#include <utility>
#include <variant>
#include <vector>

#include "engine_db/reasons.h"
#include "sdk/common/utf8.h"

namespace engine::db::internal {
namespace {

[[noreturn]] void throw_request_error(std::string_view reason, std::string field, std::string message) {
  ErrorInfo info;
  info.kind = ErrorKind::kInvalidRequest;
  info.outcome = Outcome::kNotExecuted;
  info.phase = Phase::kValidating;
  info.reason = reason;
  info.field = std::move(field);
  info.message = std::move(message);
  throw DatabaseRequestError(std::move(info));
}

v1::ChannelBinding to_proto(ChannelBinding binding) {
  switch (binding) {
    case ChannelBinding::kDisable:
      return v1::CHANNEL_BINDING_DISABLE;
    case ChannelBinding::kRequire:
      return v1::CHANNEL_BINDING_REQUIRE;
    case ChannelBinding::kPrefer:
      break;
  }
  return v1::CHANNEL_BINDING_PREFER;
}

v1::TlsMode to_proto(TlsMode mode) {
  switch (mode) {
    case TlsMode::kDisable:
      return v1::TLS_MODE_DISABLE;
    case TlsMode::kPrefer:
      return v1::TLS_MODE_PREFER;
    case TlsMode::kRequire:
      return v1::TLS_MODE_REQUIRE;
    case TlsMode::kVerifyCa:
      return v1::TLS_MODE_VERIFY_CA;
    case TlsMode::kVerifyFull:
      return v1::TLS_MODE_VERIFY_FULL;
  }
  return v1::TLS_MODE_UNSPECIFIED;
}

v1::Expression to_proto(Expression expression) {
  switch (expression) {
    case Expression::kCurrentTimestamp:
      return v1::EXPRESSION_CURRENT_TIMESTAMP;
    case Expression::kCurrentDate:
      return v1::EXPRESSION_CURRENT_DATE;
    case Expression::kCurrentTime:
      return v1::EXPRESSION_CURRENT_TIME;
    case Expression::kLocalTimestamp:
      return v1::EXPRESSION_LOCALTIMESTAMP;
    case Expression::kLocalTime:
      return v1::EXPRESSION_LOCALTIME;
    case Expression::kDefault:
      return v1::EXPRESSION_DEFAULT;
  }
  return v1::EXPRESSION_UNSPECIFIED;
}

v1::IsolationLevel to_proto(IsolationLevel level) {
  switch (level) {
    case IsolationLevel::kServerDefault:
      return v1::ISOLATION_LEVEL_UNSPECIFIED;
    case IsolationLevel::kReadCommitted:
      return v1::ISOLATION_LEVEL_READ_COMMITTED;
    case IsolationLevel::kRepeatableRead:
      return v1::ISOLATION_LEVEL_REPEATABLE_READ;
    case IsolationLevel::kSerializable:
      return v1::ISOLATION_LEVEL_SERIALIZABLE;
  }
  return v1::ISOLATION_LEVEL_UNSPECIFIED;
}

ErrorKind from_proto(v1::ErrorKind kind) {
  switch (kind) {
    case v1::ERROR_KIND_CONNECTION:
      return ErrorKind::kConnection;
    case v1::ERROR_KIND_TIMEOUT:
      return ErrorKind::kTimeout;
    case v1::ERROR_KIND_TRANSACTION:
      return ErrorKind::kTransaction;
    case v1::ERROR_KIND_INVALID_REQUEST:
      return ErrorKind::kInvalidRequest;
    default:  // Also kinds of a newer gateway.
      return ErrorKind::kExecution;
  }
}

Phase from_proto(v1::Phase phase) {
  switch (phase) {
    case v1::PHASE_VALIDATING:
      return Phase::kValidating;
    case v1::PHASE_QUEUED:
      return Phase::kQueued;
    case v1::PHASE_CONNECTING:
      return Phase::kConnecting;
    case v1::PHASE_EXECUTING:
      return Phase::kExecuting;
    case v1::PHASE_STREAMING:
      return Phase::kStreaming;
    case v1::PHASE_COMMITTING:
      return Phase::kCommitting;
    default:
      return Phase::kUnspecified;
  }
}

void write_value(const Value& value, v1::Value& message) {
  struct Visitor {
    v1::Value& message;
    void operator()(std::nullptr_t) const { message.set_null_value(google::protobuf::NULL_VALUE); }
    void operator()(bool truth) const { message.set_bool_value(truth); }
    void operator()(int64_t number) const { message.set_int64_value(number); }
    void operator()(double number) const { message.set_double_value(number); }
    void operator()(const std::string& text) const { message.set_text_value(text); }
    void operator()(const Bytes& bytes) const { message.set_bytes_value(bytes.data); }
    void operator()(Expression expression) const { message.set_expression_value(to_proto(expression)); }
  };
  std::visit(Visitor{message}, value.content());
  if (!value.type_name().empty()) message.set_type_name(value.type_name());
}

uint32_t checked_ms(std::chrono::milliseconds duration, int64_t max, const char* field) {
  if (duration.count() < 0 || duration.count() > max) {
    throw_request_error(
        reasons::kOutOfRange, field,
        std::string(field) + ": is 0 to " + std::to_string(max) + " ms, not " + std::to_string(duration.count()));
  }
  return static_cast<uint32_t>(duration.count());
}

constexpr int64_t kHourMs = 3'600'000;
constexpr int64_t kDayMs = 24 * kHourMs;

ColumnCells read_cells(const v1::ColumnData& column) {
  ColumnCells cells;
  cells.null_bitmap = column.null_bitmap();
  const auto span = [](const auto& values) { return std::span(values.data(), static_cast<size_t>(values.size())); };
  if (column.int64_values_size() > 0) {
    cells.kind = CellKind::kInt64;
    cells.int64s = span(column.int64_values());
  } else if (column.lengths_size() > 0) {
    cells.kind = column.data_kind() == v1::DATA_KIND_BYTES ? CellKind::kBytes : CellKind::kText;
    cells.data = column.data();
    cells.lengths = span(column.lengths());
  } else if (column.double_values_size() > 0) {
    cells.kind = CellKind::kDouble;
    cells.doubles = span(column.double_values());
  } else if (column.bool_values_size() > 0) {
    cells.kind = CellKind::kBool;
    cells.bools = span(column.bool_values());
  }
  return cells;
}

}  // namespace

void write(const ConnectTarget& target, v1::ConnectRequest& request) {
  if (const auto* source = std::get_if<DataSource>(&target)) {
    require_text(source->name, "data_source");
    request.set_data_source(source->name);
    return;
  }
  const auto& from = std::get<ConnectionConfig>(target);
  require_text(from.host, "host");
  require_text(from.user, "user");
  require_text(from.password, "password");
  require_text(from.dbname, "dbname");
  require_text(from.application_name, "application_name");
  v1::ConnectionConfig& to = *request.mutable_config();
  to.set_host(from.host);
  to.set_port(from.port);
  to.set_user(from.user);
  to.set_password(from.password);
  to.set_dbname(from.dbname);
  to.set_min_pool_size(from.min_pool_size);
  to.set_max_pool_size(from.max_pool_size);
  to.set_timeout_ms(from.timeout_ms);
  to.set_connect_timeout_ms(from.connect_timeout_ms);
  to.set_tls_mode(to_proto(from.tls_mode));
  to.set_channel_binding(to_proto(from.channel_binding));
  to.set_application_name(from.application_name);
  write_retry(from.retry, *to.mutable_retry());
}

void write(const TransactionOptions& options, v1::TransactionOptions& message) {
  message.set_isolation_level(to_proto(options.isolation_level));
  message.set_read_only(options.read_only);
  message.set_deferrable(options.deferrable);
  message.set_idle_timeout_ms(checked_ms(options.idle_timeout, kHourMs, "idle_timeout"));
  message.set_max_duration_ms(checked_ms(options.max_duration, kDayMs, "max_duration"));
  message.set_replay(options.replay);
}

void require_text(std::string_view text, std::string_view field) {
  if (text.find('\0') != std::string_view::npos) {
    throw_request_error(reasons::kNulInText, std::string(field),
                        std::string(field) + ": has a NUL byte, which PostgreSQL's text can't hold");
  }
  if (!common::is_utf8(text)) {
    throw_request_error(reasons::kInvalidUtf8, std::string(field),
                        std::string(field) + ": is not valid UTF-8; pass other data as Bytes");
  }
}

void write(const Parameters& parameters, std::string_view field,
           google::protobuf::RepeatedPtrField<v1::Value>& messages) {
  messages.Reserve(static_cast<int>(parameters.size()));
  for (size_t i = 0; i < parameters.size(); ++i) {
    const auto* text = std::get_if<std::string>(&parameters[i].content());
    if (text != nullptr || !parameters[i].type_name().empty()) {
      const std::string path = std::string(field) + '[' + std::to_string(i) + ']';
      if (text != nullptr) require_text(*text, path);
      require_text(parameters[i].type_name(), path);
    }
    write_value(parameters[i], *messages.Add());
  }
}

void write_retry(const RetryConfig& retry, v1::RetrySettings& message) {
  message.set_max_attempts(retry.max_attempts);
  message.set_initial_delay_ms(retry.initial_delay_ms);
  message.set_max_delay_ms(retry.longest_delay_ms());
  message.set_multiplier(retry.multiplier);
  message.set_budget_ms(retry.budget_ms);
}

uint32_t checked_timeout_ms(const CallOptions& options) { return checked_ms(options.timeout, kDayMs, "timeout"); }

Outcome read_outcome(v1::Outcome outcome) {
  switch (outcome) {
    case v1::OUTCOME_UNSPECIFIED:
      return Outcome::kUnspecified;
    case v1::OUTCOME_NOT_EXECUTED:
      return Outcome::kNotExecuted;
    case v1::OUTCOME_ROLLED_BACK:
      return Outcome::kRolledBack;
    case v1::OUTCOME_COMMITTED:
      return Outcome::kCommitted;
    default:  // Also those of a newer gateway: the careful reading.
      return Outcome::kUnknown;
  }
}

ErrorInfo read_error(v1::DatabaseError& message) {
  ErrorInfo info;
  info.kind = from_proto(message.kind());
  info.outcome = read_outcome(message.outcome());
  info.phase = from_proto(message.phase());
  info.message = std::move(*message.mutable_message());
  info.reason = std::move(*message.mutable_reason());
  info.sqlstate = std::move(*message.mutable_sqlstate());
  info.hint = std::move(*message.mutable_hint());
  info.field = std::move(*message.mutable_field());
  info.constraint_name = std::move(*message.mutable_constraint_name());
  info.schema_name = std::move(*message.mutable_schema_name());
  info.table_name = std::move(*message.mutable_table_name());
  info.column_name = std::move(*message.mutable_column_name());
  info.data_type_name = std::move(*message.mutable_data_type_name());
  info.position = message.position();
  info.statement_index = message.statement_index();
  info.retryable = message.retryable();
  info.retry_after = std::chrono::milliseconds(message.retry_after_ms());
  info.rows_delivered = message.rows_delivered();
  return info;
}

std::vector<Column> read_columns(google::protobuf::RepeatedPtrField<v1::Column>& messages) {
  std::vector<Column> columns;
  columns.reserve(static_cast<size_t>(messages.size()));
  for (v1::Column& message : messages) {
    columns.push_back({std::move(*message.mutable_name()), std::move(*message.mutable_type_name()), message.type_oid(),
                       message.type_modifier()});
  }
  return columns;
}

RowBatch read_batch(std::shared_ptr<const Schema> schema, v1::ColumnBatch& message) {
  // The batch's own memory becomes the rows' memory: nothing is copied.
  auto owner = std::make_shared<v1::ColumnBatch>();
  owner->Swap(&message);
  std::vector<ColumnCells> cells;
  cells.reserve(static_cast<size_t>(owner->columns_size()));
  for (const v1::ColumnData& column : owner->columns()) cells.push_back(read_cells(column));
  const size_t row_count = owner->row_count();
  return {std::move(schema), row_count, cells, std::move(owner)};
}

Result read_result(v1::ExecuteResponse& message) {
  Result::Summary summary{message.rows_affected(), std::move(*message.mutable_command_tag()),
                          std::move(*message.mutable_bound_sql()), message.attempts()};
  // "SELECT FROM t" gives rows without columns.
  if (message.columns_size() == 0 && !message.has_column_batch()) return {RowBatch(), std::move(summary)};
  auto schema = std::make_shared<const Schema>(read_columns(*message.mutable_columns()));
  if (message.column_batch().row_count() > 0) {
    return {read_batch(std::move(schema), *message.mutable_column_batch()), std::move(summary)};
  }
  const std::vector<ColumnCells> no_cells(schema->size());
  return {RowBatch(std::move(schema), 0, no_cells, nullptr), std::move(summary)};
}

BatchResults read_batch_results(v1::ExecuteBatchResponse& message) {
  BatchResults results;
  results.reserve(static_cast<size_t>(message.results_size()));
  for (v1::BatchResult& entry : *message.mutable_results()) {
    Completion<Result> completion = entry.has_error()
                                        ? Completion<Result>(make_error(read_error(*entry.mutable_error())))
                                        : Completion<Result>(read_result(*entry.mutable_response()));
    results.push_back({entry.statement_index(), entry.parameter_list_index(), std::move(completion)});
  }
  return results;
}

}  // namespace engine::db::internal
