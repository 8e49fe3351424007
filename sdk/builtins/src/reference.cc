#include "engine_db/builtins/reference.h"

#include <utility>

#include "sdk/common/reference.h"

namespace engine::db::builtins {

std::optional<std::string> process_environment(const std::string& name) { return common::process_environment(name); }

bool has_reference(std::string_view text) { return common::has_reference(text); }

std::string resolve_references(std::string_view text, const Environment& environment) {
  common::Resolved resolved = common::resolve_references(text, environment);
  if (!resolved.faults.empty()) throw ReferenceError(resolved.faults.front());
  return std::move(resolved.text);
}

}  // namespace engine::db::builtins
