// A result with its digest: two that have the same one were the same, for all that anybody will ever see.
#ifndef ENGINE_DB_SERVER_POSTGRES_DIGESTED_RESULT_H_
#define ENGINE_DB_SERVER_POSTGRES_DIGESTED_RESULT_H_

#include <cstdint>
#include <memory>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "server/postgres/result_receiver.h"

namespace engine::db::postgres {

// Passes everything on to another receiver. The digest, of columns, rows and command tag, is told before a success is.
class DigestedResult final : public ResultReceiver {
 public:
  using OnDigest = absl::AnyInvocable<void(uint64_t digest)>;
  DigestedResult(std::unique_ptr<ResultReceiver> receiver, OnDigest on_digest)
      : receiver_(std::move(receiver)), on_digest_(std::move(on_digest)) {}

  Flow OnColumns(const PGresult& header) override;
  Flow OnRow(const PGresult& result, int row) override;
  void OnEnd(const absl::StatusOr<Completion>& end) override;
  void SetTypes(const TypeCatalog& types) override { receiver_->SetTypes(types); }

 private:
  const std::unique_ptr<ResultReceiver> receiver_;
  OnDigest on_digest_;
  uint64_t digest_ = 0;
};

}  // namespace engine::db::postgres

#endif  // ENGINE_DB_SERVER_POSTGRES_DIGESTED_RESULT_H_
