#include "server/postgres/connect_parameters.h"

#include <arpa/inet.h>
#include <libpq-fe.h>
#include <netdb.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/text.h"
#include "server/postgres/sqlstate.h"

namespace engine::db::postgres {
namespace {

bool IsNumericAddress(const std::string& host) {
  std::array<unsigned char, sizeof(in6_addr)> ignored{};
  return inet_pton(AF_INET, host.c_str(), ignored.data()) == 1 ||
         inet_pton(AF_INET6, host.c_str(), ignored.data()) == 1;
}

// A value within a connection string (PostgreSQL manual, section 34.1.1.1).
std::string Quoted(const std::string& value) {
  std::string quoted = "'";
  for (const char c : value) {
    if (c == '\'' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "'";
}

// What this libpq knows, with the values that it was built with.
std::map<std::string, std::optional<std::string>> LibpqDefaults() {
  static const auto& defaults = *new std::map<std::string, std::optional<std::string>>([] {
    std::map<std::string, std::optional<std::string>> found;
    const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> options(PQconninfoParse("", nullptr),
                                                                               &PQconninfoFree);
    for (const PQconninfoOption* option = options.get(); option != nullptr && option->keyword != nullptr; ++option) {
      std::optional<std::string>& value = found[option->keyword];
      if (option->compiled != nullptr) value = option->compiled;
    }
    return found;
  }());
  return defaults;
}

// A file that is not there: an empty name would mean the one in ~/.postgresql, or ~/.pgpass.
constexpr char kNoFile[] = "/nonexistent";

// For what has no such value, so that the environment or the home directory would give one.
constexpr std::pair<const char*, const char*> kNothingFromAround[] = {
    {"hostaddr", ""},
    {"passfile", kNoFile},
    {"connect_timeout", "0"},
    {"sslcert", kNoFile},
    {"sslkey", kNoFile},
    {"sslcertmode", "allow"},
    {"sslrootcert", kNoFile},
    {"sslcrl", kNoFile},
    {"sslcrldir", ""},
    {"ssl_max_protocol_version", ""},
    {"requirepeer", ""},
    {"require_auth", ""},
    {"gsslib", ""},
    {"keepalives", "1"},
    // Its tickets are the gateway's own, and libpq takes a link that they protect for one with TLS.
    {"gssencmode", "disable"},
};

// The authorities that the machine trusts, as the distributions keep them. (libpq has a word of its own for them only
// since version 16, and only for verify-full.)
std::string SystemAuthorities() {
  for (const char* file :
       {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"}) {
    if (access(file, R_OK) == 0) return file;
  }
  return "system";
}

}  // namespace

ConnectParameters::ConnectParameters(const config::TargetSettings& settings, std::string password)
    : target_name_(settings.DisplayName()),
      error_texts_{.target = target_name_,
                   .password = password,
                   .logged = settings.log_error_detail.value_or(false),
                   .hides_raised = settings.hide_raised_messages},
      host_(settings.host),
      port_(absl::StrCat(settings.port)),
      parameters_(LibpqDefaults()) {
  for (const auto& [keyword, value] : kNothingFromAround) Set(keyword, value);
  Set("host", host_);
  Set("port", port_);
  Set("user", settings.user);
  Set("password", std::move(password));
  Set("dbname", settings.dbname);
  Set("sslmode", settings.SslMode());
  if (!settings.tls_root_certificate.empty()) {
    Set("sslrootcert", settings.tls_root_certificate);
  } else if (settings.VerifiesServer()) {
    Set("sslrootcert", SystemAuthorities());
  }
  if (!settings.tls_certificate.empty()) {
    Set("sslcert", settings.tls_certificate);
    Set("sslkey", settings.tls_key);
  }
  Set("channel_binding", settings.ChannelBinding());
  Set("application_name", settings.application_name);
  Set("client_encoding", "UTF8");
  // The text forms that the encoder reads and the contract promises, whatever the role's or database's defaults; RESET
  // ALL comes back to these. (DateStyle: see AdaptTo.) What decides on values rather than on their form, such as
  // TimeZone and lc_monetary, stays as the role and the database have it.
  Set("options",
      "-c standard_conforming_strings=on -c IntervalStyle=postgres -c extra_float_digits=1 -c bytea_output=hex");
  // A server that vanished without a word is noticed within a minute, also by a cancel request, which inherits these.
  Set("keepalives_idle", "20");
  Set("keepalives_interval", "5");
  Set("keepalives_count", "4");
  Set("tcp_user_timeout", "30000");
}

void ConnectParameters::Set(std::string_view keyword, std::string value) {
  const auto found = parameters_.find(std::string(keyword));
  if (found != parameters_.end()) found->second = std::move(value);
}

std::string& ConnectParameters::Get(const std::string& keyword) { return *parameters_.at(keyword); }

void ConnectParameters::LimitStatements(absl::Duration timeout) {
  absl::StrAppend(&Get("options"), " -c statement_timeout=", absl::ToInt64Milliseconds(timeout));
}

bool ConnectParameters::AdaptTo(std::string_view server_encoding, std::string_view date_style) {
  if (std::exchange(adapted_, true)) return false;
  bool changed = false;
  if (server_encoding == "SQL_ASCII") {
    Get("client_encoding") = "SQL_ASCII";
    changed = true;
  }
  if (!date_style.empty() && !date_style.starts_with("ISO")) {
    const std::string_view order = date_style.substr(std::min(date_style.size(), date_style.find(", ") + 2));
    const bool known = order == "DMY" || order == "MDY" || order == "YMD";
    absl::StrAppend(&Get("options"), " -c DateStyle=ISO", known ? "," : "", known ? ToAbsl(order) : "");
    changed = true;
  }
  return changed;
}

bool ConnectParameters::NeedsResolving() const { return host_[0] != '/' && !IsNumericAddress(host_); }

absl::Status ConnectParameters::ResolveHost() {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int failure = getaddrinfo(host_.c_str(), port_.c_str(), &hints, &found);
  if (failure != 0) {
    return ConnectFailed(target_name_, absl::StrCat("can't resolve the host name: ", gai_strerror(failure)), "");
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, &freeaddrinfo);
  std::vector<std::string> addresses;
  for (const addrinfo* entry = found; entry != nullptr && addresses.size() < 16; entry = entry->ai_next) {
    std::array<char, NI_MAXHOST> address{};
    if (getnameinfo(entry->ai_addr, entry->ai_addrlen, address.data(), address.size(), nullptr, 0, NI_NUMERICHOST) ==
        0) {
      addresses.emplace_back(address.data());
    }
  }
  // libpq tries the addresses in turn, and checks the certificate against the name, which goes with each.
  Set("host", absl::StrJoin(std::vector<std::string>(addresses.size(), host_), ","));
  Set("hostaddr", absl::StrJoin(addresses, ","));
  return absl::OkStatus();
}

std::string ConnectParameters::ConnectionString() const {
  std::string text;
  for (const auto& [keyword, value] : parameters_) {
    if (value) absl::StrAppend(&text, keyword, "=", Quoted(*value), " ");
  }
  return text;
}

}  // namespace engine::db::postgres
