// Finds the values of a call's parameters in what PostgreSQL says of it, in whatever form they are printed there.
#ifndef ENGINE_DB_SERVER_POSTGRES_HIDDEN_VALUES_H_
#define ENGINE_DB_SERVER_POSTGRES_HIDDEN_VALUES_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/types/span.h"

namespace engine::db::postgres {

enum class Search : uint8_t {
  kWhole,   // each value as a whole
  kPieces,  // also what stands in a value: eight characters or more of it, the elements of a list or a JSON text
};

// `text` with "..." in the place of each of `values`; but what `sql` holds too stays, since the caller wrote it into
// the statement. Case, quotation marks, escapes and other punctuation make no difference, nor does it if a value is
// shown as hexadecimal digits. Values shorter than four bytes stay, for they are in every text ("a", "in", 1); those of
// up to seven are found only where they are words of their own.
//
// Reads each value once or a few times, and `sql` only when a value is found. `text` should be short.
[[nodiscard]] std::string HideValues(std::string_view text, absl::Span<const std::string_view> values,
                                     std::string_view sql, Search search);

}  // namespace engine::db::postgres

#endif  // ENGINE_DB_SERVER_POSTGRES_HIDDEN_VALUES_H_
