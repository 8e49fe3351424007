// What a message of PostgreSQL may hold, told by where in its sources it was reported. Messages come in the language of
// lc_messages; the SQLSTATE, the source file and the routine do not.
#ifndef ENGINE_DB_SERVER_POSTGRES_MESSAGE_SOURCES_H_
#define ENGINE_DB_SERVER_POSTGRES_MESSAGE_SOURCES_H_

#include <cstdint>
#include <string_view>

namespace engine::db::postgres {

enum class MessageKind : uint8_t {
  kAuthored,      // written for people by the author of a function (RAISE and its like)
  kNames,         // names from the catalogue and from the statement's text, and nothing else
  kQuotesNames,   // names, some of which may come out of a value; they are quoted
  kQuotesValues,  // values, which are quoted, and numbers
  kData,          // values and names without any marks, or nobody knows
};

// Where a message comes from, as PG_DIAG_SQLSTATE, PG_DIAG_SOURCE_FILE and PG_DIAG_SOURCE_FUNCTION tell.
struct MessageSource {
  std::string_view sqlstate;
  std::string_view file;
  std::string_view routine;
};

// Of an error without a position in the caller's text. What is not in the tables falls to kData, unless errors of its
// class have nothing to do with data.
[[nodiscard]] MessageKind KindOfMessage(const MessageSource& source);

}  // namespace engine::db::postgres

#endif  // ENGINE_DB_SERVER_POSTGRES_MESSAGE_SOURCES_H_
