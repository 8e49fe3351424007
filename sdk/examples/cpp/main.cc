// run_engine PIPELINE CUSTOMER: with a gateway at ENGINE_DB_GATEWAY, and the database in the variables that the file
// names.
#include <engine_db/postgres_connector.h>

#include <exception>
#include <iostream>
#include <memory>
#include <string>

#include "engine.h"

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: run_engine PIPELINE CUSTOMER\n";
    return 2;
  }
  using example::builtins::Json;
  const std::string customer = argv[2];
  example::Engine engine([](const example::builtins::DatabaseServer& server) {
    return std::make_unique<engine::db::PostgresSyncConnector>(*server.target);
  });
  engine.add_plugin("kafka", [&](const std::string&, const Json&) { return Json::Object{{"customerId"}, {customer}}; });
  engine.add_plugin("calculation", [](const std::string&, const Json&) {
    return Json::Object{{"minStartDate"}, {"2024-01-01"}};
  });
  try {
    std::cout << engine.run(example::builtins::load_pipeline_file(argv[1])).dump() << '\n';
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
