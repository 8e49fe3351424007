// How connections end: by Close, or with their session.
#ifndef ENGINE_DB_SERVER_GATEWAY_CLOSE_H_
#define ENGINE_DB_SERVER_GATEWAY_CLOSE_H_

#include "server/call/ids.h"
#include "server/gateway/parts.h"

namespace engine::db::gateway {

// Gives up what a session has opened: its connections, and its transactions on others. Any thread.
void CloseSession(Parts& parts, call::SessionId session);

}  // namespace engine::db::gateway

#endif  // ENGINE_DB_SERVER_GATEWAY_CLOSE_H_
