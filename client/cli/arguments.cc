#include "client/cli/arguments.h"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <optional>
#include <utility>

namespace engine::db::cli {
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

// Switches the terminal's echo off, and back on.
class Hidden {
 public:
  explicit Hidden(int terminal) : terminal_(terminal), usable_(tcgetattr(terminal, &before_) == 0) {
    if (!usable_) return;
    termios silent = before_;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    tcsetattr(terminal_, TCSAFLUSH, &silent);
  }
  ~Hidden() {
    if (usable_) tcsetattr(terminal_, TCSAFLUSH, &before_);
  }
  Hidden(const Hidden&) = delete;
  Hidden& operator=(const Hidden&) = delete;

 private:
  int terminal_;
  termios before_{};
  bool usable_;
};

std::string ask_password() {
  // The terminal itself: the standard input may be the statement.
  const int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC);
  if (terminal < 0) throw UsageError("--ask-password needs a terminal; use --password-file or ENGINE_DB_PASSWORD");
  constexpr std::string_view kPrompt = "Password: ";
  std::string password;
  bool complete = write(terminal, kPrompt.data(), kPrompt.size()) >= 0;
  {
    const Hidden hidden(terminal);
    char letter = 0;
    while (complete && read(terminal, &letter, 1) == 1 && letter != '\n') password.push_back(letter);
  }
  complete = complete && write(terminal, "\n", 1) == 1;
  close(terminal);
  if (!complete) throw UsageError("--ask-password: the terminal cannot be written to");
  return password;
}

std::string read_password_file(const std::string& name) {
  std::ifstream file(name);
  std::string password;
  if (!file || (!std::getline(file, password) && !file.eof()))
    throw UsageError("cannot read the password file " + name);
  return password;
}

// Empty when there is none.
std::string find_password(const ConnectionArguments& arguments) {
  if (arguments.ask_password) return ask_password();
  if (!arguments.password_file.empty()) return read_password_file(arguments.password_file);
  for (const char* name : {"ENGINE_DB_PASSWORD", "DB_PASSWORD", "PGPASSWORD"}) {
    if (std::string password = environment(name); !password.empty()) return password;
  }
  return {};
}

// Whether there is a ":" between "://" and the last "@" before the path.
bool has_password(std::string_view url) {
  const size_t begin = url.find("://");
  if (begin == std::string_view::npos) return false;
  const std::string_view authority = url.substr(begin + 3, url.find_first_of("/?", begin + 3) - (begin + 3));
  const size_t at = authority.rfind('@');
  return at != std::string_view::npos && authority.substr(0, at).find(':') != std::string_view::npos;
}

ConnectionConfig from_url(const std::string& url, const ConnectionArguments& arguments, const std::string& user) {
  ConnectionConfig config = ConnectionConfig::from_url(url, user, find_password(arguments));
  return config;
}

template <typename Number>
std::optional<Number> parse_number(std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<bool> parse_bool(std::string_view text) {
  if (text == "true" || text == "t" || text == "1") return true;
  if (text == "false" || text == "f" || text == "0") return false;
  return std::nullopt;
}

std::optional<Bytes> parse_hex(std::string_view text) {
  if (text.starts_with("\\x")) text.remove_prefix(2);
  if (text.size() % 2 != 0) return std::nullopt;
  Bytes bytes;
  for (size_t i = 0; i < text.size(); i += 2) {
    unsigned value = 0;
    const auto [end, error] = std::from_chars(&text[i], &text[i] + 2, value, 16);
    if (error != std::errc() || end != &text[i] + 2) return std::nullopt;
    bytes.data.push_back(static_cast<char>(value));
  }
  return bytes;
}

std::optional<Expression> parse_expression(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, Expression>, 8> kNames = {{
      {"current_timestamp", Expression::kCurrentTimestamp},
      {"current_date", Expression::kCurrentDate},
      {"currentdatetime()", currentdatetime()},
      {"currentdate()", currentdate()},
      {"current_time", Expression::kCurrentTime},
      {"localtimestamp", Expression::kLocalTimestamp},
      {"localtime", Expression::kLocalTime},
      {"default", Expression::kDefault},
  }};
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char letter) { return letter >= 'A' && letter <= 'Z' ? letter + ('a' - 'A') : letter; });
  for (const auto& [name, expression] : kNames) {
    if (lower == name) return expression;
  }
  return std::nullopt;
}

}  // namespace

