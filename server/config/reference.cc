#include "server/config/reference.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace engine::db::config {
namespace {

constexpr std::string_view kOpen = "${";
constexpr std::string_view kEnv = "ENV:";
constexpr std::string_view kFile = "FILE:";
constexpr size_t kMaxReadBytes = 64 << 10;

// What a message shows of a variable's name or a file's path. Where it is neither, the "}" may be missing, and it is
// whatever stands before the next one: a password too.
std::string Shown(std::string_view name) {
  constexpr size_t kMaxBytes = 255;
  constexpr std::string_view kMarks = "/._-+@~";
  const bool plain = !name.empty() && name.size() <= kMaxBytes && std::all_of(name.begin(), name.end(), [=](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || kMarks.find(c) != std::string_view::npos;
  });
  return plain ? std::string(name) : "? (not shown, since it is no plain name: is its \"}\" missing?)";
}

absl::StatusOr<std::string> Resolve(std::string_view reference, const Environment& environment) {
  if (reference.substr(0, kEnv.size()) == kEnv) {
    const std::string name(reference.substr(kEnv.size()));
    if (auto value = environment(name)) return *std::move(value);
    return absl::NotFoundError(absl::StrCat("environment variable ", Shown(name), " is not set"));
  }
  if (reference.substr(0, kFile.size()) == kFile) return ReadSecretFile(std::string(reference.substr(kFile.size())));
  return absl::InvalidArgumentError("a \"${\" must begin ${ENV:NAME} or ${FILE:PATH}");
}

}  // namespace

std::optional<std::string> ProcessEnvironment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr) return std::nullopt;
  return value;
}

absl::StatusOr<std::string> ResolveReferences(std::string_view text, const Environment& environment) {
  std::string resolved;
  absl::Status status;
  while (true) {
    const size_t open = text.find(kOpen);
    resolved += text.substr(0, open);
    if (open == std::string_view::npos) break;
    text.remove_prefix(open + kOpen.size());
    const size_t close = text.find('}');
    if (close == std::string_view::npos) return absl::InvalidArgumentError("a \"${\" has no \"}\"");
    auto value = Resolve(text.substr(0, close), environment);
    if (value.ok()) {
      resolved += *value;
    } else if (status.ok()) {
      status = value.status();
    } else {
      status = absl::Status(status.code(), absl::StrCat(status.message(), ", ", value.status().message()));
    }
    text.remove_prefix(close + 1);
  }
  if (!status.ok()) return status;
  return resolved;
}

std::optional<std::string> WholeFileReference(std::string_view text) {
  const std::string begin = std::string(kOpen) + std::string(kFile);
  if (text.substr(0, begin.size()) != begin || text.find('}') != text.size() - 1) return std::nullopt;
  return std::string(text.substr(begin.size(), text.size() - begin.size() - 1));
}

absl::StatusOr<std::string> ReadSecretFile(const std::string& path) {
  std::error_code failure;
  const std::filesystem::file_status status = std::filesystem::status(path, failure);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
    // Opening a pipe would wait for a writer.
    return absl::NotFoundError(absl::StrCat("cannot read file ", Shown(path), ": it is not a regular file"));
  }
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::string content(kMaxReadBytes + 1, '\0');
  file.read(content.data(), static_cast<std::streamsize>(content.size()));
  content.resize(static_cast<size_t>(file.gcount()));
  // A folder opens but does not read; eofbit comes with every file that is short enough.
  if (!file.is_open() || file.bad() || !file.eof()) {
    const std::string why = content.size() > kMaxReadBytes ? absl::StrCat("it has more than ", kMaxReadBytes, " bytes")
                                                           : std::string(std::strerror(errno));
    return absl::NotFoundError(absl::StrCat("cannot read file ", Shown(path), ": ", why));
  }
  if (!content.empty() && content.back() == '\n') content.pop_back();
  if (!content.empty() && content.back() == '\r') content.pop_back();
  return content;
}

}  // namespace engine::db::config
