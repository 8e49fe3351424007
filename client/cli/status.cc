#include "client/cli/status.h"

#include <google/protobuf/wrappers.pb.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <future>
#include <memory>
#include <string>

#include "client/cli/failure.h"
#include "client/cli/row_writer.h"
#include "engine/db/v1/admin.grpc.pb.h"
#include "engine_db/row_batch.h"

namespace engine::db::cli {
namespace {

constexpr std::chrono::seconds kDefaultTimeout(5);

class Asker {
 public:
  Asker(const std::shared_ptr<grpc::Channel>& channel, std::chrono::milliseconds timeout)
      : health_(channel),
        admin_(v1::GatewayAdmin::NewStub(channel)),
        deadline_(std::chrono::system_clock::now() + timeout) {}

  // grpc.health.v1.Health/Check, whose two messages look on the wire like the wrappers of a text (service = 1) and of a
  // number (status = 1): no generated code is needed for them.
  grpc::Status check(bool& serving) {
    constexpr int kServing = 1;
    grpc::ClientContext context;
    context.set_deadline(deadline_);
    const google::protobuf::StringValue request;  // the gateway as a whole
    google::protobuf::Int32Value response;
    std::promise<grpc::Status> done;
    health_.UnaryCall(&context, "/grpc.health.v1.Health/Check", {}, &request, &response,
                      [&done](grpc::Status status) { done.set_value(std::move(status)); });
    const grpc::Status status = done.get_future().get();
    serving = status.ok() && response.value() == kServing;
    return status;
  }

  grpc::Status get_status(v1::GetStatusResponse& response) {
    grpc::ClientContext context;
    context.set_deadline(deadline_);
    return admin_->GetStatus(&context, {}, &response);
  }

  grpc::Status list_pools(v1::ListPoolsResponse& response) {
    grpc::ClientContext context;
    context.set_deadline(deadline_);
    return admin_->ListPools(&context, {}, &response);
  }

 private:
  grpc::TemplatedGenericStub<google::protobuf::StringValue, google::protobuf::Int32Value> health_;
  std::unique_ptr<v1::GatewayAdmin::Stub> admin_;
  std::chrono::system_clock::time_point deadline_;
};

std::string uptime(uint64_t milliseconds) {
  const uint64_t seconds = milliseconds / 1000;
  if (seconds < 60) return std::to_string(seconds) + " s";
  if (seconds < 3600) return std::to_string(seconds / 60) + " min";
  return std::to_string(seconds / 3600) + " h " + std::to_string(seconds / 60 % 60) + " min";
}

RowBatch to_rows(const v1::ListPoolsResponse& response) {
  std::vector<Parameters> rows;
  for (const v1::PoolInfo& pool : response.pools()) {
    rows.push_back({pool.name(), pool.connections(), pool.max_size(), pool.open(), pool.opening(), pool.idle(),
                    pool.leased(), pool.shared(), pool.waiting(), pool.server_version()});
  }
  std::vector<Column> columns;
  for (const char* name : {"pool", "connections", "max", "open", "opening", "idle", "leased", "shared", "waiting"}) {
    columns.push_back({name, "integer"});
  }
  columns.front().type_name = "text";
  columns.push_back({"server", "text"});
  return RowBatch::from_rows(std::move(columns), rows);
}

void write_status(const v1::GetStatusResponse& status, bool serving, const Context& context) {
  const char* state = serving ? "serving" : status.draining() ? "draining" : "not serving";
  switch (context.format) {
    case Format::kTable:
      context.out << "engine-db-gateway " << status.version() << " at " << context.connection.gateway << ": " << state
                  << ", up " << uptime(status.uptime_ms()) << "\n"
                  << count(status.connections(), "connection") << ", "
                  << count(status.transactions(), "open transaction") << ", " << count(status.sessions(), "session")
                  << "\n";
      return;
    case Format::kCsv:
      return;  // the pools are the table that is of use there
    case Format::kJson:
      context.out << "{\"state\":" << json_text(state) << ",\"version\":" << json_text(status.version())
                  << ",\"uptime_ms\":" << status.uptime_ms() << ",\"connections\":" << status.connections()
                  << ",\"transactions\":" << status.transactions() << ",\"sessions\":" << status.sessions() << "}\n";
  }
}

}  // namespace

int run_status(const Context& context) {
  const std::string& address = context.connection.gateway;
  Asker asker(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()),
              context.timeout.count() == 0 ? kDefaultTimeout : context.timeout);
  bool serving = false;
  v1::GetStatusResponse status;
  v1::ListPoolsResponse pools;
  grpc::Status answer = asker.check(serving);
  if (answer.ok()) answer = asker.get_status(status);
  if (answer.ok()) answer = asker.list_pools(pools);
  if (!answer.ok()) {
    context.err << "error: the gateway at " << address << " does not answer: " << answer.error_message() << '\n';
    return kNoConnection;
  }
  write_status(status, serving, context);
  const RowBatch rows = to_rows(pools);
  if (!rows.empty() || context.format == Format::kCsv) {
    const std::unique_ptr<RowWriter> writer = make_row_writer(context.format, rows.columns(), context.out);
    writer->write(rows);
    if (context.format != Format::kTable) writer->finish();
  }
  context.out.flush();
  require_written(context.out);
  return serving ? kSuccess : kNoConnection;
}

}  // namespace engine::db::cli
