// A client that is killed in the middle of something: see gateway_faults_test.cc.
//   victim transaction|stream GATEWAY HOST PORT NAME   (the password in PGPASSWORD)
// Says "ready" once it is in the middle of it, and then waits for its end.
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <string>

#include "engine_db/postgres_connector.h"

int main(int argc, char** argv) {
  using namespace engine::db;  // NOLINT(google-build-using-namespace)
  if (argc != 6) return 2;
  const std::string what = argv[1];
  ConnectionConfig config;
  config.host = argv[3];
  config.port = std::atoi(argv[4]);
  config.user = "app";
  config.password = std::getenv("PGPASSWORD");
  config.dbname = "app";
  config.application_name = argv[5];
  PostgresSyncConnector connector(config, GatewayOptions{.address = argv[2]});
  connector.connect();
  if (what == "transaction") {
    Transaction transaction = connector.begin_transaction();
    transaction.execute("INSERT INTO " + config.application_name + " VALUES (1)");
    std::cout << "ready" << std::endl;
    pause();
  }
  RowStream stream = connector.execute_stream("SELECT n, repeat('x', 1000) FROM generate_series(1, 10000000) n");
  if (!stream.next_batch()) return 1;
  std::cout << "ready" << std::endl;
  pause();
}
