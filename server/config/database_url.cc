#include "server/config/database_url.h"

#include <charconv>
#include <cstdint>
#include <limits>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace engine::db::config {
namespace {

bool RemovePrefix(std::string_view& text, std::string_view prefix) {
  if (text.substr(0, prefix.size()) != prefix) return false;
  text.remove_prefix(prefix.size());
  return true;
}

// The part before the first of `separators`, which is removed with it from the front of `text`.
std::string_view TakeUntil(std::string_view& text, std::string_view separators) {
  const size_t end = text.find_first_of(separators);
  const std::string_view part = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end);
  return part;
}

// abseil's HexStringToBytes has another signature in each release of Debian.
char HexDigitsToByte(std::string_view two_digits) {
  unsigned char byte = 0;
  std::from_chars(two_digits.data(), two_digits.data() + two_digits.size(), byte, 16);
  return static_cast<char>(byte);
}

std::optional<std::string> PercentDecode(std::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    if (i + 2 >= text.size() || !absl::ascii_isxdigit(static_cast<unsigned char>(text[i + 1])) ||
        !absl::ascii_isxdigit(static_cast<unsigned char>(text[i + 2]))) {
      return std::nullopt;
    }
    decoded += HexDigitsToByte(text.substr(i + 1, 2));
    i += 2;
  }
  return decoded;
}

class Parser {
 public:
  explicit Parser(std::vector<std::string>& faults) : faults_(faults) {}

  DatabaseUrl Parse(std::string_view url) {
    if (!RemovePrefix(url, "postgresql://") && !RemovePrefix(url, "postgres://")) {
      faults_.emplace_back("must be postgresql://user:password@host:port/database");
      return {};
    }
    std::string_view authority = TakeUntil(url, "/?#");
    // The last "@": a password that holds one not encoded is read as it was meant.
    if (const size_t at = authority.rfind('@'); at != std::string_view::npos) {
      ParseUser(authority.substr(0, at));
      authority.remove_prefix(at + 1);
    }
    ParseHost(authority);
    if (RemovePrefix(url, "/")) {
      if (const auto database = TakeUntil(url, "?#"); !database.empty()) Set("dbname", database);
    }
    if (RemovePrefix(url, "?")) ParseParameters(TakeUntil(url, "#"));
    if (!url.empty()) faults_.emplace_back("must not contain \"#\" unless percent-encoded (%23)");
    return std::move(result_);
  }

 private:
  void ParseUser(std::string_view user) {
    const size_t colon = user.find(':');
    Set("user", user.substr(0, colon));
    if (colon != std::string_view::npos) Set("password", user.substr(colon + 1));
  }

  void ParseHost(std::string_view host) {
    std::string_view port;
    if (RemovePrefix(host, "[")) {
      const size_t close = host.find(']');
      if (close == std::string_view::npos) {
        faults_.emplace_back("has a \"[\" without \"]\" around its host");
        return;
      }
      port = host.substr(close + 1);
      host = host.substr(0, close);
      if (!port.empty() && !RemovePrefix(port, ":"))
        faults_.emplace_back("must have \":port\" or nothing after the host's \"]\"");
    } else if (const size_t colon = host.rfind(':'); colon != std::string_view::npos) {
      port = host.substr(colon + 1);
      host = host.substr(0, colon);
    }
    if (!host.empty()) Set("host", host);
    if (!port.empty()) Set("port", port);
  }

  void ParseParameters(std::string_view parameters) {
    while (!parameters.empty()) {
      std::string_view value = TakeUntil(parameters, "&");
      RemovePrefix(parameters, "&");
      const std::string_view name = TakeUntil(value, "=");
      if (!RemovePrefix(value, "=")) {
        faults_.emplace_back("has a parameter without \"=\"");
      } else {
        Set(name, value);
      }
    }
  }

  // Decodes and takes over one part.
  void Set(std::string_view name, std::string_view encoded) {
    auto value = PercentDecode(encoded);
    if (!value) {
      faults_.emplace_back("has a \"%\" that is not followed by two hexadecimal digits");
      return;
    }
    v1::ConnectionConfig& config = result_.config;
    if (name == "host") {
      config.set_host(*value);
    } else if (name == "port") {
      if (const auto number = Number(name, *value)) config.set_port(*number);
    } else if (name == "user") {
      config.set_user(*value);
    } else if (name == "password") {
      config.set_password(*value);
    } else if (name == "dbname") {
      config.set_dbname(*value);
    } else if (name == "sslmode") {
      config.set_tls_mode(ParseTlsMode(*value));
      if (config.tls_mode() == v1::TLS_MODE_UNSPECIFIED)
        faults_.push_back(absl::StrCat("sslmode must be ", kTlsModeWords));
    } else if (name == "sslrootcert") {
      result_.tls_root_certificate = *value;
    } else if (name == "application_name") {
      config.set_application_name(*value);
    } else if (name == "connect_timeout") {
      const auto seconds = Number(name, *value);
      if (seconds) config.set_timeout_ms(*seconds > std::numeric_limits<int32_t>::max() / 1000 ? -1 : *seconds * 1000);
    } else {
      // Not named: with a password that should have been encoded, it may be a part of one.
      faults_.emplace_back(
          "has an unknown parameter; known are host, port, user, password, dbname, sslmode, sslrootcert, "
          "application_name and connect_timeout");
    }
  }

  std::optional<int32_t> Number(std::string_view name, const std::string& text) {
    int32_t number = 0;
    if (absl::SimpleAtoi(text, &number)) return number;
    faults_.push_back(absl::StrCat(std::string(name), " must be a whole number"));
    return std::nullopt;
  }

  std::vector<std::string>& faults_;
  DatabaseUrl result_;
};

}  // namespace

DatabaseUrl ParseDatabaseUrl(std::string_view url, std::vector<std::string>& faults) {
  return Parser(faults).Parse(url);
}

v1::TlsMode ParseTlsMode(std::string_view word) {
  if (word == "disable") return v1::TLS_MODE_DISABLE;
  if (word == "prefer") return v1::TLS_MODE_PREFER;
  if (word == "require") return v1::TLS_MODE_REQUIRE;
  if (word == "verify-ca") return v1::TLS_MODE_VERIFY_CA;
  if (word == "verify-full") return v1::TLS_MODE_VERIFY_FULL;
  return v1::TLS_MODE_UNSPECIFIED;
}

}  // namespace engine::db::config
