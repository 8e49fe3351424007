// What of PostgreSQL's messages may be shown: names and the caller's own text, but no values. Messages come in the
// language of the server's lc_messages, with that language's quotation marks.
#ifndef ENGINE_DB_SERVER_POSTGRES_MESSAGE_TEXT_H_
#define ENGINE_DB_SERVER_POSTGRES_MESSAGE_TEXT_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace engine::db::postgres {

// Of an error's message.
inline constexpr size_t kMaxMessageBytes = 700;
// Of a text that is yet to be searched for values, which must not be clipped in their midst.
inline constexpr size_t kMaxSearchedBytes = 4096;

// Everything from the first quotation mark to the last gives way to "...": a value may hold such marks itself.
[[nodiscard]] std::string WithoutQuoted(std::string_view message);

// The same, unless all that is quoted stands in `sql`, whatever its case and quotes: what the caller wrote in the
// statement is no news to the caller.
[[nodiscard]] std::string WithoutQuotedUnlessIn(std::string_view message, std::string_view sql);

// "..." in the place of numbers, dates and times of four digits and more which `sql` does not hold: some messages
// print them without marks. A type's modifier stays: "character varying(1000)".
[[nodiscard]] std::string WithoutNumbersUnlessIn(std::string_view message, std::string_view sql);

// So that "S"."t" in a statement is found as s.t, which is how messages write it.
[[nodiscard]] std::string WithoutCaseAndQuotes(std::string_view text);

// Bounded, so that an error's details fit into HTTP/2 trailers; valid UTF-8.
[[nodiscard]] std::string Clipped(std::string_view raw, size_t limit);

// Which parameter a text speaks of by "$2", as messages and contexts do in every language; 0 for none.
[[nodiscard]] int ParameterNumberIn(std::string_view text);

}  // namespace engine::db::postgres

#endif  // ENGINE_DB_SERVER_POSTGRES_MESSAGE_TEXT_H_
