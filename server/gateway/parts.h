// What the gateway's methods work with. Owned by Gateway.
#ifndef ENGINE_DB_SERVER_GATEWAY_PARTS_H_
#define ENGINE_DB_SERVER_GATEWAY_PARTS_H_

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/db/v1/error.pb.h"
#include "server/call/context.h"
#include "server/config/settings.h"
#include "server/gateway/admission.h"
#include "server/gateway/connections.h"
#include "server/gateway/shards.h"
#include "server/loop/clock.h"
#include "server/observe/metrics.h"
#include "server/sql/statement_cache.h"

namespace engine::db::gateway {

// Fills in an error that is a part of a response, of a batch: the wire's form of a failure is not the gateway's.
using ErrorWriter = void (*)(const absl::Status& status, v1::DatabaseError& error);

// Every part may be used from any thread.
struct Parts {
  const config::GatewaySettings& settings;
  observe::Metrics& metrics;
  const loop::Clock& clock;
  const call::Context& context;
  Connections& connections;
  sql::StatementCache& statements;
  Shards& shards;
  Admission& admission;
  const ErrorWriter write_error;
  const absl::Time started;  // when the gateway did
};

}  // namespace engine::db::gateway

#endif  // ENGINE_DB_SERVER_GATEWAY_PARTS_H_
