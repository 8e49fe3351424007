// Parameters through the gateway and through psycopg 3, which is what the gateway's users would take instead.
#include <iostream>

#include "tests/integration/integration_test.h"
#include "tests/support/process.h"
#include "tests/support/temporary_folder.h"

namespace engine::db::test {
namespace {

class ValuesPsycopg : public IntegrationTest {};

TEST_F(ValuesPsycopg, ParametersArriveTheSame) {
  constexpr const char* kPython = "/usr/bin/python3";  // the distribution's, which has the distribution's packages
  ProcessOptions imports;
  imports.command = {kPython, "-c", "import grpc, psycopg"};
  if (RunProgram(imports).exit_code != 0) GTEST_SKIP() << "python3-psycopg or python3-grpcio is not installed";

  const TemporaryFolder stubs;
  ProcessOptions generate;
  const std::string out = stubs.path();
  generate.command = {"sh", "-c",
                      "protoc -I '" ENGINE_DB_PROTO_FOLDER "' --python_out='" + out + "' --grpc_out='" + out +
                          "' --plugin=protoc-gen-grpc=\"$(command -v grpc_python_plugin)\" '" ENGINE_DB_PROTO_FOLDER
                          "'/engine/db/v1/*.proto"};
  const Completed generated = RunProgram(generate);
  ASSERT_EQ(generated.exit_code, 0) << generated.err;

  ProcessOptions compare;
  compare.command = {kPython,
                     std::string(ENGINE_DB_CONFORMANCE_FOLDER) + "/values_psycopg.py",
                     Gateway().address(),
                     "host=" + Postgres().host(),
                     "port=" + std::to_string(Postgres().port()),
                     "user=" + Postgres().user(),
                     "password=" + Postgres().password(),
                     "dbname=" + Postgres().dbname()};
  compare.environment = {{"PYTHONPATH", out}};
  const Completed compared = RunProgram(compare, seconds(240));
  std::cout << compared.out;
  EXPECT_EQ(compared.exit_code, 0) << compared.err;
}

}  // namespace
}  // namespace engine::db::test