ConnectTarget make_target(const ConnectionArguments& arguments) {
  const bool spelled_out = !arguments.host.empty() || !arguments.port.empty() || !arguments.user.empty() ||
                           !arguments.dbname.empty() || !arguments.tls_mode.empty();
  if ((arguments.data_source.empty() ? 0 : 1) + (arguments.url.empty() ? 0 : 1) + (spelled_out ? 1 : 0) > 1) {
    throw UsageError("--data-source, --url and --host (with --port and the like) exclude each other");
  }
  if (!arguments.data_source.empty()) return DataSource{arguments.data_source};
  if (!arguments.url.empty()) {
    if (has_password(arguments.url)) {
      throw UsageError(
          "a password in --url can be read by every user of this machine; leave it out and set ENGINE_DB_PASSWORD or "
          "--password-file, or set DB_URL instead of --url");
    }
    return from_url(arguments.url, arguments, {});
  }
  if (spelled_out) {
    std::map<std::string, std::string> settings;
    const auto set = [&settings](const char* name, const std::string& value) {
      if (!value.empty()) settings[name] = value;
    };
    set("host", arguments.host);
    set("port", arguments.port);
    set("user", arguments.user);
    set("dbname", arguments.dbname);
    set("tls_mode", arguments.tls_mode);
    set("password", find_password(arguments));
    return ConnectionConfig::from_map(settings);
  }
  if (const std::string url = environment("DB_URL"); !url.empty()) {
    return from_url(url, arguments, environment("DB_USERNAME"));
  }
  throw UsageError("which database? Give --data-source NAME, or --host, --user and --dbname, or set DB_URL");
}

Value parse_parameter(std::string_view text, size_t index) {
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) return text;
  const std::string_view kind = text.substr(0, colon);
  const std::string_view rest = text.substr(colon + 1);
  const auto require = [index, kind](const auto& parsed, const char* expected) {
    if (!parsed) {
      throw UsageError("--param number " + std::to_string(index + 1) + ": " + std::string(kind) + ": wants " +
                       expected);
    }
    return *parsed;
  };
  if (kind == "text") return rest;
  if (kind == "int") return require(parse_number<int64_t>(rest), "a whole number of 64 bits");
  if (kind == "float") return require(parse_number<double>(rest), "a number");
  if (kind == "bool") return require(parse_bool(rest), "true or false");
  if (kind == "bytes") return require(parse_hex(rest), "pairs of hexadecimal digits");
  if (kind == "expr") {
    return require(
        parse_expression(rest),
        "currentdatetime(), currentdate(), current_timestamp, current_date, current_time, localtimestamp, localtime "
        "or default");
  }
  if (kind == "null") {
    return require(rest.empty() ? std::optional(Value()) : std::nullopt, "nothing behind it");
  }
  if (kind == "cast") {
    const size_t end = rest.find(':');
    const bool complete = end != std::string_view::npos && end > 0;
    return require(
        complete ? std::optional(Value::typed(std::string(rest.substr(0, end)), rest.substr(end + 1))) : std::nullopt,
        "a type and a value: cast:jsonb:{}");
  }
  return text;
}

Parameters parse_parameters(const std::vector<std::string>& texts) {
  Parameters parameters;
  for (size_t i = 0; i < texts.size(); ++i) parameters.push_back(parse_parameter(texts[i], i));
  return parameters;
}

std::chrono::milliseconds parse_duration(std::string_view text) {
  const size_t end = std::min(text.find_first_not_of("0123456789"), text.size());
  const std::optional<uint32_t> number = parse_number<uint32_t>(text.substr(0, end));
  const std::string_view unit = text.substr(end);
  constexpr std::chrono::hours kLongest(24);
  std::chrono::milliseconds duration(-1);
  if (number && unit == "ms") duration = std::chrono::milliseconds(*number);
  if (number && (unit == "s" || unit.empty())) duration = std::chrono::seconds(*number);
  if (number && unit == "m") duration = std::chrono::minutes(*number);
  if (duration <= std::chrono::milliseconds(0) || duration > kLongest) {
    throw UsageError("a duration is written 500ms, 30s or 5m, up to a day; not \"" + std::string(text) + "\"");
  }
  return duration;
}

std::string read_sql(const std::string& sql, const std::string& file) {
  if (sql.empty() == file.empty()) throw UsageError("give the statement either as an argument or with --file");
  if (!sql.empty() && sql != "-") return sql;
  std::ifstream opened;
  const bool standard_input = sql == "-" || file == "-";
  if (!standard_input) {
    opened.open(file, std::ios::binary);
    if (!opened) throw UsageError("cannot read " + file);
  }
  std::istream& in = standard_input ? std::cin : opened;
  std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  // One statement: a semicolon at its end, as files have it, is not part of it.
  text.erase(text.find_last_not_of(" \t\r\n;") + 1);
  return text;
}

}  // namespace engine::db::cli
