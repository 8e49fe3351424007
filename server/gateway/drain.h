// How the gateway shuts down.
#ifndef ENGINE_DB_SERVER_GATEWAY_DRAIN_H_
#define ENGINE_DB_SERVER_GATEWAY_DRAIN_H_

#include "absl/time/time.h"
#include "server/gateway/parts.h"

namespace engine::db::gateway {

// Refuses new work, waits until what runs has ended or `grace` has passed, and rolls back what is left. Blocks.
void Drain(Parts& parts, absl::Duration grace);

}  // namespace engine::db::gateway

#endif  // ENGINE_DB_SERVER_GATEWAY_DRAIN_H_
