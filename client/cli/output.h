// The standard output, and how it looks.
#ifndef ENGINE_DB_CLIENT_CLI_OUTPUT_H_
#define ENGINE_DB_CLIENT_CLI_OUTPUT_H_

#include <cstddef>
#include <cstdint>
#include <ostream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace engine::db::cli {

enum class Format {
  kTable,  // for people
  kCsv,    // as PostgreSQL writes it: NULL is an empty field, an empty text is ""
  kJson,   // one object a line
};

// "table", "csv", "json"; empty: a table where the output is a terminal, CSV elsewhere. Throws UsageError.
[[nodiscard]] Format choose_format(std::string_view name, bool terminal);

// What was to be written could not be: the reader went away, or the disk is full.
class OutputError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Throws OutputError when something that was written to `out` got lost.
void require_written(std::ostream& out);

// Characters as a terminal shows them: control characters escaped, so that data can neither break a table nor command
// the terminal.
[[nodiscard]] std::string printable(std::string_view text);

// The byte at which the character `position` (from 1) of UTF-8 text begins; its size where it has fewer.
[[nodiscard]] size_t byte_of(std::string_view text, uint32_t position);

// How many columns of a terminal a printable text takes.
[[nodiscard]] size_t display_width(std::string_view text);

// In JSON's quotes.
[[nodiscard]] std::string json_text(std::string_view text);

// In CSV's quotes where it needs them.
[[nodiscard]] std::string csv_text(std::string_view text);

// "1 row", "2 rows", "12,345 rows".
[[nodiscard]] std::string count(uint64_t number, std::string_view noun);

}  // namespace engine::db::cli

#endif  // ENGINE_DB_CLIENT_CLI_OUTPUT_H_
