#include "client/cli/pipeline.h"

#include <algorithm>
#include <fstream>
#include <iostream>
#include <memory>
#include <utility>
#include <vector>

#include "client/cli/failure.h"
#include "client/cli/pipeline_output.h"
#include "client/cli/pipeline_query.h"
#include "engine_db/builtins/bind.h"
#include "engine_db/builtins/json.h"
#include "engine_db/builtins/pipeline.h"
#include "engine_db/builtins/pipeline_run.h"
#include "engine_db/postgres_connector.h"

namespace engine::db::cli {
namespace {

using builtins::Json;
using builtins::Pipeline;
using builtins::PipelineRun;
using builtins::Step;

constexpr size_t kMaxInputBytes = size_t{64} << 20;

std::string read_all(const std::string& name, size_t max_bytes) {
  std::ifstream opened;
  const bool standard_input = name == "-";
  if (!standard_input) opened.open(name, std::ios::binary);
  std::istream& in = standard_input ? std::cin : opened;
  std::string text;
  std::vector<char> piece(64 << 10);
  while (in.read(piece.data(), static_cast<std::streamsize>(piece.size())), in.gcount() > 0) {
    text.append(piece.data(), static_cast<size_t>(in.gcount()));
    if (text.size() > max_bytes) throw UsageError(name + " has more than " + std::to_string(max_bytes) + " bytes");
  }
  if (in.bad() || !in.eof()) throw UsageError("cannot read " + name);
  return text;
}

// With `parse` a query that PostgreSQL's parser does not know is a fault too. (To run it, the server's own word
// counts.)
Pipeline load(const std::string& file, bool parse) {
  builtins::LoadOptions options;
  options.servers_from_elsewhere = true;
  options.check_query = [parse](const builtins::DatabaseStep& step) {
    std::string problem = bind_query(step).problem;
    return problem.empty() && parse ? syntax_problem(step) : problem;
  };
  options.only_reads = only_reads;
  if (file != "-") return builtins::load_pipeline_file(file, options);
  options.file = "standard input";
  return builtins::load_pipeline(read_all(file, builtins::kMaxPipelineBytes), options);
}

void warn(const Pipeline& pipeline, std::ostream& err) {
  for (const Step& step : pipeline.steps) {
    if (!step.database || !comment_swallows_line(*step.database)) continue;
    const builtins::Place place{pipeline.file, step.database->query_line, step.name, "query"};
    err << "warning: " << printable(place.to_string())
        << ": a comment with -- goes on over the lines below it, which YAML joins: write the query behind \"query: "
           "|\", "
           "or the comment as /* … */\n";
  }
}

Json read_input(const std::string& name) {
  try {
    Json input = Json::parse(read_all(name, kMaxInputBytes), Json::Repeated::kIsError);
    if (input.object() != nullptr) return input;
  } catch (const builtins::JsonError& error) {
    throw UsageError(name + ": " + error.what());
  }
  throw UsageError(name + ": must be an object with the output of each step by its name: {\"step\": {\"field\": 1}}");
}

// The server that the steps name and the file does not define, if there is one: the command line says where it is.
void fill_in_server(Pipeline& pipeline, const ConnectionArguments& connection) {
  const bool any_given =
      std::ranges::any_of(std::initializer_list<std::string>{connection.data_source, connection.url, connection.host,
                                                             connection.port, connection.user, connection.dbname,
                                                             connection.tls_mode, connection.password_file},
                          [](const std::string& argument) { return !argument.empty(); }) ||
      connection.ask_password;
  std::vector<builtins::DatabaseServer*> undefined;
  for (builtins::DatabaseServer& server : pipeline.servers) {
    if (!server.target) undefined.push_back(&server);
  }
  if (undefined.empty() && any_given) {
    throw UsageError(
        "the pipeline says itself where its servers are: leave --data-source, --url, --host and the like out");
  }
  if (undefined.size() > 1) {
    throw UsageError("the pipeline names several servers (" + undefined[0]->name + ", " + undefined[1]->name +
                     ") and defines none: put their blocks into the file");
  }
  if (!undefined.empty()) undefined[0]->target = make_target(connection);
}

std::string list_of(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + printable(name);
  return list;
}

void write_what_remains(const PipelineRun& run, std::ostream& err) {
  if (!run.rolled_back().empty()) err << "Rolled back: " << list_of(run.rolled_back()) << ".\n";
  if (!run.committed().empty()) err << "Committed and not undone: " << list_of(run.committed()) << ".\n";
}

int run_steps(const Pipeline& pipeline, const Json& input, const Context& context) {
  PipelineRun run(pipeline, [&context](const builtins::DatabaseServer& server) {
    auto connector = std::make_unique<PostgresSyncConnector>(
        *server.target, GatewayOptions{.address = context.connection.gateway, .wait = false});
    connector->connect(context.call_options());
    return connector;
  });
  const Json::Object& outputs = *input.object();
  for (size_t i = 0; i < outputs.names.size(); ++i) run.set_output(outputs.names[i], outputs.values[i]);
  context.interrupt.listening();
  const Step* current = nullptr;
  try {
    for (const Step& step : pipeline.steps) {
      current = &step;
      if (context.interrupt.requested()) {
        context.err << "interrupted before step \"" << printable(step.name) << "\"\n";
        run.abandon();
        write_what_remains(run, context.err);
        return kInterrupted;
      }
      if (!step.database) {
        write_skipped(step, outputs.find(step.name) != nullptr, context);
        continue;
      }
      const auto begin = std::chrono::steady_clock::now();
      const builtins::StepOutput output = run.run(step, context.call_options());
      const auto took = std::chrono::steady_clock::now() - begin;
      write_step(step, output, std::chrono::duration_cast<std::chrono::microseconds>(took), context);
    }
  } catch (const DatabaseError& error) {
    context.out.flush();
    const bool interrupted = context.interrupt.requested() && error.outcome() != Outcome::kUnknown;
    if (!interrupted) print_error(error, current->database->query, context.err);
    write_what_remains(run, context.err);
    return interrupted ? kInterrupted : exit_code_of(error);
  }
  return kSuccess;
}

}  // namespace

int run_pipeline(const PipelineArguments& arguments, const Context& context) {
  if (arguments.check && arguments.dry_run) throw UsageError("--check and --dry-run exclude each other");
  if (arguments.file == "-" && arguments.input == "-") {
    throw UsageError("only one of the pipeline and --input can come from the standard input");
  }
  Pipeline pipeline = load(arguments.file, arguments.check);
  warn(pipeline, context.err);
  const Json input = arguments.input.empty() ? Json(Json::Object()) : read_input(arguments.input);
  const bool input_is_known = !arguments.input.empty() || (!arguments.check && !arguments.dry_run);
  if (input_is_known) builtins::check_input(pipeline, input);
  if (arguments.check) {
    const auto steps =
        std::ranges::count_if(pipeline.steps, [](const Step& step) { return step.database.has_value(); });
    context.err << printable(pipeline.file) << ": " << count(static_cast<uint64_t>(steps), "database step")
                << ", no fault\n";
    return kSuccess;
  }
  if (arguments.dry_run) {
    for (const Step& step : pipeline.steps) {
      if (step.database) write_dry_run(step, context);
    }
    context.out.flush();
    require_written(context.out);
    return kSuccess;
  }
  fill_in_server(pipeline, context.connection);
  return run_steps(pipeline, input, context);
}

}  // namespace engine::db::cli
