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
// A stream that fails with `info` when it is read.
std::shared_ptr<StreamCall> failed_stream(ErrorInfo info);

Async<StatementDescription> describe(const Scope& scope, std::string_view sql, const CallOptions& options);

// Done when the session, or one after it, is connected.
Async<void> wait_for_connection(const std::shared_ptr<Session>& session, const CallOptions& options);

// Asks once; kUnspecified for an outcome that this version does not know. See Connection::transaction_outcome().
Async<Outcome> ask_outcome(const std::shared_ptr<Session>& session, std::string_view token, const CallOptions& options);

// Gives the session's connection up, and ends the session.
Async<void> close(const std::shared_ptr<Session>& session);

}  // namespace engine::db::internal

#endif  // ENGINE_DB_CLIENT_CPP_SRC_OPERATIONS_H_
