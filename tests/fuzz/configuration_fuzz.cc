// Configuration, whatever is written in it: settings or faults, never a crash, and never a secret in a fault. The
// secret is planted as the value of every variable, and wherever the input has the byte 0x01.
#include <sys/mman.h>
#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "engine_db/config.h"
#include "server/base/error.h"
#include "server/config/database_url.h"
#include "server/config/listen_address.h"
#include "server/config/reference.h"
#include "server/config/settings.h"
#include "tests/fuzz/fuzz.h"

namespace engine::db {
namespace {

constexpr size_t kMaxBytes = 4'000;
constexpr std::string_view kCanary = "cAnArY4711";

bool Shows(std::string_view text) { return text.find(kCanary) != std::string_view::npos; }

std::string Planted(std::string_view input) {
  std::string text;
  for (const char c : input) {
    if (c == '\x01') {
      text += kCanary;
    } else {
      text += c;
    }
  }
  return text;
}

std::optional<std::string> Variable(const std::string& name) {
  if (name.starts_with("ENGINE_DB_")) return std::nullopt;
  return std::string(kCanary);
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

// Keys are named in faults, since they are what is wrong; a secret is no key.
bool InAKey(const YAML::Node& node, int depth = 0) {
  if (depth > 50) return true;
  if (node.IsMap()) {
    return std::any_of(node.begin(), node.end(), [depth](const auto& entry) {
      return !entry.first.IsScalar() || Shows(entry.first.Scalar()) || InAKey(entry.second, depth + 1);
    });
  }
  return node.IsSequence() &&
         std::any_of(node.begin(), node.end(), [depth](const YAML::Node& entry) { return InAKey(entry, depth + 1); });
}

bool InAKeyOf(const std::string& yaml) {
  try {
    return InAKey(YAML::Load(yaml));
  } catch (const std::exception&) {
    return false;
  }
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
  const v1::DatabaseError error = ErrorDetail(settings.status());
  if (Shows(settings.status().ToString()) || Shows(error.SerializeAsString())) {
    Require(InAKeyOf(text), "no fault shows a value");
  }
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
  const auto resolved = config::ResolveReferences(text, Variable);
  if (!resolved.ok() && !Shows(text)) Require(!Shows(resolved.status().ToString()), "no reference shows its value");
}

}  // namespace
}  // namespace engine::db

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace engine::db;
  if (size == 0 || size > kMaxBytes) return -1;
  const std::string text = Planted({reinterpret_cast<const char*>(data) + 1, size - 1});
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
