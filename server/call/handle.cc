#include "server/call/handle.h"

#include <sys/random.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <system_error>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "server/base/text.h"

namespace engine::db::call {
namespace {

constexpr size_t kSecretBytes = 16;
constexpr size_t kInstanceBytes = 4;

std::string RandomHex(size_t bytes) {
  std::array<char, kSecretBytes> buffer{};
  if (getrandom(buffer.data(), bytes, 0) != static_cast<ssize_t>(bytes)) {
    throw std::system_error(errno, std::generic_category(), "getrandom");  // can't happen for so few bytes
  }
  return absl::BytesToHexString(absl::string_view(buffer.data(), bytes));
}

}  // namespace

HandleMaker::HandleMaker() : instance_(RandomHex(kInstanceBytes)) {}

std::string HandleMaker::Make(std::string_view kind) const {
  return absl::StrCat(ToAbsl(kind), "-", instance_, "-", RandomHex(kSecretBytes));
}

bool HandleMaker::IsOfAnotherInstance(std::string_view handle) const {
  const size_t first = handle.find('-');
  if (first == std::string_view::npos) return false;
  const size_t second = handle.find('-', first + 1);
  if (second != first + 1 + 2 * kInstanceBytes || handle.size() != second + 1 + 2 * kSecretBytes) return false;
  return handle.substr(first + 1, 2 * kInstanceBytes) != instance_;
}

std::string HandlePrefix(std::string_view handle) {
  const size_t secret = handle.rfind('-');
  return std::string(handle.substr(0, secret == std::string_view::npos ? 0 : secret + 7));
}

}  // namespace engine::db::call
