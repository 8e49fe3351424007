// The messages of PostgreSQL's protocol, version 3 (PostgreSQL manual, chapter 55), as far as FaultProxy reads and
// writes them.
#ifndef ENGINE_DB_TESTS_SUPPORT_POSTGRES_MESSAGES_H_
#define ENGINE_DB_TESTS_SUPPORT_POSTGRES_MESSAGES_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "tests/support/fault_proxy.h"

namespace engine::db::test {

// A big-endian number at the beginning of `bytes`, which has at least four.
uint32_t ReadUint32(std::string_view bytes);

// Takes a text up to its NUL, and the NUL, off the front; what is there if the NUL is missing (a message's beginning).
std::string_view TakeText(std::string_view& bytes);

// The parameters of a StartupMessage, whose header (length and version) has been taken off.
std::map<std::string, std::string> ReadStartupParameters(std::string_view bytes);

// A whole message: type, length, content.
std::string MakeMessage(char type, std::string_view content);
std::string MakeErrorResponse(const ServerError& error);

}  // namespace engine::db::test

#endif  // ENGINE_DB_TESTS_SUPPORT_POSTGRES_MESSAGES_H_
