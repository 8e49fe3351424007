// A streamed call, whose reader sets the pace, and those behind it in its transaction.
#include <utility>

#include "server/gateway/errors.h"
#include "server/gateway/statement_call.h"
#include "server/gateway/transaction.h"

namespace engine::db::gateway {

void StatementCall::NoteStreamPaused() {
  if (transaction_ != nullptr) transaction_->SetStreamPaused(true);
}

void StatementCall::ResumeStream() {
  if (transaction_ != nullptr && state_ == State::kRunning) transaction_->SetStreamPaused(false);
  ResumeReading();
}

void StatementCall::RefuseBehindStream() {
  const Transaction& in = *std::exchange(transaction_, nullptr);
  End(work_.asks_outcome ? absl::OkStatus() : StreamOpen(), in.Status());
}

}  // namespace engine::db::gateway
