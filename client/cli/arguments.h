// What the command line says, turned into what the client takes.
#ifndef ENGINE_DB_CLIENT_CLI_ARGUMENTS_H_
#define ENGINE_DB_CLIENT_CLI_ARGUMENTS_H_

#include <chrono>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "engine_db/config.h"
#include "engine_db/value.h"

namespace engine::db::cli {

// The command line is wrong: exit code 2.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Where to connect. What is empty was not given.
struct ConnectionArguments {
  std::string gateway;
  std::string data_source;
  std::string url;
  std::string host;
  std::string port;
  std::string user;
  std::string dbname;
  std::string tls_mode;
  std::string password_file;
  bool ask_password = false;
};

// The first of these that is given: data source, URL, host (with port, user, dbname), the environment's DB_URL (with
// DB_USERNAME). The password comes from the terminal, the file, ENGINE_DB_PASSWORD, DB_PASSWORD, PGPASSWORD or the URL
// in DB_URL, in this order; never from an argument, which every user of the machine can read. Throws UsageError or
// ConfigurationError.
[[nodiscard]] ConnectTarget make_target(const ConnectionArguments& arguments);

// "int:5", "float:1.5", "bool:true", "text:…", "bytes:00ff", "null:", "expr:currentdatetime()" (or another of
// engine_db/value.h's expressions, by its SQL name), "cast:TYPE:…"; any other text is a text. Throws UsageError that
// says which one (`index`, from 0) is wrong, but not its value.
[[nodiscard]] Value parse_parameter(std::string_view text, size_t index);
[[nodiscard]] Parameters parse_parameters(const std::vector<std::string>& texts);

// "500ms", "30s", "5m"; a number alone is seconds. Throws UsageError.
[[nodiscard]] std::chrono::milliseconds parse_duration(std::string_view text);

// A statement's text: `sql` itself, the content of `file`, or the standard input where either is "-". Throws UsageError
// unless exactly one is given.
[[nodiscard]] std::string read_sql(const std::string& sql, const std::string& file);

}  // namespace engine::db::cli

#endif  // ENGINE_DB_CLIENT_CLI_ARGUMENTS_H_
