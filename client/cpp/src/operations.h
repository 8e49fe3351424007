// Each operation of the contract as an asynchronous function: builds the message, sends it, reads the answer.
//
// None throws: what is wrong with the arguments comes as the Async's error, like everything else. The arguments are not
// needed any more when a function returns. In a transaction whose session has ended each fails with
// DatabaseTransactionError.
#ifndef ENGINE_DB_CLIENT_CPP_SRC_OPERATIONS_H_
#define ENGINE_DB_CLIENT_CPP_SRC_OPERATIONS_H_

#include <memory>
#include <string_view>

#include "client/cpp/src/session.h"
#include "client/cpp/src/stream_call.h"
#include "engine_db/async.h"
#include "engine_db/batch.h"
#include "engine_db/options.h"
#include "engine_db/result.h"
#include "engine_db/transaction.h"
#include "engine_db/value.h"

namespace engine::db::internal {

Async<Result> execute(const Scope& scope, std::string_view sql, const Parameters& parameters,
                      const CallOptions& options);

Async<BatchResults> execute_batch(const Scope& scope, const Batch& batch, const BatchOptions& options);

std::shared_ptr<StreamCall> execute_stream(const Scope& scope, std::string_view sql, const Parameters& parameters,
                                           const CallOptions& options);
// One that fails with `info` when it is read.
std::shared_ptr<StreamCall> failed_stream(ErrorInfo info);

Async<StatementDescription> describe(const Scope& scope, std::string_view sql, const CallOptions& options);

// Gives the new transaction's scope.
Async<Scope> begin(std::shared_ptr<Session> session, const TransactionOptions& options);

// Ends the transaction, and marks it ended unless it is known to be open still or nobody knows and a repeated commit
// would tell.
Async<void> commit(const std::shared_ptr<OpenTransaction>& transaction);

// Ends the transaction. One that is gone already is as good as rolled back.
Async<void> rollback(const std::shared_ptr<OpenTransaction>& transaction);

Async<void> savepoint(const Scope& scope, std::string_view name);
Async<void> rollback_to(const Scope& scope, std::string_view name);

// Gives the session's connection up, and ends the session.
Async<void> close(const std::shared_ptr<Session>& session);

// A DatabaseTransactionError's content.
[[nodiscard]] ErrorInfo transaction_error(std::string_view reason, std::string_view message, Outcome outcome);

}  // namespace engine::db::internal

#endif  // ENGINE_DB_CLIENT_CPP_SRC_OPERATIONS_H_
