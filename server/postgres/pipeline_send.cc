#include "server/postgres/pipeline_send.h"

#include <libpq-fe.h>

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"

namespace engine::db::postgres {
namespace {

// Ends an operation. Up to libpq 16 each Sync is a system call of its own; later ones leave together, when flushed.
bool SendSync(PGconn& connection) {
#ifdef LIBPQ_HAS_SEND_PIPELINE_SYNC
  return PQsendPipelineSync(&connection) != 0;
#else
  return PQpipelineSync(&connection) != 0;
#endif
}

// The parameters as libpq takes them.
struct Values {
  explicit Values(const sql::BoundParameters* parameters) {
    if (parameters == nullptr || parameters->size() == 0) return;
    count = parameters->size();
    values = parameters->values();
    lengths = parameters->lengths();
    formats = parameters->formats();
  }

  int count = 0;
  const char* const* values = nullptr;
  const int* lengths = nullptr;
  const int* formats = nullptr;
};

// As many types as there are parameters, also where the statement is only described: one that takes none of them, the
// server refuses here, as a fault of the statement, rather than when values are bound to it, as one of the link.
bool SendPrepare(PGconn& connection, const char* name, const sql::BoundText& text, int count) {
  std::vector<Oid> types(text.parameter_types.begin(), text.parameter_types.end());
  types.resize(std::max<size_t>(text.parameter_count, count), InvalidOid);
  return PQsendPrepare(&connection, name, text.sql.c_str(), static_cast<int>(types.size()), types.data()) != 0;
}

bool SendPrepared(PGconn& connection, const char* name, const Values& values) {
  return PQsendQueryPrepared(&connection, name, values.count, values.values, values.lengths, values.formats, 0) != 0;
}

bool SendUnprepared(PGconn& connection, const sql::BoundText& text, const Values& values) {
  std::vector<Oid> types = text.parameter_types;
  types.resize(values.count);
  return PQsendQueryParams(&connection, text.sql.c_str(), values.count, types.data(), values.values, values.lengths,
                           values.formats, 0) != 0;
}

bool SendStatement(PGconn& connection, PreparedStatements& prepared, const Operation& operation, InFlight& entry) {
  const sql::BoundText& text = *operation.text;
  const Values values(operation.parameters);
  const bool keeps = operation.keep_prepared && prepared.enabled();
  PreparedStatements::Entry* statement = keeps ? prepared.Find(text) : nullptr;
  if (statement != nullptr && statement->state == PreparedStatements::State::kPreparing && !operation.describe_only) {
    // An operation ahead in this pipeline prepares it, which may yet fail: this one stands on its own feet.
    return SendUnprepared(connection, text, values);
  }
  if (statement == nullptr && !keeps && !operation.describe_only) return SendUnprepared(connection, text, values);

  const bool prepares = statement == nullptr;
  if (prepares && keeps) statement = prepared.Add(operation.text);
  const char* name = statement == nullptr ? "" : statement->name.c_str();
  if (prepares) {
    entry.stage = InFlight::Stage::kPrepare;
    if (!SendPrepare(connection, name, text, values.count)) return false;
  }
  return operation.describe_only ? PQsendDescribePrepared(&connection, name) != 0
                                 : SendPrepared(connection, name, values);
}

}  // namespace

bool SendOperation(PGconn& connection, PreparedStatements& prepared, const Operation& operation, InFlight& entry) {
  if (operation.text == nullptr) {
    entry.stage = InFlight::Stage::kSync;
    return SendSync(connection);
  }
  if (!SendStatement(connection, prepared, operation, entry)) return false;
  entry.sent = true;
  return !operation.sync || SendSync(connection);
}

bool SendDeallocate(PGconn& connection, const std::string& name) {
  const std::string command = absl::StrCat("DEALLOCATE ", name);
  return PQsendQueryParams(&connection, command.c_str(), 0, nullptr, nullptr, nullptr, nullptr, 0) != 0 &&
         SendSync(connection);
}

}  // namespace engine::db::postgres
