// Why the text of a statement can't run.
#ifndef ENGINE_DB_SDK_SQL_REFUSAL_H_
#define ENGINE_DB_SDK_SQL_REFUSAL_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace engine::db::sql {

// The fields of the contract's DatabaseError.
struct Refusal {
  std::string_view reason;  // lives for ever
  std::string message;
  std::string field = "sql";
  // That of PostgreSQL, where PostgreSQL would refuse the text too; else empty.
  std::string_view sqlstate = {};  // lives for ever
  uint32_t position = 0;           // the character, from 1; 0: none
  std::string_view hint = {};      // lives for ever
  bool is_ours = false;            // a fault of this library's, not of the text
};

// What was asked for, or why there is none.
template <typename T>
class OrRefusal {
 public:
  OrRefusal(T value) : content_(std::move(value)) {}            // NOLINT(google-explicit-constructor)
  OrRefusal(Refusal refusal) : content_(std::move(refusal)) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] bool ok() const { return std::holds_alternative<T>(content_); }
  // Only if ok().
  [[nodiscard]] const T& operator*() const& { return std::get<T>(content_); }
  [[nodiscard]] T&& operator*() && { return std::get<T>(std::move(content_)); }
  [[nodiscard]] const T* operator->() const { return &std::get<T>(content_); }
  // Only if not ok().
  [[nodiscard]] const Refusal& refusal() const { return std::get<Refusal>(content_); }

 private:
  std::variant<T, Refusal> content_;
};

}  // namespace engine::db::sql

#endif  // ENGINE_DB_SDK_SQL_REFUSAL_H_
