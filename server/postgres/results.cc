#include "server/postgres/results.h"

#include <libpq-fe.h>

#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/failure.h"

namespace engine::db::postgres {
namespace {

using Flow = ResultReceiver::Flow;

// A message of a stream ends at about this size: large enough to spread the cost of a message, small enough to bound
// the memory of a stream.
constexpr size_t kStreamMessageBytes = size_t{128} << 10;

std::string NameOf(const TypeCatalog& types, uint32_t oid) {
  const std::string_view name = types.NameOf(oid);
  return name.empty() ? absl::StrCat("oid:", oid) : std::string(name);
}

// What a response may hold beside columns and rows, the statement's text not counted: it is there by then.
constexpr size_t kEnvelopeBytes = 512;

// Names the columns' types. Gives the types that have no name yet.
std::vector<uint32_t> NameTypes(const TypeCatalog& types, ResultEncoder::Columns& columns) {
  std::vector<uint32_t> unknown;
  for (v1::Column& column : columns) {
    const std::string_view name = types.NameOf(column.type_oid());
    if (name.empty()) unknown.push_back(column.type_oid());
    column.set_type_name(NameOf(types, column.type_oid()));
  }
  return unknown;
}

// The completion with what was received.
Completion WithTotals(const Completion& completion, const std::optional<ResultEncoder>& encoder) {
  Completion with_totals = completion;
  if (encoder.has_value()) {
    with_totals.rows_received = encoder->total_rows();
    with_totals.bytes_received = encoder->total_bytes();
  }
  return with_totals;
}

}  // namespace

CollectedResult::CollectedResult(v1::ResultFormat format, ResultLimits limits, TypeNaming types,
                                 v1::ExecuteResponse& response, absl::AnyInvocable<void()> overflow, EndCallback end)
    : format_(format),
      limits_(limits),
      types_(std::move(types)),
      response_(response),
      overflow_(std::move(overflow)),
      end_(std::move(end)) {}

Flow CollectedResult::OnColumns(const PGresult& header) {
  encoder_.emplace(header, format_);
  ResultEncoder::EncodeColumns(header, response_.mutable_columns());
  const std::vector<uint32_t> unknown = NameTypes(types_.catalog(), *response_.mutable_columns());
  return !unknown.empty() && types_.look_up(unknown) ? Flow::kPause : Flow::kContinue;
}

void CollectedResult::SetTypes(const TypeCatalog& types) { NameTypes(types, *response_.mutable_columns()); }

Flow CollectedResult::OnRow(const PGresult& result, int row) {
  if (overflowed_) return Flow::kContinue;
  if (encoder_->rows() >= limits_.rows || encoder_->bytes() >= limits_.bytes) {
    overflowed_ = true;
    response_.clear_rows();
    response_.clear_column_batch();
    overflow_();
    return Flow::kContinue;
  }
  encoder_->Append(result, row, response_.mutable_rows(),
                   format_ == v1::RESULT_FORMAT_COLUMNS ? response_.mutable_column_batch() : nullptr);
  return Flow::kContinue;
}

void CollectedResult::OnEnd(const absl::StatusOr<Completion>& end) {
  // What was counted row by row is an estimate, within a factor of four; the client's own limit is exact.
  if (!overflowed_ && end.ok() && encoder_.has_value() && encoder_->bytes() > limits_.bytes / 4 &&
      response_.ByteSizeLong() + kEnvelopeBytes > limits_.bytes) {
    overflowed_ = true;
    response_.clear_rows();
    response_.clear_column_batch();
  }
  // A link that broke leaves more in doubt than the size of a result.
  if (overflowed_ && FailureOf(end.status()).backend_usable) {
    end_(
        ToStatus({.code = absl::StatusCode::kResourceExhausted,
                  .reason = Reason::kResultTooLarge,
                  .kind = ErrorKind::kExecution,
                  .phase = Phase::kExecuting,
                  .outcome = end.ok() ? Outcome::kCommitted : Outcome::kRolledBack,
                  .message = absl::StrCat("the result is larger than a unary call returns (", limits_.rows, " rows or ",
                                          limits_.bytes, " bytes): call ExecuteStream, or add a LIMIT")}));
    return;
  }
  if (!end.ok()) {
    end_(end);
    return;
  }
  response_.set_rows_affected(end->rows_affected);
  response_.set_command_tag(end->command_tag);
  end_(WithTotals(*end, encoder_));
}

StreamedResult::StreamedResult(v1::ResultFormat format, uint32_t batch_rows, TypeNaming types, Write write,
                               EndCallback end)
    : format_(format),
      batch_rows_(batch_rows),
      types_(std::move(types)),
      write_(std::move(write)),
      end_(std::move(end)),
      message_(std::make_unique<v1::ExecuteStreamResponse>()) {}

Flow StreamedResult::OnColumns(const PGresult& header) {
  encoder_.emplace(header, format_);
  ResultEncoder::EncodeColumns(header, message_->mutable_columns());
  const std::vector<uint32_t> unknown = NameTypes(types_.catalog(), *message_->mutable_columns());
  awaiting_types_ = !unknown.empty() && types_.look_up(unknown);
  return awaiting_types_ ? Flow::kPause : Flow::kContinue;
}

void StreamedResult::SetTypes(const TypeCatalog& types) {
  if (!std::exchange(awaiting_types_, false)) return;
  NameTypes(types, *message_->mutable_columns());
}

Flow StreamedResult::OnRow(const PGresult& result, int row) {
  encoder_->Append(result, row, message_->mutable_rows(),
                   format_ == v1::RESULT_FORMAT_COLUMNS ? message_->mutable_column_batch() : nullptr);
  if (awaiting_types_) return Flow::kPause;  // it leaves with the next row, or at the end
  if (first_written_ && encoder_->rows() < batch_rows_ && encoder_->bytes() < kStreamMessageBytes)
    return Flow::kContinue;
  return WriteMessage();
}

Flow StreamedResult::WriteMessage() {
  first_written_ = true;
  encoder_->Begin();
  return write_(std::exchange(message_, std::make_unique<v1::ExecuteStreamResponse>()));
}

void StreamedResult::OnEnd(const absl::StatusOr<Completion>& end) {
  if (!end.ok()) {
    end_(WithFailure(end.status(), [&](Failure& failure) {
      if (encoder_.has_value()) failure.rows_delivered = encoder_->total_rows() - encoder_->rows();
      if (failure.rows_delivered > 0) failure.phase = Phase::kStreaming;
    }));
    return;
  }
  // What is left, be it only the columns of an empty result.
  if (encoder_.has_value() && (encoder_->rows() > 0 || !first_written_)) static_cast<void>(WriteMessage());
  end_(WithTotals(*end, encoder_));
}

Flow DescribedStatement::OnColumns(const PGresult& header) {
  for (int i = 0; i < PQnparams(&header); ++i) parameter_types_.push_back(PQparamtype(&header, i));
  ResultEncoder::EncodeColumns(header, response_.mutable_columns());
  std::vector<uint32_t> unknown = NameTypes(types_.catalog(), *response_.mutable_columns());
  for (const uint32_t oid : parameter_types_) {
    if (types_.catalog().NameOf(oid).empty()) unknown.push_back(oid);
  }
  SetTypes(types_.catalog());
  return !unknown.empty() && types_.look_up(unknown) ? Flow::kPause : Flow::kContinue;
}

void DescribedStatement::SetTypes(const TypeCatalog& types) {
  NameTypes(types, *response_.mutable_columns());
  response_.clear_parameter_type_names();
  for (const uint32_t oid : parameter_types_) response_.add_parameter_type_names(NameOf(types, oid));
}

}  // namespace engine::db::postgres
