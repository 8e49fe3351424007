#include "tests/support/pgbouncer_process.h"

#include <libpq-fe.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <stdexcept>

#include "tests/support/network.h"
#include "tests/support/wait.h"

namespace engine::db::test {
namespace {

std::string Program() {
  // Debian puts it where an ordinary user's PATH does not lead.
  for (const char* path : {"/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"}) {
    if (std::filesystem::exists(path)) return path;
  }
  return "pgbouncer";
}

std::string ReadVersion() {
  ProcessOptions options;
  options.command = {Program(), "--version"};
  options.account = UnprivilegedAccount();
  std::istringstream words(RunProgram(options).out);  // "PgBouncer 1.18.0"
  std::string name;
  std::string version;
  words >> name >> version;
  return version;
}

bool AtLeast(const std::string& version, int major, int minor) {
  char* rest = nullptr;
  const long found_major = std::strtol(version.c_str(), &rest, 10);
  const long found_minor = *rest == '.' ? std::strtol(rest + 1, nullptr, 10) : 0;
  return found_major > major || (found_major == major && found_minor >= minor);
}

}  // namespace

PgBouncerProcess::PgBouncerProcess(const PostgresCluster& cluster, const PgBouncerOptions& options)
    : version_(ReadVersion()),
      keeps_prepared_statements_(AtLeast(version_, 1, 21)),
      login_("user=" + cluster.user() + " password=" + cluster.password() + " dbname=" + cluster.dbname()) {
  constexpr int kAttempts = 5;  // another process may have taken the port since it was found free
  for (int attempt = 1; attempt <= kAttempts; ++attempt) {
    port_ = FreePort();
    WriteConfiguration(cluster, options);
    if (TryStart()) return;
  }
  throw std::runtime_error("PgBouncer does not start:\n" + Log());
}

void PgBouncerProcess::WriteConfiguration(const PostgresCluster& cluster, const PgBouncerOptions& options) const {
  const std::string users = folder_.path() / "users.txt";
  WriteFile(users, "\"" + cluster.user() + "\" \"" + cluster.password() + "\"\n");
  std::ostringstream text;
  text << "[databases]\n"
       << cluster.dbname() << " = host=" << cluster.host() << " port=" << cluster.port() << "\n"
       << "[pgbouncer]\n"
       << "listen_addr = " << host_ << "\nlisten_port = " << port_ << "\n"
       << "unix_socket_dir =\n"
       << "auth_type = scram-sha-256\nauth_file = " << users << "\n"
       << "pool_mode = " << options.pool_mode << "\n"
       << "server_round_robin = " << (options.round_robin ? 1 : 0) << "\n"
       << "default_pool_size = " << options.pool_size << "\n"
       << "max_client_conn = " << options.max_client_connections << "\n"
       << "ignore_startup_parameters = " << options.ignored_parameters << "\n"
       << "log_connections = 0\nlog_disconnections = 0\n";
  if (keeps_prepared_statements_) text << "max_prepared_statements = " << options.max_prepared_statements << "\n";
  WriteFile(folder_.path() / "pgbouncer.ini", text.str());
  if (const auto account = UnprivilegedAccount()) ChangeOwner(folder_.path(), *account);
}

bool PgBouncerProcess::TryStart() {
  ProcessOptions options;
  options.command = {Program(), folder_.path() / "pgbouncer.ini"};
  options.account = UnprivilegedAccount();
  options.stdout_file = folder_.path() / "pgbouncer.log";
  options.stderr_file = options.stdout_file;
  process_ = std::make_unique<Process>(options);
  const std::string target = AppUser();
  WaitUntil(std::chrono::seconds(30),
            [this, &target] { return !process_->Running() || PQping(target.c_str()) == PQPING_OK; });
  return process_->Running();
}

std::string PgBouncerProcess::AppUser() const {
  return "host=" + host_ + " port=" + std::to_string(port_) + " " + login_;
}

std::string PgBouncerProcess::Log() const { return ReadFile(folder_.path() / "pgbouncer.log"); }

}  // namespace engine::db::test
