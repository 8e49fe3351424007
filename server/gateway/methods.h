// The list of the contract's methods. A new one takes its messages and its rpc in the proto, a row here, and a file of
// its own; the services of server/rpc, the dispatch of a Session stream and the metrics' labels follow from the row.
#ifndef ENGINE_DB_SERVER_GATEWAY_METHODS_H_
#define ENGINE_DB_SERVER_GATEWAY_METHODS_H_

#include <array>
#include <cstddef>
#include <memory>
#include <string_view>
#include <tuple>

#include "absl/status/statusor.h"
#include "engine/db/v1/admin.pb.h"
#include "engine/db/v1/connector.pb.h"
#include "server/gateway/admission.h"
#include "server/gateway/parts.h"
#include "server/gateway/shards.h"

namespace engine::db::gateway {

// Where the rows of a stream go.
class RowSink {
 public:
  virtual ~RowSink() = default;
  // On the loop. False: full; no more comes until ResumeStream(), but for the last message.
  [[nodiscard]] virtual bool Write(std::unique_ptr<v1::ExecuteStreamResponse> message) = 0;
};

// What a method does once its call is admitted: validates what is its own, makes the plan, runs it on the loop, and
// answers there, by `call.answer`, which it takes along. An error that it returns is the answer, too: the method has
// left `call.answer` where it is then, and begun nothing. Request and output live until the answer.
template <typename Request, typename Output>
using Handler = absl::StatusOr<CallRef>(Parts& parts, Admitted& call, const Request& request, Output& output);

// A row of the list. `Output` is what the method fills in: its response, or the sink of a stream's rows.
template <typename Request, typename Output>
struct Method {
  std::string_view name;  // in the contract
  Needs needs;
  Handler<Request, Output>* handler;
  // How a session carries the call, and its answer. CALL_NOT_SET: it does not. A stream's rows have no one response.
  v1::SessionCall::CallCase session_case = v1::SessionCall::CALL_NOT_SET;
  const Request& (v1::SessionCall::*session_request)() const = nullptr;
  Output* (v1::SessionReply::*session_response)() = nullptr;
};
template <typename Request, typename Output, typename... Session>
Method(std::string_view, Needs, Handler<Request, Output>*, Session...) -> Method<Request, Output>;

// --- the methods' handlers, each in the file named for it or its family

Handler<v1::ConnectRequest, v1::ConnectResponse> Connect;
Handler<v1::ExecuteRequest, v1::ExecuteResponse> Execute;
Handler<v1::ExecuteStreamRequest, RowSink> ExecuteStream;
Handler<v1::ExecuteBatchRequest, v1::ExecuteBatchResponse> ExecuteBatch;
Handler<v1::DescribeRequest, v1::DescribeResponse> Describe;
Handler<v1::BeginRequest, v1::BeginResponse> Begin;
Handler<v1::CommitRequest, v1::CommitResponse> Commit;
Handler<v1::RollbackRequest, v1::RollbackResponse> Rollback;
Handler<v1::SavepointRequest, v1::SavepointResponse> Savepoint;
Handler<v1::RollbackToSavepointRequest, v1::RollbackToSavepointResponse> RollbackToSavepoint;
Handler<v1::ReleaseSavepointRequest, v1::ReleaseSavepointResponse> ReleaseSavepoint;
Handler<v1::KeepAliveRequest, v1::KeepAliveResponse> KeepAlive;
Handler<v1::GetTransactionOutcomeRequest, v1::GetTransactionOutcomeResponse> GetTransactionOutcome;
Handler<v1::CloseRequest, v1::CloseResponse> Close;
Handler<v1::GetStatusRequest, v1::GetStatusResponse> GetStatus;
Handler<v1::ListPoolsRequest, v1::ListPoolsResponse> ListPools;
Handler<v1::ListTransactionsRequest, v1::ListTransactionsResponse> ListTransactions;
Handler<v1::ListStatementsRequest, v1::ListStatementsResponse> ListStatements;
Handler<v1::CancelStatementRequest, v1::CancelStatementResponse> CancelStatement;

// --- the list

// The service DatabaseConnector, but for Session, which carries the others.
inline constexpr std::tuple kConnectorMethods{
    Method{"Connect", Needs::kRoom, &Connect, v1::SessionCall::kConnect, &v1::SessionCall::connect,
           &v1::SessionReply::mutable_connect},
    Method{"Execute", Needs::kStatement, &Execute, v1::SessionCall::kExecute, &v1::SessionCall::execute,
           &v1::SessionReply::mutable_execute},
    Method{"ExecuteStream", Needs::kStatement, &ExecuteStream, v1::SessionCall::kExecuteStream,
           &v1::SessionCall::execute_stream},
    Method{"ExecuteBatch", Needs::kStatement, &ExecuteBatch, v1::SessionCall::kExecuteBatch,
           &v1::SessionCall::execute_batch, &v1::SessionReply::mutable_execute_batch},
    Method{"Describe", Needs::kStatement, &Describe, v1::SessionCall::kDescribe, &v1::SessionCall::describe,
           &v1::SessionReply::mutable_describe},
    Method{"Begin", Needs::kNewTransaction, &Begin, v1::SessionCall::kBegin, &v1::SessionCall::begin,
           &v1::SessionReply::mutable_begin},
    Method{"Commit", Needs::kTransaction, &Commit, v1::SessionCall::kCommit, &v1::SessionCall::commit,
           &v1::SessionReply::mutable_commit},
    Method{"Rollback", Needs::kTransaction, &Rollback, v1::SessionCall::kRollback, &v1::SessionCall::rollback,
           &v1::SessionReply::mutable_rollback},
    Method{"Savepoint", Needs::kTransaction, &Savepoint, v1::SessionCall::kSavepoint, &v1::SessionCall::savepoint,
           &v1::SessionReply::mutable_savepoint},
    Method{"RollbackToSavepoint", Needs::kTransaction, &RollbackToSavepoint, v1::SessionCall::kRollbackToSavepoint,
           &v1::SessionCall::rollback_to_savepoint, &v1::SessionReply::mutable_rollback_to_savepoint},
    Method{"ReleaseSavepoint", Needs::kTransaction, &ReleaseSavepoint, v1::SessionCall::kReleaseSavepoint,
           &v1::SessionCall::release_savepoint, &v1::SessionReply::mutable_release_savepoint},
    Method{"KeepAlive", Needs::kConnection, &KeepAlive, v1::SessionCall::kKeepAlive, &v1::SessionCall::keep_alive,
           &v1::SessionReply::mutable_keep_alive},
    Method{"GetTransactionOutcome", Needs::kConnection, &GetTransactionOutcome, v1::SessionCall::kGetTransactionOutcome,
           &v1::SessionCall::get_transaction_outcome, &v1::SessionReply::mutable_get_transaction_outcome},
    Method{"Close", Needs::kNothing, &Close, v1::SessionCall::kClose, &v1::SessionCall::close,
           &v1::SessionReply::mutable_close},
};

// The service GatewayAdmin: not on sessions, and not counted.
inline constexpr std::tuple kAdminMethods{
    Method{"GetStatus", Needs::kNothing, &GetStatus},
    Method{"ListPools", Needs::kNothing, &ListPools},
    Method{"ListTransactions", Needs::kNothing, &ListTransactions},
    Method{"ListStatements", Needs::kNothing, &ListStatements},
    Method{"CancelStatement", Needs::kNothing, &CancelStatement},
};

// --- what follows from it

inline constexpr auto kMethods = std::tuple_cat(kConnectorMethods, kAdminMethods);

// The row of the method with this request and output: there must be one.
template <typename Request, typename Output>
inline constexpr const Method<Request, Output>& kMethodFor = std::get<Method<Request, Output>>(kMethods);

// Names of the methods that are counted: the label "method" of their metrics.
inline constexpr auto kCountedMethods =
    std::apply([](const auto&... method) { return std::array<std::string_view, sizeof...(method)>{method.name...}; },
               kConnectorMethods);

// Where a method's name stands among those, or behind them all.
[[nodiscard]] constexpr size_t CountedAs(std::string_view name) {
  size_t index = 0;
  while (index < kCountedMethods.size() && kCountedMethods[index] != name) ++index;
  return index;
}

}  // namespace engine::db::gateway

#endif  // ENGINE_DB_SERVER_GATEWAY_METHODS_H_
