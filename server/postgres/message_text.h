// What of PostgreSQL's messages may be shown: names and the caller's own text, but no values. Messages come in the
// language of the server's lc_messages, with that language's quotation marks.
#ifndef ENGINE_DB_SERVER_POSTGRES_MESSAGE_TEXT_H_
#define ENGINE_DB_SERVER_POSTGRES_MESSAGE_TEXT_H_

#include <string>
#include <string_view>

#include "absl/types/span.h"

namespace engine::db::postgres {

// Everything from the first quotation mark to the last gives way to "...": a value may hold such marks itself.
[[nodiscard]] std::string WithoutQuoted(std::string_view message);

// The same, unless all that is quoted stands in `sql`, whatever its case and quotes: what the caller wrote in the
// statement is no news to him.
[[nodiscard]] std::string WithoutQuotedUnlessIn(std::string_view message, std::string_view sql);

// "..." in the place of each of `values`, whatever its case, and of everything that is quoted if a value holds one of
// the quoted texts (a name in a query that a function made of it, say); but what `sql` holds too stays. Values too
// short to tell anything stay: an "a" is in every word. Reads each value once, and `sql` only when a value is found.
[[nodiscard]] std::string WithoutValues(std::string_view message, absl::Span<const std::string_view> values,
                                        std::string_view sql);

// Which parameter a text speaks of by "$2", as messages and contexts do in every language; 0 for none.
[[nodiscard]] int ParameterNumberIn(std::string_view text);

}  // namespace engine::db::postgres

#endif  // ENGINE_DB_SERVER_POSTGRES_MESSAGE_TEXT_H_
