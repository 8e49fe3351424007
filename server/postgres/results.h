// The receivers: where a statement's result ends up.
#ifndef ENGINE_DB_SERVER_POSTGRES_RESULTS_H_
#define ENGINE_DB_SERVER_POSTGRES_RESULTS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "engine/db/v1/connector.pb.h"
#include "server/postgres/result_encoder.h"
#include "server/postgres/result_receiver.h"
#include "server/postgres/type_catalog.h"

namespace engine::db::postgres {

// How a statement ended; see ResultReceiver::OnEnd.
using EndCallback = absl::AnyInvocable<void(const absl::StatusOr<Completion>&)>;

// Names the types of a result's columns.
struct TypeNaming {
  // The newest that there is.
  absl::AnyInvocable<const TypeCatalog&()> catalog;
  // Told which types the catalogue does not have (they were created since it was read). True: a newer catalogue comes
  // by ResultReceiver::SetTypes(), and then reading is resumed; false: they go by their numbers.
  absl::AnyInvocable<bool(const std::vector<uint32_t>& oids)> look_up;
};

// For statements whose rows nobody wants: BEGIN, COMMIT, DISCARD.
class CommandResult final : public ResultReceiver {
 public:
  explicit CommandResult(EndCallback end) : end_(std::move(end)) {}

  Flow OnColumns(const PGresult&) override { return Flow::kContinue; }
  Flow OnRow(const PGresult&, int) override { return Flow::kContinue; }
  void OnEnd(const absl::StatusOr<Completion>& end) override { end_(end); }

 private:
  EndCallback end_;
};

// Bounds on a result that is kept whole.
struct ResultLimits {
  uint32_t rows = 10'000;
  size_t bytes = size_t{4} << 20;
};

// Collects a whole result into a response.
class CollectedResult final : public ResultReceiver {
 public:
  // The response must outlive the statement. `overflow` is told once when the result goes beyond its bounds: the rows
  // that follow are dropped, and the one who is told had better cancel the statement.
  CollectedResult(v1::ResultFormat format, ResultLimits limits, TypeNaming types, v1::ExecuteResponse& response,
                  absl::AnyInvocable<void()> overflow, EndCallback end);

  Flow OnColumns(const PGresult& header) override;
  Flow OnRow(const PGresult& result, int row) override;
  void OnEnd(const absl::StatusOr<Completion>& end) override;
  void SetTypes(const TypeCatalog& types) override;

 private:
  const v1::ResultFormat format_;
  const ResultLimits limits_;
  TypeNaming types_;
  v1::ExecuteResponse& response_;
  std::optional<ResultEncoder> encoder_;
  bool overflowed_ = false;
  absl::AnyInvocable<void()> overflow_;
  EndCallback end_;
};

// Sends a result on in batches. The first message leaves as soon as there is a row, later ones when they are full.
class StreamedResult final : public ResultReceiver {
 public:
  // Takes a message; kPause when it wants no more for now.
  using Write = absl::AnyInvocable<Flow(std::unique_ptr<v1::ExecuteStreamResponse>)>;

  StreamedResult(v1::ResultFormat format, uint32_t batch_rows, TypeNaming types, Write write, EndCallback end);

  Flow OnColumns(const PGresult& header) override;
  Flow OnRow(const PGresult& result, int row) override;
  void OnEnd(const absl::StatusOr<Completion>& end) override;
  void SetTypes(const TypeCatalog& types) override;

 private:
  Flow WriteMessage();

  const v1::ResultFormat format_;
  const uint32_t batch_rows_;
  TypeNaming types_;
  Write write_;
  EndCallback end_;
  std::optional<ResultEncoder> encoder_;
  std::unique_ptr<v1::ExecuteStreamResponse> message_;
  bool awaiting_types_ = false;
  bool first_written_ = false;
};

// The answer to an operation that only describes.
class DescribedStatement final : public ResultReceiver {
 public:
  DescribedStatement(TypeNaming types, v1::DescribeResponse& response, EndCallback end)
      : types_(std::move(types)), response_(response), end_(std::move(end)) {}

  Flow OnColumns(const PGresult& header) override;
  Flow OnRow(const PGresult&, int) override { return Flow::kContinue; }
  void OnEnd(const absl::StatusOr<Completion>& end) override { end_(end); }
  void SetTypes(const TypeCatalog& types) override;

 private:
  TypeNaming types_;
  v1::DescribeResponse& response_;
  EndCallback end_;
  std::vector<uint32_t> parameter_types_;
};

}  // namespace engine::db::postgres

#endif  // ENGINE_DB_SERVER_POSTGRES_RESULTS_H_
