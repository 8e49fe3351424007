// Transactions: begin, commit, rollback and savepoints; see operations.h. In a transaction whose session has ended each
// fails with DatabaseTransactionError.
#ifndef ENGINE_DB_CLIENT_CPP_SRC_TRANSACTION_OPERATIONS_H_
#define ENGINE_DB_CLIENT_CPP_SRC_TRANSACTION_OPERATIONS_H_

#include <memory>
#include <string_view>

#include "client/cpp/src/recovery.h"
#include "client/cpp/src/session.h"
#include "engine_db/async.h"
#include "engine_db/error.h"
#include "engine_db/options.h"
#include "engine_db/transaction.h"

namespace engine::db::internal {

// Gives the new transaction's scope, with `recovery` in it.
Async<Scope> begin(std::shared_ptr<Session> session, std::shared_ptr<Recovery> recovery,
                   const TransactionOptions& options);

// Ends the transaction, and marks it ended unless it is known to be open, or its outcome is unknown and a repeated
// commit would tell. When the answer to COMMIT was lost with the session, it asks another session for the outcome.
Async<void> commit(const std::shared_ptr<OpenTransaction>& transaction);

// Ends the transaction. A transaction that is gone already counts as rolled back, unless it may be committed: then its
// outcome is asked for.
Async<void> rollback(const std::shared_ptr<OpenTransaction>& transaction);

Async<void> savepoint(const Scope& scope, std::string_view name);
Async<void> rollback_to(const Scope& scope, std::string_view name);
Async<void> release_savepoint(const Scope& scope, std::string_view name);

// Throws when the transaction of `scope`, if there is one, has ended with its session.
void require_open(const Scope& scope);

// A DatabaseTransactionError's content.
[[nodiscard]] ErrorInfo transaction_error(std::string_view reason, std::string_view message, Outcome outcome);
// The session broke before COMMIT was sent, or in a way that amounts to it.
[[nodiscard]] ErrorInfo transaction_lost();
[[nodiscard]] ErrorInfo commit_in_doubt(Outcome outcome);

}  // namespace engine::db::internal

#endif  // ENGINE_DB_CLIENT_CPP_SRC_TRANSACTION_OPERATIONS_H_
