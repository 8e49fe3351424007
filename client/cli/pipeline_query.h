// A step's query as PostgreSQL would get it, found out without the gateway by the gateway's own rules.
#ifndef ENGINE_DB_CLIENT_CLI_PIPELINE_QUERY_H_
#define ENGINE_DB_CLIENT_CLI_PIPELINE_QUERY_H_

#include <string>

#include "engine_db/builtins/pipeline.h"

namespace engine::db::cli {

struct BoundQuery {
  // With $1, $2… for values, and expressions in place.
  std::string sql;
  // What is wrong with the text, or with the number of its parameters. Empty: nothing.
  std::string problem;
};

[[nodiscard]] BoundQuery bind_query(const builtins::DatabaseStep& step);

// What PostgreSQL's parser says against the query; empty for nothing. A server that is newer than the parser may know
// more.
[[nodiscard]] std::string syntax_problem(const builtins::DatabaseStep& step);

// Whether the text is sure to change nothing.
[[nodiscard]] bool only_reads(const builtins::DatabaseStep& step);

// Whether a comment of the query swallows a line that the file has below it, since YAML has joined the two.
[[nodiscard]] bool comment_swallows_line(const builtins::DatabaseStep& step);

}  // namespace engine::db::cli

#endif  // ENGINE_DB_CLIENT_CLI_PIPELINE_QUERY_H_
