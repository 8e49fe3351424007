// The "?" of a statement: which are placeholders, and the text that PostgreSQL gets in their stead.
#ifndef ENGINE_DB_SDK_SQL_PLACEHOLDERS_H_
#define ENGINE_DB_SDK_SQL_PLACEHOLDERS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "sdk/sql/scanner.h"

namespace engine::db::sql {

// What in the caller's text is to be replaced. Immutable; holds offsets into the text and not the text itself, which
// every method is given again.
class Placeholders {
 public:
  Placeholders() = default;

  // Every two "?" side by side are a literal "?", every other one is a placeholder.
  Placeholders(std::string_view sql, absl::Span<const Token> tokens);

  // How many placeholders.
  int count() const { return count_; }
  // Whether the text is sent as it stands.
  bool empty() const { return replacements_.empty(); }
  // Whether there is a "??".
  bool has_literals() const { return replacements_.size() > static_cast<size_t>(count_); }
  // Whether one of them looks as if jsonb's ?, ?|, ?& or @? had been meant, which are written with "??".
  bool may_mean_an_operator() const { return may_mean_an_operator_; }

  // The text with $1, $2… for the placeholders and "?" for "??". Where expressions[i] is not empty, it takes the place
  // of the i-th placeholder, which then gets no number; unless it is a cast (::type), which stands behind the number.
  // `expressions` may be shorter than count().
  std::string Render(std::string_view sql, absl::Span<const std::string_view> expressions = {}) const;

  // Where in the caller's text that character of the rendered text comes from; both count characters from 1. 0 stays 0.
  uint32_t CallerPosition(std::string_view sql, absl::Span<const std::string_view> expressions,
                          uint32_t position) const;

  // Bytes on the heap.
  size_t memory() const { return replacements_.capacity() * sizeof(Replacement); }

 private:
  struct Replacement {
    uint32_t begin;    // byte in the caller's text
    bool placeholder;  // "?", else "??"
    uint32_t length() const { return placeholder ? 1 : 2; }
  };

  // Calls sink(begin, end, text) for each stretch of the caller's text [begin, end) and what it becomes, in order.
  template <typename Sink>
  void ForEachPiece(std::string_view sql, absl::Span<const std::string_view> expressions, Sink&& sink) const;

  std::vector<Replacement> replacements_;
  int count_ = 0;
  bool may_mean_an_operator_ = false;
};

}  // namespace engine::db::sql

#endif  // ENGINE_DB_SDK_SQL_PLACEHOLDERS_H_
