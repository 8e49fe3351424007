#include "engine_db/builtins/pipeline_run.h"

#include <algorithm>
#include <exception>
#include <iterator>
#include <utility>

#include "engine_db/reasons.h"
#include "sdk/builtins/src/failure.h"

namespace engine::db::builtins {
namespace {

void move_to(std::vector<std::string>& from, std::vector<std::string>& to) {
  std::ranges::move(from, std::back_inserter(to));
  from.clear();
}

}  // namespace

PipelineRun::PipelineRun(const Pipeline& pipeline, ConnectorFactory make_connector)
    : pipeline_(pipeline), make_connector_(std::move(make_connector)) {}

PipelineRun::~PipelineRun() {
  abandon();
  for (auto& [name, connection] : connections_) {
    try {
      connection.connector->close();
    } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): it is given up one way or the other
    }
  }
}

void PipelineRun::set_output(std::string step, Json output) {
  auto& outputs = std::get<Json::Object>(outputs_.content());
  const auto found = std::ranges::find(outputs.names, step);
  if (found == outputs.names.end()) {
    outputs.add(std::move(step), std::move(output));
  } else {
    outputs.values[static_cast<size_t>(found - outputs.names.begin())] = std::move(output);
  }
}

StepOutput PipelineRun::run(const Step& step, const CallOptions& call) {
  const Place place{pipeline_.file, step.line, step.name, ""};
  try {
    StepOutput output = run_on(connect(step, place), step, place, call);
    set_output(step.name, output.response);
    return output;
  } catch (...) {
    abandon();
    throw;
  }
}

PipelineRun::Connection& PipelineRun::connect(const Step& step, const Place& place) {
  const std::string& name = step.database->server;
  if (const auto found = connections_.find(name); found != connections_.end()) return found->second;
  const Place at{place.file, place.line, place.step, "server"};
  const auto server = std::ranges::find(pipeline_.servers, name, &DatabaseServer::name);
  if (server == pipeline_.servers.end())
    throw_request_error(at, reasons::kUnknownServer, "\"" + name + "\" is not defined");
  try {
    Connection connection;
    connection.connector = make_connector_(*server);
    connection.connector->connect();
    return connections_.emplace(name, std::move(connection)).first->second;
  } catch (const DatabaseError& error) {
    throw_at(at, error);
  }
}

StepOutput PipelineRun::run_on(Connection& connection, const Step& step, const Place& place, const CallOptions& call) {
  const DatabaseStep& database = *step.database;
  if (database.begins_transaction) {
    try {
      connection.connector->begin({.timeout = call.timeout, .stop = call.stop});
    } catch (const DatabaseError& error) {
      throw_at(place, error);
    }
    connection.in_transaction = true;
  }
  const bool commits = database.operation->name() == "commitSql";
  StepOutput output;
  try {
    output = database.operation->run(database, {*connection.connector, outputs_, place, call});
  } catch (const DatabaseError& error) {
    if (commits && (error.outcome() == Outcome::kUnknown || error.outcome() == Outcome::kCommitted)) {
      // There is nothing left to roll back.
      connection.in_transaction = false;
      if (error.outcome() == Outcome::kCommitted) move_to(connection.uncommitted, committed_);
    } else if (!database.in_transaction && error.outcome() == Outcome::kCommitted) {
      committed_.push_back(step.name);
    }
    throw;
  }
  if (database.operation->ends_transaction()) {
    connection.in_transaction = false;
    move_to(connection.uncommitted, commits ? committed_ : rolled_back_);
  } else if (output.may_have_written) {
    (connection.in_transaction ? connection.uncommitted : committed_).push_back(step.name);
  }
  return output;
}

void PipelineRun::abandon() noexcept {
  for (auto& [name, connection] : connections_) {
    if (!connection.in_transaction) continue;
    connection.in_transaction = false;
    try {
      connection.connector->rollback();
    } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): it broke, and so is rolled back
    }
    move_to(connection.uncommitted, rolled_back_);
  }
}

}  // namespace engine::db::builtins
