// A standby of a PostgresCluster, to be promoted.
#ifndef ENGINE_DB_TESTS_FAULT_STANDBY_H_
#define ENGINE_DB_TESTS_FAULT_STANDBY_H_

#include <filesystem>
#include <memory>
#include <string>

#include "tests/support/postgres_cluster.h"
#include "tests/support/process.h"
#include "tests/support/temporary_folder.h"

namespace engine::db::test {

// Streams from its primary, on a port of its own. Not thread-safe. Failures are std::runtime_error. Killed and removed
// by the destructor.
class Standby {
 public:
  // A copy of `primary` (pg_basebackup), which goes on to follow it.
  explicit Standby(const PostgresCluster& primary);
  Standby(const Standby&) = delete;
  Standby& operator=(const Standby&) = delete;

  // From now on no COMMIT on the primary is acknowledged before the standby has it.
  static void MakeCommitsWait(const PostgresCluster& primary);
  // Becomes a primary; returns when it takes writes.
  void Promote() const;

  const std::string& host() const { return host_; }
  int port() const { return port_; }
  // For libpqxx: the superuser.
  [[nodiscard]] std::string Superuser() const;

 private:
  const TemporaryFolder folder_;
  const std::filesystem::path data_;
  const std::string host_ = "127.0.0.1";
  const int port_;
  const std::string dbname_;
  std::unique_ptr<Process> process_;
};

}  // namespace engine::db::test

#endif  // ENGINE_DB_TESTS_FAULT_STANDBY_H_
