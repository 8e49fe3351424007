// What somebody may have meant.
#ifndef ENGINE_DB_BUILTINS_SRC_SUGGESTION_H_
#define ENGINE_DB_BUILTINS_SRC_SUGGESTION_H_

#include <span>
#include <string>
#include <string_view>

namespace engine::db::builtins {

// The one of `known` that `word` is a misspelling of: equal but for case, or one letter in three changed, left out, put
// in or swapped with its neighbour. Empty when none is. Looks at no more than the first 1,000, of up to 64 bytes.
[[nodiscard]] std::string closest(std::string_view word, std::span<const std::string> known);

// The same as the end of a message: "; did you mean "loyaltyScore"?", or nothing.
[[nodiscard]] std::string did_you_mean(std::string_view word, std::span<const std::string> known);

}  // namespace engine::db::builtins

#endif  // ENGINE_DB_BUILTINS_SRC_SUGGESTION_H_
