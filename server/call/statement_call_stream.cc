// A streamed call, whose reader sets the pace, and those behind it in its transaction.
#include <utility>

#include "server/call/errors.h"
#include "server/call/statement_call.h"
#include "server/call/transaction.h"

namespace engine::db::call {

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

}  // namespace engine::db::call
