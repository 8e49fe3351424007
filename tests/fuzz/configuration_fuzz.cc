// Configuration, whatever is written in it: settings or faults, never a crash, and never a secret in a fault. Secrets
// are planted as the value of every variable, and wherever the input has the byte 0x01 or 0x02, each another one. That
// of 0x02 has a character that no name has, and is never shown. That of 0x01 could be a name, and may be shown where it
// stands for one: see MayBeShown.
#include <sys/mman.h>
#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_join.h"
#include "engine_db/config.h"
#include "sdk/common/reference.h"
#include "server/base/failure.h"
#include "server/config/database_url.h"
#include "server/config/listen_address.h"
#include "server/config/settings.h"
#include "server/rpc/error.h"
#include "tests/fuzz/fuzz.h"

namespace engine::db {
namespace {

constexpr size_t kMaxBytes = 4'000;
constexpr std::string_view kCanary = "cAnArY";  // what all secrets begin with
constexpr size_t kMaxNameBytes = 63;

bool Shows(std::string_view text) { return text.find(kCanary) != std::string_view::npos; }

std::string Planted(std::string_view input) {
  std::string text;
  int planted = 0;
  for (const char c : input) {
    if (c == '\x01' || c == '\x02') {
      text += std::string(kCanary) + (c == '\x01' ? "z" : "!") + std::to_string(10'000 + planted++);
    } else {
      text += c;
    }
  }
  return text;
}

std::optional<std::string> Variable(const std::string& name) {
  if (name.starts_with("ENGINE_DB_")) return std::nullopt;
  return std::string(kCanary) + "v";
}

// The secrets that a text has, as they were planted.
std::set<std::string> SecretsOf(std::string_view text) {
  constexpr size_t kSize = kCanary.size() + 6;
  std::set<std::string> secrets;
  for (size_t at = text.find(kCanary); at != std::string_view::npos; at = text.find(kCanary, at + 1)) {
    secrets.emplace(text.substr(at, kSize));
  }
  return secrets;
}

// A file without a place in any folder.
class MemoryFile {
 public:
  MemoryFile() : descriptor_(memfd_create("fuzz", 0)), name_("/proc/self/fd/" + std::to_string(descriptor_)) {}
  const std::string& name() const { return name_; }
  void Write(std::string_view text) const {
    Require(ftruncate(descriptor_, 0) == 0, "the file can be emptied");
    Require(pwrite(descriptor_, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()), "and written");
  }

 private:
  int descriptor_;
  std::string name_;
};

bool HasOnly(std::string_view text, std::string_view marks) {
  return std::all_of(text.begin(), text.end(), [marks](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           marks.find(c) != std::string_view::npos;
  });
}

// What is in references that are whole and plainly names.
void AddReferences(std::string_view text, std::set<std::string>& may_be_shown) {
  for (const std::string_view open : {"${ENV:", "${FILE:"}) {
    for (size_t at = text.find(open); at != std::string_view::npos; at = text.find(open, at + 1)) {
      const std::string_view behind = text.substr(at + open.size());
      const size_t close = behind.find('}');
      if (close == std::string_view::npos || !HasOnly(behind.substr(0, close), "/._-+@~")) continue;
      may_be_shown.merge(SecretsOf(behind.substr(0, close)));
    }
  }
}

// What faults name, since it is what is wrong: keys of letters, digits, "-", "_" and ".", unless their colon is
// missing; variables and files of references. False when there are too many nodes to tell (an alias may stand for a
// lot).
bool MayBeShown(const YAML::Node& node, std::set<std::string>& may_be_shown, int& nodes_left) {
  if (--nodes_left < 0) return false;
  if (node.IsScalar()) AddReferences(node.Scalar(), may_be_shown);
  if (!node.IsMap() && !node.IsSequence()) return true;
  const bool is_flow = node.Style() == YAML::EmitterStyle::Flow;
  return std::all_of(node.begin(), node.end(), [&](const auto& entry) {
    if (!node.IsMap()) return MayBeShown(entry, may_be_shown, nodes_left);
    if (entry.first.IsScalar()) {
      const std::string& key = entry.first.Scalar();
      const bool has_colon = !is_flow || !entry.second.IsNull();
      if (key.size() <= kMaxNameBytes && HasOnly(key, "-_.") && has_colon) may_be_shown.merge(SecretsOf(key));
    }
    return MayBeShown(entry.second, may_be_shown, nodes_left);
  });
}

// What the message shows is only what it may show of `yaml`.
bool ShowsNoValue(const std::string& message, const std::string& yaml) {
  if (!Shows(message)) return true;
  std::set<std::string> may_be_shown;
  int nodes_left = 10'000;
  try {
    if (!MayBeShown(YAML::Load(yaml), may_be_shown, nodes_left)) return true;
  } catch (const std::exception&) {
    return false;
  }
  const std::set<std::string> shown = SecretsOf(message);
  return std::includes(may_be_shown.begin(), may_be_shown.end(), shown.begin(), shown.end());
}

void ReadSettings(const std::string& text) {
  static const MemoryFile file;
  file.Write(text);
  config::CommandLine command_line;
  command_line.config_file = file.name();
  const auto settings = config::LoadSettings(command_line, Variable);
  if (settings.ok()) {
    for (const auto& [name, source] : settings->data_sources) static_cast<void>(config::ToProto(source));
    return;
  }
  const v1::DatabaseError error = rpc::ToProto(FailureOf(settings.status()));
  Require(ShowsNoValue(settings.status().ToString() + error.DebugString(), text), "no fault shows a value");
  Require(v1::DatabaseError().ParseFromString(error.SerializeAsString()), "it can be sent");
}

void ReadUrl(const std::string& text) {
  std::vector<std::string> faults;
  static_cast<void>(config::ParseDatabaseUrl(text, faults));
  for (const std::string& fault : faults) Require(!Shows(fault), "no fault shows anything of a URL");
  try {
    static_cast<void>(ConnectionConfig::from_url(text));
  } catch (const ConfigurationError& error) {
    Require(!Shows(error.what()), "nor does the client's");
    for (const ConfigFault& fault : error.faults()) Require(!Shows(fault.message), "in none of its faults");
  }
}

void ReadAddress(const std::string& text) {
  const auto address = config::ParseListenAddress(text);
  if (!address.ok()) return;
  const auto again = config::ParseListenAddress(address->ToString());
  Require(again.ok() && *again == *address, "an address is read as it is written");
}

void ReadReferences(const std::string& text) {
  const auto resolved = common::resolve_references(text, Variable);
  if (resolved.faults.empty()) return;
  std::set<std::string> may_be_shown;
  AddReferences(text, may_be_shown);
  const std::set<std::string> shown = SecretsOf(absl::StrJoin(resolved.faults, ", "));
  Require(std::includes(may_be_shown.begin(), may_be_shown.end(), shown.begin(), shown.end()),
          "no reference shows its value");
}

}  // namespace
}  // namespace engine::db

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace engine::db;
  if (size == 0 || size > kMaxBytes) return -1;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (Shows(input)) return -1;  // libFuzzer learns what is compared, and that is no secret
  const std::string text = Planted(input);
  switch (data[0]) {
    case 'u':
      ReadUrl(text);
      break;
    case 'a':
      ReadAddress(text);
      break;
    case 'r':
      ReadReferences(text);
      break;
    default:
      ReadSettings(text);
  }
  return 0;
}
