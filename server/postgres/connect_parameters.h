// What libpq is told when a backend connects.
#ifndef ENGINE_DB_SERVER_POSTGRES_CONNECT_PARAMETERS_H_
#define ENGINE_DB_SERVER_POSTGRES_CONNECT_PARAMETERS_H_

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
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

  // The server ends each statement after so long. In a startup parameter: a SET would stay behind where a pooler gives
  // the session to somebody else.
  void LimitStatements(absl::Duration timeout);

  // For PQconnectStart. Names every parameter that the environment, a service file or the home directory could
  // otherwise set, the empty ones too, which PQconnectStartParams would leave out.
  [[nodiscard]] std::string ConnectionString() const;

 private:
  // Does nothing for a keyword that this libpq does not know.
  void Set(std::string_view keyword, std::string value);
  std::string& Get(const std::string& keyword);

  std::string target_name_;
  ErrorTexts error_texts_;
  std::string host_;
  std::string port_;
  std::map<std::string, std::optional<std::string>> parameters_;  // by libpq's keywords; none: libpq decides
  bool adapted_ = false;
};

}  // namespace engine::db::postgres

#endif  // ENGINE_DB_SERVER_POSTGRES_CONNECT_PARAMETERS_H_
