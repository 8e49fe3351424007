#include "server/postgres/reported_settings.h"

#include <libpq-fe.h>

#include <string_view>

namespace engine::db::postgres {
namespace {

// Empty for what the server does not report.
std::string_view Reported(const PGconn& connection, const char* name) {
  const char* value = PQparameterStatus(&connection, name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

}  // namespace

void ReportedSettings::Accept(const PGconn& connection) {
  for (size_t i = 0; i < kNames.size(); ++i) values_[i] = Reported(connection, kNames[i]);
}

bool ReportedSettings::Changed(const PGconn& connection) const { return AnyChanged(connection, kNames.size()); }

bool ReportedSettings::ReadingChanged(const PGconn& connection) const { return AnyChanged(connection, kReading); }

bool ReportedSettings::AnyChanged(const PGconn& connection, size_t count) const {
  for (size_t i = 0; i < count; ++i) {
    if (values_[i] != Reported(connection, kNames[i])) return true;
  }
  return false;
}

bool ReportedSettings::ServerIsReadOnly(const PGconn& connection) {
  const char* standby = PQparameterStatus(&connection, "in_hot_standby");
  if (standby == nullptr) return true;  // before PostgreSQL 14, which does not say
  return std::string_view(standby) == "on" || Reported(connection, "default_transaction_read_only") == "on";
}

}  // namespace engine::db::postgres
