// Uses the installed client. With a gateway in ENGINE_DB_GATEWAY and a target in DB_URL it asks the database; without,
// it shows that a wrong configuration and a missing gateway are told clearly.
#include <engine_db/postgres_connector.h>

#include <cstdlib>
#include <iostream>

int main() {
  using namespace engine::db;
  try {
    const PostgresSyncConnector connector(
        ConnectionConfig{.host = "", .port = 70000, .user = "engine", .dbname = "loyalty"});
    std::cerr << "a wrong configuration was accepted\n";
    return 1;
  } catch (const ConfigurationError& error) {
    std::cout << error.what() << '\n';
  }

  const char* url = std::getenv("DB_URL");
  try {
    if (url == nullptr) {
      PostgresSyncConnector connector(DataSource{"none"}, {.address = "unix:/nonexistent/gateway.sock"});
      connector.connect();
      std::cerr << "a gateway that is not there answered\n";
      return 1;
    }
    PostgresSyncConnector connector(ConnectionConfig::from_url(url));
    connector.connect();
    std::cout << connector.execute("SELECT ? + 1 AS answer", {41}).rows()[0]["answer"].as<int>() << '\n';
  } catch (const DatabaseConnectionError& error) {
    std::cout << error.what() << '\n';
    return url == nullptr ? 0 : 1;
  }
}
