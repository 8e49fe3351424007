// A real PostgreSQL of the test's own.
#ifndef ENGINE_DB_TESTS_SUPPORT_POSTGRES_CLUSTER_H_
#define ENGINE_DB_TESTS_SUPPORT_POSTGRES_CLUSTER_H_

#include <filesystem>
#include <map>
#include <memory>
#include <pqxx/pqxx>
#include <string>

#include "tests/support/process.h"
#include "tests/support/temporary_folder.h"

namespace engine::db::test {

struct PostgresOptions {
  // Settings as in postgresql.conf, on top of the fast but otherwise ordinary ones of the cluster: {{"max_connections",
  // "20"}}.
  std::map<std::string, std::string> settings = {};
  // Runs initdb (seconds) instead of copying a cluster that was made before. All copies share one system_identifier, so
  // a test that tells servers apart by it needs this.
  bool own_system_identifier = false;
  // Where it listens: an address of this machine's own (127.0.0.0/8), and a port; 0 for one that is free.
  std::string host = "127.0.0.1";
  int port = 0;
};

// PostgreSQL in a temporary folder, listening on a unix socket in that folder and on a port of 127.0.0.1, both of which
// stay the same over restarts. It has a database `app`, owned by the role `app`, which logs in with a password
// (SCRAM-SHA-256) on either, and a superuser `postgres`, who needs none on the socket. Durability is off (fsync), since
// nothing has to survive the machine; a crash of the processes is recovered from as ever.
//
// Not thread-safe, but Exec and Scalar may be called from any thread while the server runs. Every failure is a
// std::exception. Stopped and removed by the destructor, and stopped when the thread that made it dies.
class PostgresCluster {
 public:
  enum class StopMode {
    kSmart,      // waits for the sessions to end
    kFast,       // ends the sessions, which roll back
    kImmediate,  // ends the processes; recovery at the next start
  };

  explicit PostgresCluster(const PostgresOptions& options = {});
  ~PostgresCluster();
  PostgresCluster(const PostgresCluster&) = delete;
  PostgresCluster& operator=(const PostgresCluster&) = delete;

  // Starts it after Stop or Kill; returns when it takes connections.
  void Start();
  // Returns when it has ended, within 60 s or by an exception.
  void Stop(StopMode mode = StopMode::kFast);
  void Restart(StopMode mode = StopMode::kFast);
  // SIGKILL for all of its processes.
  void Kill();

  const std::string& host() const { return host_; }
  int port() const { return port_; }
  // The folder of the socket: what libpq takes as host.
  const std::string& socket_dir() const { return socket_dir_; }
  const std::string& user() const { return user_; }
  const std::string& password() const { return password_; }
  const std::string& dbname() const { return dbname_; }
  const std::filesystem::path& data_dir() const { return data_dir_; }
  // The postmaster; 0 when it does not run.
  pid_t pid() const;

  // Connection strings for libpq and libpqxx: the superuser by the socket, the role `app` by TCP.
  std::string Superuser() const;
  std::string AppUser() const;
  // The latter as a URL, as in DB_URL.
  std::string Url() const;

  // Runs SQL as the superuser on a connection of its own, past the gateway: the tests' oracle. Several statements are
  // allowed when none needs to be outside a transaction.
  pqxx::result Exec(const std::string& sql) const;
  // The first cell of the result as text; empty for NULL or no rows.
  std::string Scalar(const std::string& sql) const;

  // What the server has logged.
  std::string Log() const;

 private:
  void InitializeData(bool own_system_identifier);
  void RunInitdb();
  void Configure(const std::map<std::string, std::string>& settings);
  bool TryStart();

  TemporaryFolder folder_;
  std::filesystem::path data_dir_;
  const std::string host_;
  int port_ = 0;
  std::string socket_dir_;
  std::string user_ = "app";
  std::string password_ = "app-secret-4711";
  std::string dbname_ = "app";
  std::unique_ptr<Process> process_;
};

// A program of PostgreSQL's ("pgbench", "pg_ctl"), from the newest server that is installed.
std::filesystem::path PostgresProgram(const std::string& name);

}  // namespace engine::db::test

#endif  // ENGINE_DB_TESTS_SUPPORT_POSTGRES_CLUSTER_H_
