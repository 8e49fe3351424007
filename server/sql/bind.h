// A statement with its parameters, ready to be sent to PostgreSQL.
#ifndef ENGINE_DB_SERVER_SQL_BIND_H_
#define ENGINE_DB_SERVER_SQL_BIND_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/statusor.h"
#include "engine/db/v1/value.pb.h"
#include "server/sql/statement.h"

namespace engine::db::sql {

// Upper bound on the parameters of one statement, all together, in bytes: PostgreSQL's messages end at 1 GiB.
inline constexpr uint64_t kMaxParameterBytes = (uint64_t{1} << 30) - (uint64_t{1} << 20);

// Parameter values as PQsendQueryPrepared takes them. Owns the bytes; movable. Not to be shared between threads while
// it is written.
class BoundParameters {
 public:
  BoundParameters() = default;
  BoundParameters(BoundParameters&&) = default;
  BoundParameters& operator=(BoundParameters&&) = default;

  int size() const { return static_cast<int>(values_.size()); }
  const char* const* values() const { return values_.data(); }  // nullptr for NULL; text ends with a NUL byte
  const int* lengths() const { return lengths_.data(); }        // bytes, without that NUL
  const int* formats() const { return formats_.data(); }        // 0 text, 1 binary
  size_t bytes() const { return std::accumulate(lengths_.begin(), lengths_.end(), size_t{0}); }

 private:
  friend class ParameterWriter;

  static constexpr size_t kInlined = 8;
  std::unique_ptr<char[]> bytes_;
  absl::InlinedVector<const char*, kInlined> values_;
  absl::InlinedVector<int, kInlined> lengths_;
  absl::InlinedVector<int, kInlined> formats_;
};

// For each placeholder, the expression that replaces it or the cast that follows it (see Placeholders::Render), and an
// empty text where there is neither. Usually there are no entries at all.
using Expressions = absl::InlinedVector<std::string_view, 4>;

struct BoundStatement {
  std::shared_ptr<const Statement> statement;
  std::shared_ptr<const BoundText> text;  // what to prepare
  BoundParameters parameters;
  Expressions expressions;
  std::vector<std::string> casts;  // what `expressions` may refer to

  // As Statement::PositionInCallerText, for positions in text->sql.
  uint32_t PositionInCallerText(uint32_t position) const;
};

// Puts the parameters into PostgreSQL's form. A parameter has the type that its value names, or that its kind stands
// for: boolean, integer or bigint, double precision, bytea (binary). Text and NULL have the type that PostgreSQL
// infers, or text where PostgreSQL would not infer any (Statement::TypeOfUntyped).
// Expressions, and casts to types that are not built in, are written into the text. `parameters` is not referred to
// afterwards. Errors name the parameter, "parameters[3]", never its value: PARAMETER_COUNT, NO_VALUE, NUL_BYTE,
// UNKNOWN_TYPE, TYPE_NAME_TOO_LONG, UNKNOWN_EXPRESSION, EXPRESSION_WITH_NUMBERED_PARAMETERS,
// TYPE_WITH_NUMBERED_PARAMETERS, TYPED_EXPRESSION, TOO_MANY_PARAMETERS, PARAMETERS_TOO_LARGE.
absl::StatusOr<BoundStatement> Bind(std::shared_ptr<const Statement> statement,
                                    const google::protobuf::RepeatedPtrField<v1::Value>& parameters);

}  // namespace engine::db::sql

#endif  // ENGINE_DB_SERVER_SQL_BIND_H_
