// The command `status`: whether the gateway serves, and what it is doing.
#ifndef ENGINE_DB_CLIENT_CLI_STATUS_H_
#define ENGINE_DB_CLIENT_CLI_STATUS_H_

#include "client/cli/context.h"

namespace engine::db::cli {

// Returns kSuccess when it serves, kNoConnection when it cannot be reached or says that it does not.
int run_status(const Context& context);

}  // namespace engine::db::cli

#endif  // ENGINE_DB_CLIENT_CLI_STATUS_H_
