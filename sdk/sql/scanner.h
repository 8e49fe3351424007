// SQL text cut into tokens by PostgreSQL's own scanner.
#ifndef ENGINE_DB_SDK_SQL_SCANNER_H_
#define ENGINE_DB_SDK_SQL_SCANNER_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sdk/sql/refusal.h"

namespace engine::db::sql {

enum class TokenKind : uint8_t {
  kWord,       // key word, identifier (quoted or not)
  kOperator,   // a "?", or one or more other operator characters: "??" are two tokens, "=?" too
  kParameter,  // $1
  kLiteral,    // string or number
  kPunctuation,
};

// Bytes [begin, end) of the text. Comments are no tokens. The scanner misreports the end of U&'…' and U&"…".
struct Token {
  uint32_t begin;
  uint32_t end;
  TokenKind kind;
};

// Refuses what PostgreSQL's scanner refuses (an unterminated string, say) with PostgreSQL's own SQLSTATE, mostly 42601,
// and the position. The number notation that is newer than libpg_query (0x1F, 1_000) is
// understood. `sql` has no NUL.
OrRefusal<std::vector<Token>> Scan(const std::string& sql);

// `sql` with the numbers in the notation of PostgreSQL 16 (0x1F, 0b1, 0o7, 1_000) replaced by as many decimal digits,
// so that an older libpg_query can read it. Lengths and positions stay.
std::string WithoutNewNumberNotation(std::string sql);

// Whether a text is this key word, in whatever case.
bool IsWord(std::string_view text, std::string_view word);

// The number of characters of UTF-8 text.
uint32_t CountCharacters(std::string_view utf8);

}  // namespace engine::db::sql

#endif  // ENGINE_DB_SDK_SQL_SCANNER_H_
