#include "server/sql/bind.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "sdk/common/expression_text.h"
#include "sdk/common/limits.h"
#include "server/base/failure.h"
#include "server/sql/refusal_status.h"
#include "server/sql/type_names.h"

namespace engine::db::sql {
namespace {

using Parameters = google::protobuf::RepeatedPtrField<v1::Value>;

// Longest text of a number, with its NUL: "-9223372036854775808", "-2.2250738585072014e-308".
constexpr size_t kNumberBytes = 32;

absl::Status Refuse(int index, Reason reason, std::string_view message) {
  return InvalidRequest(absl::StrCat("parameters[", index, "]"), reason, message);
}

// The type of a value whose type is not named: what PostgreSQL takes the same literal for. (Left to PostgreSQL, a
// number is text wherever nothing tells otherwise: jsonb -> 0 would look for the key "0", and SELECT 5 would be '5'.)
uint32_t NaturalType(const v1::Value& value, int index, const Statement& statement) {
  switch (value.kind_case()) {
    case v1::Value::kBoolValue:
      return kBoolOid;
    case v1::Value::kInt64Value:
      return std::in_range<int32_t>(value.int64_value()) ? kInt4Oid : kInt8Oid;
    case v1::Value::kDoubleValue:
      return kFloat8Oid;
    case v1::Value::kBytesValue:
      return kByteaOid;
    default:
      return statement.TypeOfUntyped(static_cast<size_t>(index));
  }
}

absl::StatusOr<TypeReference> TypeOf(const v1::Value& value, int index, const Statement& statement) {
  const std::string& name = value.type_name();
  if (name.empty()) return TypeReference{.oid = NaturalType(value, index, statement)};
  const auto field = [index] { return absl::StrCat("parameters[", index, "].type_name"); };
  if (name.size() > limits::kMaxTypeNameBytes) {
    return InvalidRequest(
        field(), Reason::kTypeNameTooLong,
        absl::StrCat("the type name has ", name.size(), " bytes; at most ", limits::kMaxTypeNameBytes, " are allowed"));
  }
  std::optional<TypeReference> type = name.find('\0') == std::string::npos ? FindTypeReference(name) : std::nullopt;
  if (!type.has_value()) {
    return InvalidRequest(
        field(), Reason::kUnknownType,
        absl::StrCat("\"", absl::CHexEscape(name),
                     "\" is not the name of a type; write it as in a cast of SQL: integer[], public.mood, \"Mood\""));
  }
  if (!type->cast.empty() && statement.numbered()) {
    return InvalidRequest(field(), Reason::kTypeWithNumberedParameters,
                          absl::StrCat("in a statement with $1, $2… a type that is not built in is written into the "
                                       "text: $",
                                       index + 1, absl::CHexEscape(type->cast)));
  }
  return *std::move(type);
}

// Bytes of the value in PostgreSQL's form at most, the NUL behind it included.
uint64_t SpaceFor(const v1::Value& value, uint32_t type) {
  switch (value.kind_case()) {
    case v1::Value::kTextValue:
      return value.text_value().size() + 1;
    case v1::Value::kBytesValue:
      return type == kByteaOid ? value.bytes_value().size() + 1 : value.bytes_value().size() * 2 + 3;
    case v1::Value::kBoolValue:
    case v1::Value::kInt64Value:
    case v1::Value::kDoubleValue:
      return kNumberBytes;
    default:
      return 0;
  }
}

// As PostgreSQL reads it, and so that it comes back bit by bit. A whole number is written without exponent, since an
// integer column takes 100000 but not 1e+05.
char* WriteDouble(char* out, double value) {
  if (std::isnan(value)) return std::copy_n("NaN", 3, out);
  if (std::isinf(value)) return value < 0 ? std::copy_n("-Infinity", 9, out) : std::copy_n("Infinity", 8, out);
  constexpr double kExact = 9007199254740992.0;  // 2^53
  const bool whole = std::abs(value) <= kExact && value == std::trunc(value);
  char* const end = out + kNumberBytes;
  return whole ? std::to_chars(out, end, value, std::chars_format::fixed).ptr : std::to_chars(out, end, value).ptr;
}

}  // namespace

// Writes values one behind the other into a buffer whose size was worked out before.
class ParameterWriter {
 public:
  ParameterWriter(BoundParameters& parameters, size_t count, size_t bytes) : parameters_(parameters) {
    parameters_.values_.reserve(count);
    parameters_.lengths_.reserve(count);
    parameters_.formats_.reserve(count);
    if (bytes > 0) parameters_.bytes_ = std::unique_ptr<char[]>(new char[bytes]);  // left uninitialised
    out_ = parameters_.bytes_.get();
  }

