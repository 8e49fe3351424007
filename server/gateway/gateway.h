// The gateway without its wire: what the methods of the contract do. Any thread may call it; callbacks come on an event
// loop (or at once, when the request is wrong), and must not block.
#ifndef ENGINE_DB_SERVER_GATEWAY_GATEWAY_H_
#define ENGINE_DB_SERVER_GATEWAY_GATEWAY_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/db/v1/admin.pb.h"
#include "engine/db/v1/connector.pb.h"
#include "server/call/shard.h"
#include "server/call/work.h"
#include "server/config/settings.h"
#include "server/gateway/connections.h"
#include "server/loop/blocking_executor.h"
#include "server/loop/clock.h"
#include "server/loop/loop_thread.h"
#include "server/observe/metrics.h"
#include "server/postgres/transaction_mark.h"
#include "server/sql/statement_cache.h"

namespace engine::db::gateway {

// Who calls.
struct Caller {
  absl::Time deadline = absl::InfiniteFuture();
  call::SessionId session = 0;  // 0: not on a session
};

// Names a call that runs, to cancel or resume it. One that has ended is no error.
struct CallRef {
  size_t shard = 0;
  call::CallId id = 0;
};

// Where the rows of a stream go.
class RowSink {
 public:
  virtual ~RowSink() = default;
  // On the loop. False: full; no more comes until ResumeStream(), but for the last message.
  [[nodiscard]] virtual bool Write(std::unique_ptr<v1::ExecuteStreamResponse> message) = 0;
};

class Gateway {
 public:
  using Done = absl::AnyInvocable<void(const absl::Status&)>;

  // The settings and metrics must outlive the gateway.
  Gateway(const config::GatewaySettings& settings, observe::Metrics& metrics);
  // Breaks off whatever still runs: see Drain().
  ~Gateway();
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  // The methods of the contract. Request, response and sink must live until `done`, which is called exactly once.
  void Connect(const Caller& caller, const v1::ConnectRequest& request, v1::ConnectResponse& response, Done done);
  CallRef Execute(const Caller& caller, const v1::ExecuteRequest& request, v1::ExecuteResponse& response, Done done);
  CallRef ExecuteStream(const Caller& caller, const v1::ExecuteStreamRequest& request, RowSink& sink, Done done);
  CallRef ExecuteBatch(const Caller& caller, const v1::ExecuteBatchRequest& request, v1::ExecuteBatchResponse& response,
                       Done done);
  CallRef Describe(const Caller& caller, const v1::DescribeRequest& request, v1::DescribeResponse& response, Done done);
  CallRef Begin(const Caller& caller, const v1::BeginRequest& request, v1::BeginResponse& response, Done done);
  CallRef Commit(const Caller& caller, const v1::CommitRequest& request, v1::CommitResponse& response, Done done);
  CallRef Rollback(const Caller& caller, const v1::RollbackRequest& request, v1::RollbackResponse& response, Done done);
  CallRef Savepoint(const Caller& caller, const v1::SavepointRequest& request, v1::SavepointResponse& response,
                    Done done);
  CallRef RollbackToSavepoint(const Caller& caller, const v1::RollbackToSavepointRequest& request,
                              v1::RollbackToSavepointResponse& response, Done done);
  CallRef ReleaseSavepoint(const Caller& caller, const v1::ReleaseSavepointRequest& request,
                           v1::ReleaseSavepointResponse& response, Done done);
  void KeepAlive(const Caller& caller, const v1::KeepAliveRequest& request, v1::KeepAliveResponse& response, Done done);
  CallRef GetTransactionOutcome(const Caller& caller, const v1::GetTransactionOutcomeRequest& request,
                                v1::GetTransactionOutcomeResponse& response, Done done);
  void Close(const Caller& caller, const v1::CloseRequest& request, v1::CloseResponse& response, Done done);

  void Cancel(CallRef call);
  void ResumeStream(CallRef call);

  [[nodiscard]] const loop::Clock& clock() const { return clock_; }

  // Runs `task` when the current round of the loop that this thread is has ended; at once on any other thread. What
  // many calls have to say at the same time can so leave together.
  static void AtEndOfRound(absl::AnyInvocable<void()> task);

  // For a Session stream. Fails past the limit; what it opened ends with it.
  [[nodiscard]] absl::StatusOr<call::SessionId> BeginSession();
  void EndSession(call::SessionId session);

  // Refuses new work, waits until what runs has ended or `grace` has passed, rolls back what is left. Blocks.
  void Drain(absl::Duration grace);

  // For operators.
  void GetStatus(v1::GetStatusResponse& response) const;
  void ListPools(v1::ListPoolsResponse& response, Done done);
  void ListTransactions(v1::ListTransactionsResponse& response, Done done);
  void ListStatements(v1::ListStatementsResponse& response, Done done);
  void CancelStatement(uint64_t statement_id, v1::CancelStatementResponse& response, Done done);

 private:
  // What most methods begin with: the connection, and whether the gateway still takes such calls.
  [[nodiscard]] absl::StatusOr<Connection> Admit(const std::string& connection_id, bool starts_work) const;
  [[nodiscard]] absl::StatusOr<call::Run> MakeRun(const std::string& sql) const;
  // A work with everything filled in that all methods have in common.
  template <typename Request>
  [[nodiscard]] absl::StatusOr<call::Work> MakeWork(const Caller& caller, const Connection& connection,
                                                    const Request& request, observe::Method method) const;
  // Moves to the connection's loop, finishes the work there with `prepare`, and starts it.
  using Prepare = absl::AnyInvocable<absl::Status(call::Target& target, call::Work& work)>;
  CallRef Submit(const Connection& connection, call::Work work, Prepare prepare);
  // Ends a call that takes no time: one that is refused, or has nothing to do.
  CallRef Answer(observe::Method method, const absl::Status& status, Done& done);
  template <typename Request, typename Response>
  CallRef RunCommand(const Caller& caller, const Request& request, Response& response, Done done,
                     observe::Method method, call::Ending ending, std::string command);
  void ResolveToken(const Connection& connection, const postgres::TransactionMark& mark, absl::Time deadline,
                    v1::GetTransactionOutcomeResponse& response, Done done);
  [[nodiscard]] size_t CancelsUnderWay() const;
  void CloseConnection(Connections::Closing closing, absl::AnyInvocable<void(size_t)> done);
  // Runs `visit` on every shard's loop, then `done` once.
  void OnEveryShard(absl::AnyInvocable<void(call::Shard&)> visit, absl::AnyInvocable<void()> done);

  const config::GatewaySettings& settings_;
  observe::Metrics& metrics_;
  const call::HandleMaker handles_;
  const loop::SteadyClock clock_;
  const absl::Time started_;
  loop::BlockingExecutor executor_;
  loop::BlockingExecutor server_query_executor_;
  call::Context context_;
  std::vector<std::unique_ptr<loop::LoopThread>> loops_;
  std::vector<std::unique_ptr<call::Shard>> shards_;
  Connections connections_;
  mutable sql::StatementCache statements_;
  std::atomic<call::CallId> next_call_{1};
  std::atomic<call::SessionId> next_session_{1};
  std::atomic<size_t> sessions_{0};
  std::atomic<bool> draining_{false};
};

}  // namespace engine::db::gateway

#endif  // ENGINE_DB_SERVER_GATEWAY_GATEWAY_H_
