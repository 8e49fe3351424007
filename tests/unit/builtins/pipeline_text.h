// Pipelines as texts, and what is wrong with them.
#ifndef ENGINE_DB_TESTS_UNIT_BUILTINS_PIPELINE_TEXT_H_
#define ENGINE_DB_TESTS_UNIT_BUILTINS_PIPELINE_TEXT_H_

#include <optional>
#include <string>

#include "engine_db/builtins/pipeline.h"
#include "tests/support/requirements_yaml.h"

namespace engine::db::builtins {

inline std::optional<std::string> environment(const std::string& name) {
  if (name == "DB_URL") return "postgresql://somebody:old-secret@db.example:6543/loyalty";
  if (name == "DB_USERNAME") return "app";
  if (name == "DB_PASSWORD") return "very-secret";
  if (name == "REGION") return "currentdatetime()";
  return std::nullopt;
}

inline Pipeline load(const std::string& yaml) {
  return load_pipeline(yaml, {.file = "p.yaml", .environment = environment});
}

// What is wrong, a line each; empty for nothing.
inline std::string faults_of(const std::string& yaml, LoadOptions options = {}) {
  options.file = "p.yaml";
  options.environment = environment;
  try {
    (void)load_pipeline(yaml, options);
    return "";
  } catch (const PipelineError& error) {
    return error.what();
  }
}

// A server, and these steps.
inline std::string with_steps(const std::string& steps) {
  return std::string(test::kDatabaseServer) + "steps:\n" + steps;
}
// An executeSql step `s` with these lines in it; `s` begins in line 13.
inline std::string with_step(const std::string& lines) {
  return with_steps("- name: s\n  type: database\n  operation: executeSql\n  server: databaseServer\n" + lines);
}
// One with these parameters.
inline std::string with_parameters(const std::string& parameters) {
  return with_step("  query: SELECT 1\n  parameters: " + parameters + "\n");
}

}  // namespace engine::db::builtins

#endif  // ENGINE_DB_TESTS_UNIT_BUILTINS_PIPELINE_TEXT_H_
