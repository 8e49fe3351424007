// The database's part of a pipeline file: its servers and its steps, read and checked. sdk/builtins/README.md tells
// what such a file looks like.
#ifndef ENGINE_DB_BUILTINS_PIPELINE_H_
#define ENGINE_DB_BUILTINS_PIPELINE_H_

#include <cstddef>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "engine_db/builtins/json.h"
#include "engine_db/builtins/json_path.h"
#include "engine_db/builtins/reference.h"
#include "engine_db/config.h"
#include "engine_db/error.h"
#include "engine_db/value.h"

namespace engine::db::builtins {

class Operation;

// One thing that is wrong with a pipeline file, or that went wrong in one of its steps.
struct Place {
  std::string file = {};
  size_t line = 0;         // from 1; 0 for the file as a whole
  std::string step = {};   // its name; empty outside the steps
  std::string field = {};  // "parameters[1]"; of servers with their name: "databaseServer.url"

  // pipeline.yaml:12: step "query-loyalty-score": parameters[1]
  [[nodiscard]] std::string to_string() const;
};
struct PipelineFault {
  Place place;
  // What was expected, and what was found unless that may be secret.
  std::string message;
};

// A pipeline file is wrong. what() has a line for every fault.
class PipelineError : public DatabaseRequestError {
 public:
  // `faults` must not be empty.
  explicit PipelineError(std::vector<PipelineFault> faults);
  [[nodiscard]] const std::vector<PipelineFault>& faults() const { return faults_; }

 private:
  std::vector<PipelineFault> faults_;
};

// A block that says where a database is.
struct DatabaseServer {
  std::string name;
  // Nothing for one that the file does not define; see LoadOptions::servers_from_elsewhere.
  std::optional<ConnectTarget> target;
};

// What a "?" of a query is filled with.
struct StepParameter {
  // A constant, a path into the outputs of earlier steps, which begins with the name of one, or an expression.
  std::variant<Json, JsonPath, Expression> source;
  // A list as JSON text, for a json or jsonb column, rather than as an SQL array.
  bool as_json = false;
  size_t line = 0;
};

// A name of a step's output, and where in {rows, rowcount, columns} its value is.
struct ResponseField {
  std::string name;
  JsonPath path;
  size_t line = 0;
};

// A step with `type: database`.
struct DatabaseStep {
  const Operation* operation = nullptr;  // lives for ever
  std::string server = {};
  std::string description = {};
  // Only of executeSql.
  std::string query = {};
  size_t query_line = 0;
  // Where in the query there is a "--" with something behind it that stands in a later line of the file, which YAML has
  // joined: if it begins a comment, that is a part of it.
  std::vector<size_t> dashes_before_folded_lines = {};
  // Whether the query is sure to change nothing, if anybody knows: see LoadOptions::only_reads.
  std::optional<bool> only_reads = {};
  std::vector<StepParameter> parameters = {};
  // Without any, the output is the whole {rows, rowcount, columns}.
  std::vector<ResponseField> response = {};
  // Whether it begins the transaction that a later commitSql or rollbackSql of its server ends, and whether it runs in
  // one.
  bool begins_transaction = false;
  bool in_transaction = false;
};

// A step of the pipeline, in its place.
struct Step {
  std::string name;
  std::string type;
  size_t line = 0;
  // Nothing for a step of another type, which is not looked into.
  std::optional<DatabaseStep> database;
};

struct Pipeline {
  // As it is named in messages.
  std::string file;
  // Those of its databases, and those from elsewhere that its steps name.
  std::vector<DatabaseServer> servers;
  // In their order.
  std::vector<Step> steps;
};

struct LoadOptions {
  // What messages call the file.
  std::string file = "pipeline.yaml";
  Environment environment = process_environment;
  // Whether the steps may name a server although the file defines none at all: somebody else knows where it is.
  bool servers_from_elsewhere = false;
  // What is wrong with a step's query and the number of its parameters, as far as its text tells; empty for nothing.
  // Without it the database finds out.
  std::function<std::string(const DatabaseStep& step)> check_query = nullptr;
  // Whether a step's query is sure to change nothing. Without it none is, and each one counts among what is committed
  // or rolled back.
  std::function<bool(const DatabaseStep& step)> only_reads = nullptr;
};

inline constexpr size_t kMaxPipelineBytes = size_t{1} << 20;
inline constexpr size_t kMaxSteps = 1000;

// Reads the text of a pipeline file. Throws PipelineError, with every fault.
[[nodiscard]] Pipeline load_pipeline(std::string_view yaml, const LoadOptions& options = {});

// Reads a file; messages call it as `path` does.
[[nodiscard]] Pipeline load_pipeline_file(const std::filesystem::path& path, LoadOptions options = {});

}  // namespace engine::db::builtins

#endif  // ENGINE_DB_BUILTINS_PIPELINE_H_
