#include "server/pool/errors.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/error.h"

namespace engine::db::pool {
namespace {

v1::DatabaseError ShareDetail(v1::ErrorKind kind, size_t share) {
  v1::DatabaseError detail;
  detail.set_kind(kind);
  detail.set_phase(v1::PHASE_QUEUED);
  detail.set_outcome(v1::OUTCOME_NOT_EXECUTED);
  detail.set_retryable(true);
  detail.set_reason("TRANSACTION_SHARE_EXHAUSTED");
  detail.set_message(absl::StrCat("the connection has ", share,
                                  " transactions open, which is its share of the pool while others use it too"));
  detail.set_hint("end transactions, or raise max_pool_size");
  return detail;
}

}  // namespace

absl::Status NoPlaceInTime(size_t share) {
  return MakeError(absl::StatusCode::kDeadlineExceeded, ShareDetail(v1::ERROR_KIND_TIMEOUT, share));
}

absl::Status TooManyWaitForPlace(size_t share, size_t limit) {
  v1::DatabaseError detail = ShareDetail(v1::ERROR_KIND_CONNECTION, share);
  absl::StrAppend(detail.mutable_message(), "; too many calls wait for one of them to end (limit ", limit, ")");
  detail.set_retry_after_ms(100);
  return MakeError(absl::StatusCode::kResourceExhausted, std::move(detail));
}

}  // namespace engine::db::pool
