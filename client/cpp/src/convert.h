// Between the SDK's types and the contract's.
#ifndef ENGINE_DB_CLIENT_CPP_SRC_CONVERT_H_
#define ENGINE_DB_CLIENT_CPP_SRC_CONVERT_H_

#include <memory>
#include <string>
#include <string_view>

#include "engine/db/v1/connector.pb.h"
#include "engine_db/batch.h"
#include "engine_db/config.h"
#include "engine_db/error.h"
#include "engine_db/options.h"
#include "engine_db/result.h"
#include "engine_db/value.h"

namespace engine::db::internal {

// Throws DatabaseRequestError for text that require_text() refuses.
void write(const ConnectTarget& target, v1::ConnectRequest& request);
void write(const TransactionOptions& options, v1::TransactionOptions& message);

// Throws DatabaseRequestError when `text`, the field called `field`, is not what a protobuf string may hold and
// PostgreSQL takes: UTF-8 without NUL. The gateway could only drop the whole session for it.
void require_text(std::string_view text, std::string_view field);

// Throws DatabaseRequestError, with `field` as the path to the parameters, for text that require_text() refuses.
void write(const Parameters& parameters, std::string_view field,
           google::protobuf::RepeatedPtrField<v1::Value>& messages);

// Sets timeout_ms and, where Request has it, retry. Throws DatabaseRequestError for what is out of range.
void write_retry(const RetryConfig& retry, v1::RetrySettings& message);
[[nodiscard]] uint32_t checked_timeout_ms(const CallOptions& options);

[[nodiscard]] Outcome read_outcome(v1::Outcome outcome);
[[nodiscard]] ErrorInfo read_error(v1::DatabaseError& message);

// These move the contents out. They throw std::invalid_argument for what contradicts itself.
[[nodiscard]] std::vector<Column> read_columns(google::protobuf::RepeatedPtrField<v1::Column>& messages);
[[nodiscard]] RowBatch read_batch(std::shared_ptr<const Schema> schema, v1::ColumnBatch& message);
[[nodiscard]] Result read_result(v1::ExecuteResponse& message);
[[nodiscard]] BatchResults read_batch_results(v1::ExecuteBatchResponse& message);

}  // namespace engine::db::internal

#endif  // ENGINE_DB_CLIENT_CPP_SRC_CONVERT_H_
