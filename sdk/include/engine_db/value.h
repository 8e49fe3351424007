// What a statement's "?" placeholders are filled with.
#ifndef ENGINE_DB_VALUE_H_
#define ENGINE_DB_VALUE_H_

#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace engine::db {

// Raw bytes (bytea), told apart from text by their type.
struct Bytes {
  std::string data;
  friend bool operator==(const Bytes&, const Bytes&) = default;
};

// An SQL expression from a closed list that may stand in the place of a parameter. It is written into the statement
// where its "?" stands and takes no bound slot.
enum class Expression {
  kCurrentTimestamp = 1,  // CURRENT_TIMESTAMP: the start of the transaction, with time zone.
  kCurrentDate,           // CURRENT_DATE.
  kCurrentTime,           // CURRENT_TIME.
  kLocalTimestamp,        // LOCALTIMESTAMP: the same moment without time zone.
  kLocalTime,             // LOCALTIME.
  kDefault,               // DEFAULT: the column's default, where INSERT and UPDATE allow it.
};

// The pipeline language's currentdatetime(): the database's own clock, at the start of the transaction.
[[nodiscard]] constexpr Expression currentdatetime() { return Expression::kCurrentTimestamp; }
// And its currentdate().
[[nodiscard]] constexpr Expression currentdate() { return Expression::kCurrentDate; }

// One parameter: NULL, a value, or an expression. Made from what C++ has for it, so that a parameter list reads
// naturally:
//
//   connector.execute("UPDATE points SET score = ?, note = ?, seen = ? WHERE id = ?",
//                     {42, std::nullopt, currentdatetime(), "c-17"});
//
// A value has the type that PostgreSQL gives to such a literal:
//   bool            boolean
//   an integer      integer, or bigint where it does not fit; a column of type text takes "1001", not 1001
//   double          double precision
//   Bytes           bytea
//   text and NULL   what PostgreSQL infers from the placeholder's place; text where it infers none ("? IS NULL")
// Value::typed() names another type: Value::typed("jsonb", R"({"a": 1})"), or Value::typed("numeric", 0.1), which loses
// no digit. An array is written as PostgreSQL writes it: "{1,2,3}". Text must be UTF-8 without NUL; execute() refuses
// other text with a DatabaseRequestError that names the parameter.
class Value {
 public:
  using Content = std::variant<std::nullptr_t, bool, int64_t, double, std::string, Bytes, Expression>;

  // NULL. Never the same as an empty text.
  Value() = default;
  Value(std::nullptr_t) {}                                       // NOLINT(google-explicit-constructor)
  Value(std::nullopt_t) {}                                       // NOLINT(google-explicit-constructor)
  Value(Expression expression) : content_(expression) {}         // NOLINT(google-explicit-constructor)
  Value(Bytes bytes) : content_(std::move(bytes)) {}             // NOLINT(google-explicit-constructor)
  Value(std::string text) : content_(std::move(text)) {}         // NOLINT(google-explicit-constructor)
  Value(std::string_view text) : content_(std::string(text)) {}  // NOLINT(google-explicit-constructor)
  Value(const char* text) : content_(std::string(text)) {}       // NOLINT(google-explicit-constructor)

  // A template, so that no pointer turns into a bool unasked.
  template <std::same_as<bool> T>
  Value(T truth) : content_(truth) {}  // NOLINT(google-explicit-constructor)

  // Any integer. One that does not fit 64 signed bits travels as its decimal digits, of the type numeric.
  template <std::integral T>
  requires(!std::same_as<T, bool>) Value(T number) {  // NOLINT(google-explicit-constructor)
    if (std::in_range<int64_t>(number)) {
      content_ = static_cast<int64_t>(number);
    } else {
      content_ = std::to_string(number);
      type_name_ = "numeric";
    }
  }

  template <std::floating_point T>
  Value(T number) : content_(static_cast<double>(number)) {}  // NOLINT(google-explicit-constructor)

  // The value, or NULL.
  template <typename T>
  Value(std::optional<T> value) {  // NOLINT(google-explicit-constructor)
    if (value) *this = Value(*std::move(value));
  }

  // `value` with its type as SQL writes it ("jsonb", "timestamptz", "integer[]"), at most 128 bytes.
  [[nodiscard]] static Value typed(std::string type_name, Value value) {
    value.type_name_ = std::move(type_name);
    return value;
  }

  [[nodiscard]] bool is_null() const { return content_.index() == 0; }
  [[nodiscard]] const Content& content() const { return content_; }
  // Empty unless made by typed().
  [[nodiscard]] const std::string& type_name() const { return type_name_; }

  friend bool operator==(const Value&, const Value&) = default;

 private:
  Content content_ = nullptr;
  std::string type_name_;
};

// One value for each placeholder, in their order.
using Parameters = std::vector<Value>;

// The same as Parameters{values…}. For coroutines: GCC 12 does not compile a braced list inside a co_await expression.
template <typename... Values>
[[nodiscard]] Parameters parameters(Values&&... values) {
  Parameters list;
  list.reserve(sizeof...(values));
  (list.emplace_back(std::forward<Values>(values)), ...);
  return list;
}

}  // namespace engine::db

#endif  // ENGINE_DB_VALUE_H_
