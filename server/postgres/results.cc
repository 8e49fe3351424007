#include "server/postgres/results.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/error.h"

namespace engine::db::postgres {
namespace {

// A message of a stream ends at about this size: large enough to spread the cost of a message, small enough to bound
// the memory of a stream.
constexpr size_t kStreamMessageBytes = size_t{128} << 10;

}  // namespace

CollectedResult::CollectedResult(v1::ResultFormat format, ResultLimits limits, std::shared_ptr<const TypeCatalog> types,
                                 v1::ExecuteResponse& response, absl::AnyInvocable<void()> overflow, EndCallback end)
    : format_(format),
      limits_(limits),
      types_(std::move(types)),
      response_(response),
      overflow_(std::move(overflow)),
      end_(std::move(end)) {}

void CollectedResult::OnColumns(const PGresult& header) {
  encoder_.emplace(header, format_);
  ResultEncoder::EncodeColumns(header, *types_, response_.mutable_columns());
}

ResultReceiver::Flow CollectedResult::OnRow(const PGresult& result, int row) {
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
  if (overflowed_) {
    v1::DatabaseError detail;
    detail.set_kind(v1::ERROR_KIND_EXECUTION);
    detail.set_phase(v1::PHASE_EXECUTING);
    detail.set_reason("RESULT_TOO_LARGE");
    detail.set_outcome(end.ok() ? v1::OUTCOME_COMMITTED : v1::OUTCOME_ROLLED_BACK);
    detail.set_message(absl::StrCat("the result is larger than a unary call returns (", limits_.rows, " rows or ",
                                    limits_.bytes, " bytes): call ExecuteStream, or add a LIMIT"));
    end_(MakeError(absl::StatusCode::kResourceExhausted, std::move(detail)));
    return;
  }
  if (end.ok()) {
    response_.set_rows_affected(end->rows_affected);
    response_.set_command_tag(end->command_tag);
  }
  end_(end);
}

StreamedResult::StreamedResult(v1::ResultFormat format, uint32_t batch_rows, std::shared_ptr<const TypeCatalog> types,
                               Write write, EndCallback end)
    : format_(format),
      batch_rows_(batch_rows),
      types_(std::move(types)),
      write_(std::move(write)),
      end_(std::move(end)),
      message_(std::make_unique<v1::ExecuteStreamResponse>()) {}

void StreamedResult::OnColumns(const PGresult& header) {
  encoder_.emplace(header, format_);
  ResultEncoder::EncodeColumns(header, *types_, message_->mutable_columns());
}

ResultReceiver::Flow StreamedResult::OnRow(const PGresult& result, int row) {
  encoder_->Append(result, row, message_->mutable_rows(),
                   format_ == v1::RESULT_FORMAT_COLUMNS ? message_->mutable_column_batch() : nullptr);
  const bool first = rows_written_ == 0;
  if (!first && encoder_->rows() < batch_rows_ && encoder_->bytes() < kStreamMessageBytes) return Flow::kContinue;
  return WriteMessage();
}

ResultReceiver::Flow StreamedResult::WriteMessage() {
  rows_written_ += encoder_->rows();
  encoder_->Begin();
  return write_(std::exchange(message_, std::make_unique<v1::ExecuteStreamResponse>()));
}

void StreamedResult::OnEnd(const absl::StatusOr<Completion>& end) {
  if (end.ok() && encoder_.has_value() && encoder_->rows() > 0) {
    static_cast<void>(WriteMessage());
  } else if (end.ok() && message_->columns_size() > 0) {
    static_cast<void>(write_(std::move(message_)));  // no rows, but their columns
  }
  if (end.ok()) {
    end_(end);
  } else {
    end_(WithDetail(end.status(), [&](v1::DatabaseError& detail) { detail.set_rows_delivered(rows_written_); }));
  }
}

void DescribedStatement::OnColumns(const PGresult& header) {
  ResultEncoder::EncodeColumns(header, *types_, response_.mutable_columns());
  for (int i = 0; i < PQnparams(&header); ++i) {
    const uint32_t oid = PQparamtype(&header, i);
    const std::string_view name = types_->NameOf(oid);
    response_.add_parameter_type_names(name.empty() ? absl::StrCat("oid:", oid) : std::string(name));
  }
}

}  // namespace engine::db::postgres
