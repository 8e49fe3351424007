// The faults of a configuration, collected so that its author sees all of them at once.
#ifndef ENGINE_DB_SERVER_CONFIG_FAULT_H_
#define ENGINE_DB_SERVER_CONFIG_FAULT_H_

#include <string>
#include <vector>

#include "absl/status/status.h"

namespace engine::db::config {

// One fault. Never quotes a text value, which might be a secret in the wrong place, nor a key that is not plainly a
// name, which might be a piece of one.
struct Fault {
  std::string field;     // the path of what is wrong: "config.port"
  std::string expected;  // what is wrong and what was expected: "must be 1 to 65535, got 70000"
};

// InvalidRequest (reason "INVALID_CONFIG") for the first fault's field, whose message lists them all, up to what fits
// an error's 2 KiB. `faults` is not empty.
[[nodiscard]] absl::Status FaultsError(const std::vector<Fault>& faults);

// The same for the operator who starts the gateway: all faults, one a line, after `title`.
[[nodiscard]] absl::Status FaultsReport(const std::string& title, const std::vector<Fault>& faults);

}  // namespace engine::db::config

#endif  // ENGINE_DB_SERVER_CONFIG_FAULT_H_
