#include "server/postgres/connect_parameters.h"

#include <arpa/inet.h>
#include <netdb.h>

#include <algorithm>
#include <array>
#include <memory>

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

}  // namespace

ConnectParameters::ConnectParameters(const config::TargetSettings& settings, std::string password)
    : target_name_(settings.DisplayName()),
      error_texts_{.target = target_name_,
                   .password = password,
                   .logged = settings.log_error_detail.value_or(false),
                   .hides_raised = settings.hide_raised_messages},
      host_(settings.host),
      port_(absl::StrCat(settings.port)) {
  Set("host", host_);
  Set("port", port_);
  Set("user", settings.user);
  Set("password", std::move(password));
  Set("dbname", settings.dbname);
  Set("sslmode", settings.SslMode());
  if (!settings.tls_root_certificate.empty()) Set("sslrootcert", settings.tls_root_certificate);
  Set("application_name", settings.application_name);
  Set("client_encoding", "UTF8");
  // The text forms that the encoder reads and the contract promises, whatever the role's or database's defaults; RESET
  // ALL comes back to these. (DateStyle: see AdaptTo.) What decides on values rather than on their form, such as
  // TimeZone and lc_monetary, stays as the role and the database have it.
  Set("options",
      "-c standard_conforming_strings=on -c IntervalStyle=postgres -c extra_float_digits=1 -c bytea_output=hex");
  // The gateway's own surroundings must not lend a caller a password.
  Set("passfile", "/nonexistent");
  // A server that vanished without a word is noticed within a minute, also by a cancel request, which inherits these.
  Set("keepalives_idle", "20");
  Set("keepalives_interval", "5");
  Set("keepalives_count", "4");
  Set("tcp_user_timeout", "30000");
}

void ConnectParameters::Set(std::string keyword, std::string value) {
  parameters_.emplace_back(std::move(keyword), std::move(value));
}

std::string& ConnectParameters::Get(std::string_view keyword) {
  return std::find_if(parameters_.begin(), parameters_.end(), [&](const auto& p) { return p.first == keyword; })
      ->second;
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
  parameters_[0].second = absl::StrJoin(std::vector<std::string>(addresses.size(), host_), ",");
  Set("hostaddr", absl::StrJoin(addresses, ","));
  return absl::OkStatus();
}

std::vector<const char*> ConnectParameters::keywords() const {
  std::vector<const char*> out;
  for (const auto& [keyword, value] : parameters_) out.push_back(keyword.c_str());
  out.push_back(nullptr);
  return out;
}

std::vector<const char*> ConnectParameters::values() const {
  std::vector<const char*> out;
  for (const auto& [keyword, value] : parameters_) out.push_back(value.c_str());
  out.push_back(nullptr);
  return out;
}

std::string ConnectParameters::ConnectionString() const {
  return absl::StrJoin(parameters_, " ", [](std::string* out, const auto& parameter) {
    absl::StrAppend(out, parameter.first, "=", Quoted(parameter.second));
  });
}

}  // namespace engine::db::postgres
