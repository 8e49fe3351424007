// Parameters on their way in: whatever a caller sends is bound or refused, and what is bound is what libpq may have: as
// many values as the text has parameters, each with its length, text without NUL; no value ever in the text.
#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "engine/db/v1/connector.pb.h"
#include "server/base/failure.h"
#include "server/rpc/error.h"
#include "server/sql/bind.h"
#include "tests/fuzz/fuzz.h"

namespace engine::db {
namespace {

constexpr size_t kMaxBytes = 4'000;

std::string StatementFor(int parameters, bool numbered) {
  std::string sql = "SELECT 'x'";
  for (int i = 1; i <= parameters; ++i) sql += numbered ? ",$" + std::to_string(i) : ",?";
  return sql;
}

// The text of a statement that names something in it counts as one that changes the session.
bool NamesTemporarySchema(const v1::ExecuteRequest& request) {
  return std::any_of(request.parameters().begin(), request.parameters().end(), [](const v1::Value& value) {
    return absl::StrContains(absl::AsciiStrToLower(value.type_name()), "pg_temp");
  });
}

void CheckBound(const sql::BoundStatement& bound, const v1::ExecuteRequest& request) {
  int values = 0;
  for (const v1::Value& value : request.parameters()) {
    if (value.kind_case() == v1::Value::kExpressionValue) continue;
    const char* const bytes = bound.parameters.values()[values];
    const int length = bound.parameters.lengths()[values];
    const bool binary = bound.parameters.formats()[values] == 1;
    ++values;
    Require((bytes == nullptr) == (value.kind_case() == v1::Value::kNullValue), "NULL and nothing else is NULL");
    if (bytes == nullptr) continue;
    Require(length >= 0 && bytes[length] == '\0', "every value ends with a NUL byte");
    Require(binary || std::strlen(bytes) == static_cast<size_t>(length), "text has no NUL byte");
    if (value.kind_case() == v1::Value::kTextValue) Require(value.text_value() == bytes, "text is bound as it is");
    if (binary) Require(value.bytes_value() == std::string(bytes, static_cast<size_t>(length)), "and so are bytes");
  }
  Require(bound.parameters.size() == values, "as many values as there are parameters");
  const auto again = sql::Analyze(bound.text->sql);
  Require(again.ok() && (*again)->parsed(), "what is sent is a statement");
  Require((*again)->parameter_count() == values, "with as many parameters as there are values");
  Require((*again)->statement_class() == sql::StatementClass::kRead || NamesTemporarySchema(request),
          "and still the one that was asked for");
}

}  // namespace
}  // namespace engine::db

// Protobuf's complaints about what is not UTF-8 are not news here.
extern "C" int LLVMFuzzerInitialize(int*, char***) {
  google::protobuf::SetLogHandler(nullptr);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace engine::db;
  v1::ExecuteRequest request;
  if (size > kMaxBytes || !request.ParseFromArray(data, static_cast<int>(size))) return -1;
  const bool numbered = request.sql() == "$";
  const auto statement = sql::Analyze(StatementFor(request.parameters_size(), numbered));
  Require(statement.ok(), "the statement is well-formed");
  const auto bound = sql::Bind(*statement, request.parameters());
  if (bound.ok()) {
    CheckBound(*bound, request);
  } else {
    const v1::DatabaseError error = rpc::ToProto(FailureOf(bound.status()));
    Require(error.field().starts_with("parameters") && !error.reason().empty(), "a refusal names the parameter");
    Require(error.SerializeAsString().size() < 2'048, "and fits into a trailer");
  }
  return 0;
}
