// A JSON value that loses nothing: what steps hand to each other.
#ifndef ENGINE_DB_BUILTINS_JSON_H_
#define ENGINE_DB_BUILTINS_JSON_H_

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace engine::db::builtins {

// A text is not JSON. The message says where, and quotes nothing of the text but a key that is plainly a name.
class JsonError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// How deeply lists and objects may be nested in a text that is read.
inline constexpr size_t kMaxJsonDepth = 100;

// Unlike most JSON types it keeps numbers as they were written (1.10, 12345678901234567890), and the members of objects
// in their order.
class Json {
 public:
  // A number other than a plain 64-bit integer, as JSON writes it.
  struct Number {
    std::string text;
    friend bool operator==(const Number&, const Number&) = default;
  };

  using List = std::vector<Json>;

  // names[i] is the name of values[i].
  struct Object {
    std::vector<std::string> names = {};
    std::vector<Json> values = {};
    // A row of a result: its names are SQL's, which are the same in whatever case they are written. See find().
    bool is_row = false;

    void add(std::string name, Json value);
    // Null when there is none. The exact name goes first; in a row, a name that differs only in case (of ASCII letters)
    // is found too unless there are several.
    [[nodiscard]] const Json* find(std::string_view name) const;
    friend bool operator==(const Object& a, const Object& b) { return a.names == b.names && a.values == b.values; }
  };

  using Content = std::variant<std::nullptr_t, bool, int64_t, Number, std::string, List, Object>;

  Json() = default;
  Json(std::nullptr_t) {}                                       // NOLINT(google-explicit-constructor)
  Json(Number number) : content_(std::move(number)) {}          // NOLINT(google-explicit-constructor)
  Json(std::string text) : content_(std::move(text)) {}         // NOLINT(google-explicit-constructor)
  Json(std::string_view text) : content_(std::string(text)) {}  // NOLINT(google-explicit-constructor)
  Json(const char* text) : content_(std::string(text)) {}       // NOLINT(google-explicit-constructor)
  Json(List list) : content_(std::move(list)) {}                // NOLINT(google-explicit-constructor)
  Json(Object object) : content_(std::move(object)) {}          // NOLINT(google-explicit-constructor)
  // A template, so that no pointer turns into a bool unasked.
  template <std::same_as<bool> T>
  Json(T truth) : content_(truth) {}  // NOLINT(google-explicit-constructor)
  template <std::signed_integral T>
  Json(T number) : content_(static_cast<int64_t>(number)) {}  // NOLINT(google-explicit-constructor)

  // A number by its text, which must be one of JSON's: an int64_t where that says the same, else a Number.
  [[nodiscard]] static Json number(std::string text);

  // What becomes of a name that an object has twice: the last one is kept, as jsonb does, or it is an error.
  enum class Repeated { kLastIsKept, kIsError };

  // Reads UTF-8 text. Throws JsonError for what is no JSON, is nested deeper than kMaxJsonDepth, or has a number beyond
  // 1.8e308.
  [[nodiscard]] static Json parse(std::string_view text, Repeated repeated = Repeated::kLastIsKept);

  // On one line, without spaces. What is no UTF-8 is replaced.
  [[nodiscard]] std::string dump() const;

  [[nodiscard]] const Content& content() const { return content_; }
  [[nodiscard]] Content& content() { return content_; }
  [[nodiscard]] bool is_null() const { return content_.index() == 0; }
  [[nodiscard]] const std::string* text() const { return std::get_if<std::string>(&content_); }
  [[nodiscard]] const List* list() const { return std::get_if<List>(&content_); }
  [[nodiscard]] const Object* object() const { return std::get_if<Object>(&content_); }

  // "null", "a boolean", "a number", "a text", "a list", "an object": for messages, which never show values.
  [[nodiscard]] std::string_view kind() const;

  friend bool operator==(const Json&, const Json&) = default;

 private:
  Content content_ = nullptr;
};

}  // namespace engine::db::builtins

#endif  // ENGINE_DB_BUILTINS_JSON_H_
