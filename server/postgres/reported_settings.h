// The settings that a server reports by itself whenever they change.
#ifndef ENGINE_DB_SERVER_POSTGRES_REPORTED_SETTINGS_H_
#define ENGINE_DB_SERVER_POSTGRES_REPORTED_SETTINGS_H_

#include <array>
#include <cstddef>
#include <string>

#include "server/postgres/libpq_types.h"

namespace engine::db::postgres {

// Their values as they are to be. Costs no round trip: libpq keeps what was reported last. Loop thread only.
class ReportedSettings {
 public:
  // Takes the values as they are.
  void Accept(const PGconn& connection);
  // Whether one is not what it was at Accept().
  [[nodiscard]] bool Changed(const PGconn& connection) const;
  // Whether one of those is not by which the server reads the text of statements.
  [[nodiscard]] bool ReadingChanged(const PGconn& connection) const;

  // Whether the server takes no writes, whatever the transaction.
  [[nodiscard]] static bool ServerIsReadOnly(const PGconn& connection);

 private:
  // What a caller can change of the settings that servers report. (search_path since PostgreSQL 18.) Not
  // default_transaction_read_only, which is the pool's guard.
  static constexpr std::array<const char*, 9> kNames = {
      // By these statements are read.
      "client_encoding", "standard_conforming_strings",
      // By these they mean something else.
      "TimeZone", "DateStyle", "IntervalStyle", "search_path", "is_superuser", "application_name",
      "session_authorization"};
  static constexpr size_t kReading = 2;

  [[nodiscard]] bool AnyChanged(const PGconn& connection, size_t count) const;

  std::array<std::string, kNames.size()> values_;
};

}  // namespace engine::db::postgres

#endif  // ENGINE_DB_SERVER_POSTGRES_REPORTED_SETTINGS_H_
