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

}  // namespace engine::db::cli

#endif  // ENGINE_DB_CLIENT_CLI_PIPELINE_QUERY_H_
