// GetTransactionOutcome: what became of a transaction, by its handle or by its recovery token.
#include <cstddef>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/failure.h"
#include "server/call/call_plan.h"
#include "server/call/errors.h"
#include "server/call/target.h"
#include "server/gateway/methods.h"
#include "server/gateway/planning.h"
#include "server/postgres/commit_fate.h"
#include "server/postgres/transaction_mark.h"

namespace engine::db::gateway {
namespace {

constexpr size_t kMaxTokensAskedFor = 1'000;

// A transaction that was run again was rolled back first, and committed under another id. And what it did elsewhere may
// be there although it was rolled back here.
v1::Outcome OutcomeOfFate(postgres::CommitFate fate, const postgres::TransactionMark& mark) {
  if (fate == postgres::CommitFate::kCommitted) return v1::OUTCOME_COMMITTED;
  const bool rolled_back =
      fate == postgres::CommitFate::kAborted && !mark.replayable && mark.elsewhere == postgres::Elsewhere::kNothing;
  return rolled_back ? v1::OUTCOME_ROLLED_BACK : v1::OUTCOME_UNKNOWN;
}

// The server is asked: the transaction's handle may be of another run of the gateway.
CallRef AskByToken(Parts& parts, Admitted& call, const postgres::TransactionMark& mark,
                   v1::GetTransactionOutcomeResponse& response) {
  parts.shards.OnTarget(call.connection, [&response, mark, deadline = call.deadline,
                                          answer = std::move(call.answer)](call::Target* target) mutable {
    if (target == nullptr || target->resolver().size() >= kMaxTokensAskedFor) {
      answer(ToStatus(
          {.code = absl::StatusCode::kResourceExhausted,
           .reason = Reason::kTooManyQuestions,
           .kind = ErrorKind::kConnection,
           .message = absl::StrCat("too many outcomes are being asked for (limit ", kMaxTokensAskedFor, ")")}));
      return;
    }
    target->AskOutcome(mark, deadline,
                       [&response, mark, answer = std::move(answer)](postgres::CommitFate fate) mutable {
                         if (fate == postgres::CommitFate::kInProgress) {
                           answer(call::StillInProgress());
                           return;
                         }
                         response.set_outcome(OutcomeOfFate(fate, mark));
                         answer(absl::OkStatus());
                       });
  });
  return {};
}

CallRef AskByHandle(Parts& parts, Admitted& call, v1::GetTransactionOutcomeResponse& response) {
  call::CallPlan plan = MakePlan(call);
  plan.asks_outcome = true;
  plan.finish = [&response, answer = std::move(call.answer)](call::CallEnd end) mutable {
    if (end.transaction.has_value()) {
      response.set_outcome(static_cast<v1::Outcome>(call::OutcomeOf(end.transaction->state())));
      *response.mutable_transaction() = *std::move(end.transaction);
      end.status = absl::OkStatus();
    } else if (const Reason reason = ReasonOf(end.status);
               reason == Reason::kCommitInDoubt || reason == Reason::kEffectsElsewhere) {
      response.set_outcome(v1::OUTCOME_UNKNOWN);
      end.status = absl::OkStatus();
    }
    answer(end.status);
  };
  return parts.shards.Submit(call.connection, std::move(plan));
}

}  // namespace

absl::StatusOr<CallRef> GetTransactionOutcome(Parts& parts, Admitted& call,
                                              const v1::GetTransactionOutcomeRequest& request,
                                              v1::GetTransactionOutcomeResponse& response) {
  if (request.has_recovery_token()) {
    if (request.recovery_token() == postgres::kUnmarkedToken) {
      response.set_outcome(v1::OUTCOME_UNKNOWN);
      call.answer(absl::OkStatus());
      return CallRef{};
    }
    const std::optional<postgres::TransactionMark> mark =
        postgres::TransactionMark::FromToken(request.recovery_token());
    if (!mark.has_value()) {
      return InvalidRequest("recovery_token", Reason::kMalformedToken, "recovery_token is not valid");
    }
    return AskByToken(parts, call, *mark, response);
  }
  if (request.transaction_id().empty()) {
    return InvalidRequest("transaction", Reason::kMissingTransaction, "give transaction_id or recovery_token");
  }
  return AskByHandle(parts, call, response);
}

}  // namespace engine::db::gateway
