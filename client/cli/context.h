// What every command gets: where it runs and where it writes.
#ifndef ENGINE_DB_CLIENT_CLI_CONTEXT_H_
#define ENGINE_DB_CLIENT_CLI_CONTEXT_H_

#include <chrono>
#include <ostream>

#include "client/cli/arguments.h"
#include "client/cli/interrupt.h"
#include "client/cli/output.h"
#include "engine_db/options.h"

namespace engine::db::cli {

struct Context {
  ConnectionArguments connection;
  Format format = Format::kTable;
  // Of the call; 0 for the gateway's.
  std::chrono::milliseconds timeout{0};
  bool out_is_terminal = false;
  bool err_is_terminal = false;
  std::ostream& out;
  std::ostream& err;
  Interrupt& interrupt;

  [[nodiscard]] CallOptions call_options() const {
    return {.timeout = timeout, .retry = {}, .stop = interrupt.token()};
  }
};

}  // namespace engine::db::cli

#endif  // ENGINE_DB_CLIENT_CLI_CONTEXT_H_
