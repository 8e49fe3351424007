// What libpq is told when a backend connects.
#ifndef ENGINE_DB_SERVER_POSTGRES_CONNECT_PARAMETERS_H_
#define ENGINE_DB_SERVER_POSTGRES_CONNECT_PARAMETERS_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "server/config/target.h"
#include "server/postgres/error_texts.h"

namespace engine::db::postgres {

// A value type. Holds the password: never print it.
class ConnectParameters {
 public:
  // `password` instead of the settings' own: it may come from a file.
  ConnectParameters(const config::TargetSettings& settings, std::string password);

  // Names the target in messages to the caller.
  [[nodiscard]] const std::string& target_name() const { return target_name_; }

  // What becomes of the target's errors.
  [[nodiscard]] const ErrorTexts& error_texts() const { return error_texts_; }

  // A host name has to be looked up, which blocks, before libpq may have it on an event loop.
  [[nodiscard]] bool NeedsResolving() const;
  // Blocking. Looks the host up, and keeps all its addresses, for libpq to try in turn.
  [[nodiscard]] absl::Status ResolveHost();

  // Whether a session must begin anew with these parameters, which have just been changed, because the server has told
  // these of it: the database's encoding, and the DateStyle that the role's, the database's or the server's settings
  // come to. At most once.
  //   SQL_ASCII: the server refuses to send text that is not valid in the client's encoding, unless that is SQL_ASCII
  //   too. A DateStyle other than ISO: ISO, with the same order of day, month and year, which says how input is read.
  //   (Were it set from the beginning, the order would not be known.)
  [[nodiscard]] bool AdaptTo(std::string_view server_encoding, std::string_view date_style);

  // For PQconnectStartParams: null-terminated, valid as long as this object is unchanged.
  [[nodiscard]] std::vector<const char*> keywords() const;
  [[nodiscard]] std::vector<const char*> values() const;
  // The same as a connection string, for libpqxx.
  [[nodiscard]] std::string ConnectionString() const;

 private:
  void Set(std::string keyword, std::string value);
  std::string& Get(std::string_view keyword);

  std::string target_name_;
  ErrorTexts error_texts_;
  std::string host_;
  std::string port_;
  std::vector<std::pair<std::string, std::string>> parameters_;
  bool adapted_ = false;
};

}  // namespace engine::db::postgres

#endif  // ENGINE_DB_SERVER_POSTGRES_CONNECT_PARAMETERS_H_
