// What names a call, and what it belongs to.
#ifndef ENGINE_DB_SERVER_CALL_IDS_H_
#define ENGINE_DB_SERVER_CALL_IDS_H_

#include <cstdint>

namespace engine::db::call {

using CallId = uint64_t;
using TargetId = uint64_t;
using SessionId = uint64_t;  // 0: not on a session

}  // namespace engine::db::call

#endif  // ENGINE_DB_SERVER_CALL_IDS_H_