  void Write(const v1::Value& value, uint32_t type) {
    char* const begin = out_;
    switch (value.kind_case()) {
      case v1::Value::kBoolValue:
        out_ = value.bool_value() ? std::copy_n("true", 4, out_) : std::copy_n("false", 5, out_);
        break;
      case v1::Value::kInt64Value:
        out_ = std::to_chars(out_, out_ + kNumberBytes, value.int64_value()).ptr;
        break;
      case v1::Value::kDoubleValue:
        out_ = WriteDouble(out_, value.double_value());
        break;
      case v1::Value::kTextValue:
        out_ = std::copy(value.text_value().begin(), value.text_value().end(), out_);
        break;
      case v1::Value::kBytesValue:
        return WriteBytes(value.bytes_value(), type);
      default:
        return Add(nullptr, 0, 0);
    }
    *out_++ = '\0';
    Add(begin, out_ - begin - 1, 0);
  }

 private:
  void WriteBytes(const std::string& bytes, uint32_t type) {
    char* const begin = out_;
    if (type == kByteaOid) {
      out_ = std::copy(bytes.begin(), bytes.end(), out_);
      *out_++ = '\0';  // no value may end with the buffer: its pointer must not be null
      return Add(begin, out_ - begin - 1, 1);
    }
    constexpr std::string_view kHex = "0123456789abcdef";
    *out_++ = '\\';
    *out_++ = 'x';
    for (const char c : bytes) {
      *out_++ = kHex[static_cast<uint8_t>(c) >> 4];
      *out_++ = kHex[static_cast<uint8_t>(c) & 15];
    }
    *out_++ = '\0';
    Add(begin, out_ - begin - 1, 0);
  }

  void Add(const char* value, ptrdiff_t length, int format) {
    parameters_.values_.push_back(value);
    parameters_.lengths_.push_back(static_cast<int>(length));
    parameters_.formats_.push_back(format);
  }

  BoundParameters& parameters_;
  char* out_ = nullptr;
};

uint32_t BoundStatement::PositionInCallerText(uint32_t position) const {
  return statement->placeholders().CallerPosition(statement->caller_sql(), expressions, position);
}

absl::StatusOr<BoundStatement> Bind(std::shared_ptr<const Statement> statement, const Parameters& parameters) {
  if (const auto refusal = CheckParameterCount(statement->caller_sql(), statement->facts(), parameters.size())) {
    return ToStatus(*refusal);
  }

  BoundStatement bound;
  absl::InlinedVector<uint32_t, 16> types;  // one a slot; expressions have none
  uint64_t bytes = 0;
  for (int i = 0; i < parameters.size(); ++i) {
    const v1::Value& value = parameters[i];
    if (value.kind_case() == v1::Value::kExpressionValue) {
      if (const auto refusal = CheckExpression(statement->facts(), i)) return ToStatus(*refusal);
      if (!value.type_name().empty()) {
        return Refuse(i, Reason::kTypedExpression,
                      "an expression has its own type: leave type_name empty, or write a cast (?::type)");
      }
      const std::string_view text = common::expression_text(value.expression_value());
      if (text.empty()) {
        return Refuse(i, Reason::kUnknownExpression,
                      absl::StrCat("unknown expression ", static_cast<int>(value.expression_value())));
      }
      bound.expressions.resize(static_cast<size_t>(parameters.size()));
      bound.expressions[static_cast<size_t>(i)] = text;
      continue;
    }
    if (value.kind_case() == v1::Value::KIND_NOT_SET) {
      return Refuse(i, Reason::kNoValue, "the parameter has no value; for SQL's NULL set null_value");
    }
    if (value.kind_case() == v1::Value::kTextValue &&
        std::memchr(value.text_value().data(), 0, value.text_value().size()) != nullptr) {
      return Refuse(i, Reason::kNulByte,
                    "the text has a NUL byte, which PostgreSQL's text can't hold; send it as bytes_value");
    }
    absl::StatusOr<TypeReference> type = TypeOf(value, i, *statement);
    if (!type.ok()) return std::move(type).status();
    types.push_back(type->oid);
    bytes += SpaceFor(value, type->oid);
    if (type->cast.empty()) continue;
    bound.casts.reserve(static_cast<size_t>(parameters.size()));  // so that they stay where they are
    bound.casts.push_back(std::move(type->cast));
    bound.expressions.resize(static_cast<size_t>(parameters.size()));
    bound.expressions[static_cast<size_t>(i)] = bound.casts.back();
  }
  if (bytes > kMaxParameterBytes) {
    return InvalidRequest(
        "parameters", Reason::kParametersTooLarge,
        absl::StrCat("the parameters take ", bytes, " bytes; at most ", kMaxParameterBytes, " are allowed"));
  }

  ParameterWriter writer(bound.parameters, types.size(), bytes);
  size_t slot = 0;
  for (const v1::Value& value : parameters) {
    if (value.kind_case() != v1::Value::kExpressionValue) writer.Write(value, types[slot++]);
  }
  bound.text = statement->TextFor(types, bound.expressions);
  bound.statement = std::move(statement);
  return bound;
}

}  // namespace engine::db::sql
