// Compiles against the interfaces alone.
#include <engine_db/connector.h>

#include <iostream>

int main() {
  using namespace engine::db;
  const Result result(RowBatch::from_rows({{.name = "answer", .type_name = "integer"}}, {{42}}), {.rowcount = 1});
  std::cout << result.rows()[0]["answer"].as<int>() << '\n';
}
