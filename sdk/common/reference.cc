#include "sdk/common/reference.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

namespace engine::db::common {
namespace {

constexpr std::string_view kOpen = "${";
constexpr std::string_view kEnv = "ENV:";
constexpr std::string_view kFile = "FILE:";
constexpr size_t kMaxFileBytes = 64 << 10;

// What a message shows of a variable's name or a file's path. Where it is neither, the "}" may be missing, and it is
// whatever stands before the next one: a password too.
std::string shown(std::string_view name) {
  constexpr size_t kMaxBytes = 255;
  constexpr std::string_view kMarks = "/._-+@~";
  const bool plain = !name.empty() && name.size() <= kMaxBytes && std::ranges::all_of(name, [=](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           kMarks.find(c) != std::string_view::npos;
  });
  return plain ? std::string(name) : "? (not shown, since it is not a plain name: is its \"}\" missing?)";
}

Resolved fault(std::string message) { return {{}, {std::move(message)}}; }

Resolved resolve(std::string_view reference, const Environment& environment) {
  if (reference.starts_with(kEnv)) {
    const std::string name(reference.substr(kEnv.size()));
    if (auto value = environment(name)) return {*std::move(value), {}};
    return fault("environment variable " + shown(name) + " is not set");
  }
  if (reference.starts_with(kFile)) return read_secret_file(std::string(reference.substr(kFile.size())));
  return fault("a \"${\" must begin ${ENV:NAME} or ${FILE:PATH}");
}

}  // namespace

std::optional<std::string> process_environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr) return std::nullopt;
  return value;
}

bool has_reference(std::string_view text) { return text.find(kOpen) != std::string_view::npos; }

Resolved resolve_references(std::string_view text, const Environment& environment) {
  Resolved resolved;
  while (true) {
    const size_t open = text.find(kOpen);
    resolved.text += text.substr(0, open);
    if (open == std::string_view::npos) return resolved;
    text.remove_prefix(open + kOpen.size());
    const size_t close = text.find('}');
    if (close == std::string_view::npos) {
      resolved.faults.emplace_back("a \"${\" has no \"}\"");
      return resolved;
    }
    Resolved value = resolve(text.substr(0, close), environment);
    resolved.text += value.text;
    std::ranges::move(value.faults, std::back_inserter(resolved.faults));
    text.remove_prefix(close + 1);
  }
}

std::optional<std::string> whole_file_reference(std::string_view text) {
  const std::string begin = std::string(kOpen) + std::string(kFile);
  if (!text.starts_with(begin) || text.find('}') != text.size() - 1) return std::nullopt;
  return std::string(text.substr(begin.size(), text.size() - begin.size() - 1));
}

Resolved read_secret_file(const std::string& path) {
  const auto unreadable = [&path](const std::string& why) {
    return fault("cannot read file " + shown(path) + ": " + why);
  };
  std::error_code failure;
  const std::filesystem::file_status status = std::filesystem::status(path, failure);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
    return unreadable("it is not a regular file");  // opening a pipe would wait for a writer
  }
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::string content(kMaxFileBytes + 1, '\0');
  file.read(content.data(), static_cast<std::streamsize>(content.size()));
  content.resize(static_cast<size_t>(file.gcount()));
  // eofbit comes with every file that is short enough.
  if (!file.is_open() || file.bad() || !file.eof()) {
    return unreadable(content.size() > kMaxFileBytes ? "it has more than " + std::to_string(kMaxFileBytes) + " bytes"
                                                     : std::strerror(errno));
  }
  if (content.ends_with('\n')) content.pop_back();
  if (content.ends_with('\r')) content.pop_back();
  return {std::move(content), {}};
}

}  // namespace engine::db::common
