#include "tests/fault/standby.h"

#include <libpq-fe.h>

#include <chrono>
#include <fstream>
#include <pqxx/pqxx>
#include <stdexcept>

#include "tests/support/network.h"
#include "tests/support/wait.h"

namespace engine::db::test {
namespace {

constexpr std::chrono::seconds kTimeout{60};

std::string Ask(const std::string& server, const std::string& sql) {
  pqxx::connection connection(server);
  pqxx::nontransaction work(connection);
  const pqxx::result result = work.exec(sql);
  return result.empty() || result[0][0].is_null() ? "" : result[0][0].c_str();
}

}  // namespace

Standby::Standby(const PostgresCluster& primary)
    : data_(folder_.path() / "data"), port_(FreePort()), dbname_(primary.dbname()) {
  const auto account = UnprivilegedAccount();
  if (account) ChangeOwner(folder_.path(), *account);
  ProcessOptions backup;
  backup.command = {PostgresProgram("pg_basebackup"),
                    "-D",
                    data_,
                    "-R",
                    "-X",
                    "stream",
                    "-c",
                    "fast",
                    "-h",
                    primary.socket_dir(),
                    "-p",
                    std::to_string(primary.port()),
                    "-U",
                    "postgres"};
  backup.account = account;
  backup.working_folder = folder_.path();
  const Completed completed = RunProgram(backup, kTimeout);
  if (completed.exit_code != 0) throw std::runtime_error("pg_basebackup failed:\n" + completed.err);
  std::ofstream(data_ / "postgresql.auto.conf", std::ios::app)
      << "port = " << port_ << "\nunix_socket_directories = '" << folder_.path().string() << "'\n";

  ProcessOptions server;
  server.command = {PostgresProgram("postgres"), "-D", data_};
  server.account = account;
  server.working_folder = folder_.path();
  server.stdout_file = folder_.path() / "postgres.log";
  server.stderr_file = server.stdout_file;
  server.signal_on_parent_death = SIGQUIT;
  process_ = std::make_unique<Process>(server);
  const std::string target = Superuser();
  const bool ready = WaitUntil(kTimeout, [&] { return !process_->Running() || PQping(target.c_str()) == PQPING_OK; });
  if (!ready || !process_->Running()) {
    throw std::runtime_error("the standby does not start:\n" + ReadFile(server.stdout_file));
  }
  if (!WaitUntil(kTimeout, [&] {
        return primary.Scalar("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") == "1";
      })) {
    throw std::runtime_error("the standby does not stream:\n" + ReadFile(server.stdout_file));
  }
}

void Standby::MakeCommitsWait(const PostgresCluster& primary) {
  primary.Exec("ALTER SYSTEM SET synchronous_standby_names = '*'");
  primary.Exec("SELECT pg_reload_conf()");
  if (!WaitUntil(kTimeout, [&] {
        return primary.Scalar("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") == "1";
      })) {
    throw std::runtime_error("the standby does not become a synchronous one");
  }
}

void Standby::Promote() const {
  // Alone, it must not wait for a standby of its own.
  Ask(Superuser(), "ALTER SYSTEM SET synchronous_standby_names = ''");
  Ask(Superuser(), "SELECT pg_reload_conf()");
  if (Ask(Superuser(), "SELECT pg_promote()") != "t") throw std::runtime_error("the standby can't be promoted");
}

std::string Standby::Superuser() const {
  return "host=" + folder_.path().string() + " port=" + std::to_string(port_) + " user=postgres dbname=" + dbname_;
}

}  // namespace engine::db::test
