// The servers of a run.
#ifndef ENGINE_DB_TESTS_BENCHMARK_ENVIRONMENT_H_
#define ENGINE_DB_TESTS_BENCHMARK_ENVIRONMENT_H_

#include <string>
#include <utility>
#include <vector>

#include "engine_db/config.h"
#include "tests/support/gateway_process.h"
#include "tests/support/pgbouncer_process.h"
#include "tests/support/postgres_cluster.h"
#include "tests/support/temporary_folder.h"

namespace engine::db::bench {

// PostgreSQL, PgBouncer (transaction pooling) and the gateway, all of this run's own and gone with it. Links are
// loopback TCP, since that is what all of them have; the gateway also listens on a unix socket.
class Environment {
 public:
  // `pool_size`: server connections of PgBouncer and of the gateway alike. Throws std::runtime_error.
  explicit Environment(int pool_size);

  const test::PostgresCluster& postgres() const { return postgres_; }
  const test::PgBouncerProcess& pgbouncer() const { return pgbouncer_; }
  const test::GatewayProcess& gateway() const { return gateway_; }
  const std::string& gateway_tcp() const { return gateway_.addresses()[0]; }
  const std::string& gateway_unix() const { return gateway_.addresses()[1]; }

  // What a connector connects to.
  ConnectionConfig Target() const;

  // The machine and the versions: name and value.
  std::vector<std::pair<std::string, std::string>> Describe() const;

  // The gateway's memory and threads, as a line.
  std::string DescribeGateway() const;

 private:
  int pool_size_;
  test::TemporaryFolder folder_;
  test::PostgresCluster postgres_;
  test::PgBouncerProcess pgbouncer_;
  test::GatewayProcess gateway_;
};

}  // namespace engine::db::bench

#endif  // ENGINE_DB_TESTS_BENCHMARK_ENVIRONMENT_H_
