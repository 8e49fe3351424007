// PgBouncer in front of a test's PostgreSQL: what the gateway is measured against.
#ifndef ENGINE_DB_TESTS_SUPPORT_PGBOUNCER_PROCESS_H_
#define ENGINE_DB_TESTS_SUPPORT_PGBOUNCER_PROCESS_H_

#include <memory>
#include <string>

#include "tests/support/postgres_cluster.h"
#include "tests/support/process.h"
#include "tests/support/temporary_folder.h"

namespace engine::db::test {

struct PgBouncerOptions {
  // Server connections.
  int pool_size = 16;
  int max_client_connections = 1000;
  // Prepared statements kept per server connection; ignored by versions before 1.21, which have no such thing.
  int max_prepared_statements = 100;
  std::string pool_mode = "transaction";
  // Startup parameters that it drops instead of refusing the login.
  std::string ignored_parameters = "extra_float_digits";
  bool round_robin = false;
};

// The role `app` of the cluster logs in with the same password. Stopped and removed by the
// destructor, and when the thread that made it dies. Failures are std::runtime_error.
class PgBouncerProcess {
 public:
  explicit PgBouncerProcess(const PostgresCluster& cluster, const PgBouncerOptions& options = {});

  const std::string& host() const { return host_; }
  int port() const { return port_; }
  // "1.18.0"
  const std::string& version() const { return version_; }
  bool keeps_prepared_statements() const { return keeps_prepared_statements_; }
  // For libpq and libpqxx, as the role `app`.
  std::string AppUser() const;
  std::string Log() const;
  pid_t pid() const { return process_->pid(); }

 private:
  void WriteConfiguration(const PostgresCluster& cluster, const PgBouncerOptions& options) const;
  bool TryStart();

  TemporaryFolder folder_;
  std::string host_ = "127.0.0.1";
  int port_ = 0;
  std::string version_;
  bool keeps_prepared_statements_ = false;
  std::string login_;  // "user=… password=… dbname=…"
  std::unique_ptr<Process> process_;
};

}  // namespace engine::db::test

#endif  // ENGINE_DB_TESTS_SUPPORT_PGBOUNCER_PROCESS_H_
