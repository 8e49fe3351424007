#include "server/config/settings_file.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "sdk/common/utf8.h"
#include "server/config/database_url.h"
#include "server/config/yaml_documents.h"

namespace engine::db::config {
namespace {

constexpr size_t kMaxFileBytes = 1 << 20;
constexpr size_t kMaxKeyBytes = 63;
constexpr char kHidden[] = "?";
constexpr char kNoValue[] = "has no value (is what belongs to it not indented?)";

// What to do with the value of each key of a map.
using Handlers = std::map<std::string, std::function<void(const YAML::Node& value, const std::string& path)>>;

std::string Join(const std::string& path, const std::string& key) {
  return path.empty() ? key : absl::StrCat(path, ".", key);
}

bool IsName(const std::string& text) {
  return !text.empty() && text.size() <= kMaxKeyBytes && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '_' || c == '-' || c == '.';
  });
}

// What a fault shows of a key. A key that is not a name may be a piece of a value (after a quote that is not closed),
// and may hold characters that neither a log nor a terminal should get.
std::string Shown(const std::string& key) { return IsName(key) ? key : kHidden; }

// In {password: its,secret} the "secret" is a key, without a value.
bool MayBePieceOfValue(const YAML::Node& map, const YAML::Node& value) {
  return map.Style() == YAML::EmitterStyle::Flow && value.IsNull();
}

bool IsDataSource(const YAML::Node& value) {
  return value.IsMap() &&
         (value["protocol"].IsDefined() || value["url"].IsDefined() || value["securitySchemes"].IsDefined());
}

// Of yaml-cpp's words only those that quote nothing of the file, which may be a password: "*secret" is an anchor that
// is not defined, "\\s" an unknown escape.
std::string WithoutQuotes(const std::string& message) { return message.substr(0, message.find_first_of(":\"")); }

// Edit distance: how many letters have to be changed, added or left out.
size_t Distance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({replaced, row[j] + 1, row[j - 1] + 1}));
    }
  }
  return row[b.size()];
}

// The same for "max_pool_size", "MaxPoolSize" and "maxPoolSize".
std::string Letters(const std::string& key) {
  std::string letters;
  for (const char c : key) {
    if (c != '_' && c != '-') letters += absl::ascii_tolower(static_cast<unsigned char>(c));
  }
  return letters;
}

// "max_pool_size" → "maxPoolSize": the contract's names as JSON writes them.
std::string CamelCase(const std::string& snake) {
  std::string camel;
  bool upper = false;
  for (const char c : snake) {
    if (c != '_') camel += upper ? absl::ascii_toupper(static_cast<unsigned char>(c)) : c;
    upper = c == '_';
  }
  return camel;
}

class Reader {
 public:
  Reader(const common::Environment& environment, Draft& draft) : environment_(environment), draft_(draft) {}

  void ReadTop(const YAML::Node& top) {
    Handlers handlers;
    handlers["listen"] = [this](const YAML::Node& value, const std::string& path) { ReadListen(value, path); };
    handlers["dataSources"] = [this](const YAML::Node& value, const std::string& path) {
      ReadDataSources(value, path);
    };
    std::map<std::string, Handlers> sections;
    for (const Setting& setting : ScalarSettings()) {
      auto apply = [this, &setting](const YAML::Node& value, const std::string& path) {
        if (const auto text = Text(value, path)) ApplySetting(setting, Located(path, value), *text, draft_);
      };
      const size_t dot = setting.name.find('.');
      if (dot == std::string::npos) {
        handlers[setting.name] = std::move(apply);
      } else {
        sections[setting.name.substr(0, dot)][setting.name.substr(dot + 1)] = std::move(apply);
      }
    }
    for (const auto& named : sections) {
      const Handlers& section = named.second;  // clang cannot capture a structured binding
      handlers[named.first] = [this, &section](const YAML::Node& value, const std::string& path) {
        ReadMap(value, path, section);
      };
    }
    // The DSL's form: the data source at the top level.
    for (const auto& entry : top) {
      const std::string key = entry.first.IsScalar() ? entry.first.Scalar() : "";
      if (IsDataSource(entry.second) && handlers.count(key) == 0) {
        handlers[key] = [this, key](const YAML::Node& value, const std::string& path) {
          ReadDataSource(key, value, path);
        };
      }
    }
    ReadMap(top, "", handlers);
  }

 private:
  static std::string Located(const std::string& path, const YAML::Node& node) {
    const YAML::Mark mark = node.Mark();
    return mark.is_null() ? path : absl::StrCat(path, " (line ", mark.line + 1, ")");
  }

  // The path of what is `below` a map ("retry.maxAttempts"), with its line where it is there.
  static std::string LocatedBelow(const std::string& path, const YAML::Node& map, const std::string& below) {
    YAML::Node node;
    node.reset(map);
    for (const auto& key : absl::StrSplit(below, '.')) node.reset(node[std::string(key)]);
    return node.IsDefined() ? Located(Join(path, below), node) : Located(path, map);
  }

  void Fail(const std::string& path, const YAML::Node& node, std::string expected) {
    draft_.faults.push_back({Located(path, node), std::move(expected)});
  }

  void ReadMap(const YAML::Node& node, const std::string& path, const Handlers& handlers) {
    if (!node.IsMap()) {
      return Fail(path.empty() ? "the file" : path, node, "must be a map");
    }
    std::set<std::string> seen;
    for (const auto& entry : node) {
      const std::string key = entry.first.IsScalar() ? entry.first.Scalar() : "";
      const std::string below = Join(path, Shown(key));
      const auto handler = handlers.find(key);
      if (handler == handlers.end()) {
        if (IsName(key) && !MayBePieceOfValue(node, entry.second)) {
          Fail(below, entry.first, absl::StrCat("is unknown", Suggestion(key, handlers), Known(handlers)));
        } else {
          Fail(Join(path, kHidden), entry.first,
               absl::StrCat("is unknown (not shown, since it may be a piece of a value)", Known(handlers)));
        }
      } else if (!seen.insert(key).second) {
        Fail(below, entry.first, "is given twice");
      } else if (entry.second.IsNull()) {
        Fail(below, entry.first, kNoValue);
      } else {
        handler->second(entry.second, below);
      }
    }
  }

  // " (did you mean maxPoolSize?)", or nothing.
  static std::string Suggestion(const std::string& key, const Handlers& handlers) {
    constexpr size_t kMaxDistance = 2;
    std::string nearest;
    size_t distance = kMaxDistance + 1;
    for (const auto& known : handlers) {
      const size_t d = Distance(Letters(key), Letters(known.first));
      if (d < distance) nearest = known.first;
      distance = std::min(distance, d);
    }
    return nearest.empty() ? "" : absl::StrCat(" (did you mean ", Shown(nearest), "?)");
  }

  static std::string Known(const Handlers& handlers) {
    return absl::StrCat("; known here: ", absl::StrJoin(handlers, ", ", [](std::string* out, const auto& known) {
                          out->append(Shown(known.first));
                        }));
  }

  // A scalar with its references resolved.
  std::optional<std::string> Text(const YAML::Node& node, const std::string& path) {
    if (!node.IsScalar()) {
      Fail(path, node, node.IsNull() ? kNoValue : "must be a single value");
      return std::nullopt;
    }
    common::Resolved resolved = common::resolve_references(node.Scalar(), environment_);
    if (resolved.faults.empty() && common::is_utf8(resolved.text)) return std::move(resolved.text);
    Fail(path, node, resolved.faults.empty() ? "must be UTF-8" : absl::StrJoin(resolved.faults, ", "));
    return std::nullopt;
  }

  std::optional<int32_t> Integer(const YAML::Node& node, const std::string& path) {
    const auto text = Text(node, path);
    if (!text) return std::nullopt;
    int32_t number = 0;
    if (absl::SimpleAtoi(*text, &number)) return number;
    Fail(path, node, "must be a whole number");
    return std::nullopt;
  }

  void ReadListen(const YAML::Node& node, const std::string& path) {
    std::vector<std::string> addresses;
    if (node.IsSequence()) {
      for (size_t i = 0; i < node.size(); ++i) {
        const auto text = Text(node[i], absl::StrCat(path, "[", i, "]"));
        if (!text) return;
        addresses.push_back(*text);
      }
    } else if (const auto text = Text(node, path)) {
      addresses.push_back(*text);
    } else {
      return;
    }
    ApplyListen(Located(path, node), addresses, draft_);
  }

  void ReadDataSources(const YAML::Node& node, const std::string& path) {
    if (!node.IsMap()) return Fail(path, node, "must be a map of names to data sources");
    for (const auto& entry : node) {
      const std::string name = entry.first.IsScalar() ? entry.first.Scalar() : "";
      const std::string below = Join(path, MayBePieceOfValue(node, entry.second) ? kHidden : Shown(name));
      if (entry.second.IsNull()) {
        Fail(below, entry.first, kNoValue);
      } else {
        ReadDataSource(name, entry.second, below);
      }
    }
  }

  void ReadDataSource(const std::string& name, const YAML::Node& node, const std::string& path);

  const common::Environment& environment_;
  Draft& draft_;
};

// What one block says, until it is checked as a whole.
struct SourceDraft {
  v1::ConnectionConfig config;  // without user and password where a security scheme gives them
  std::string password_file;
  std::string tls_root_certificate;
  std::string tls_certificate;
  std::string tls_key;
  std::optional<bool> log_error_detail;
  bool hide_raised_messages = false;
  // Where the contract's fields came from, when not from a key of their own: "host" → "dataSources.orders.url (line
  // 3)".
  std::map<std::string, std::string> origin;
};

void Reader::ReadDataSource(const std::string& name, const YAML::Node& node, const std::string& path) {
  if (!IsName(name)) {
    return Fail(path, node,
                absl::StrCat("must have a name of 1 to ", kMaxKeyBytes, " letters, digits, \"-\", \"_\" and \".\""));
  }
  if (draft_.settings.data_sources.count(name) != 0) return Fail(path, node, "is given twice");

  SourceDraft source;
  v1::ConnectionConfig& config = source.config;
  v1::RetrySettings& retry = *config.mutable_retry();
  std::optional<std::string> username;
  std::optional<std::string> password;
  const size_t faults_before = draft_.faults.size();

  const auto expect = [this](std::set<std::string> words, const char* expected) {
    return [this, words = std::move(words), expected](const YAML::Node& value, const std::string& where) {
      const auto text = Text(value, where);
      if (text && words.count(*text) == 0) Fail(where, value, expected);
    };
  };
  const auto text_field = [this](auto set) {
    return [this, set](const YAML::Node& value, const std::string& where) {
      if (const auto text = Text(value, where)) set(*text);
    };
  };
  const auto integer_field = [this](auto set) {
    return [this, set](const YAML::Node& value, const std::string& where) {
      if (const auto number = Integer(value, where)) set(*number);
    };
  };

  // The URL is read before the keys, which win over it.
  if (node.IsMap() && node["url"].IsDefined()) {
    const YAML::Node url = node["url"];
    const std::string where = Located(Join(path, "url"), url);
    if (const auto text = Text(url, Join(path, "url"))) {
      std::vector<std::string> faults;
      DatabaseUrl parsed = ParseDatabaseUrl(*text, faults);
      for (std::string& fault : faults) draft_.faults.push_back({where, std::move(fault)});
      config.MergeFrom(parsed.config);
      source.tls_root_certificate = std::move(parsed.tls_root_certificate);
      source.tls_certificate = std::move(parsed.tls_certificate);
      source.tls_key = std::move(parsed.tls_key);
    }
    for (const char* field : {"host", "port", "user", "password", "dbname"}) source.origin[field] = where;
  }

  Handlers scheme = {
      {"type", expect({"basic"}, "must be basic")},
      {"description", expect({}, nullptr)},
      {"username",
       [&](const YAML::Node& value, const std::string& where) {
         username = Text(value, where);
         if (username && !username->empty()) source.origin["user"] = Located(where, value);
       }},
      {"password",
       [&](const YAML::Node& value, const std::string& where) {
         password = Text(value, where);  // of a file too: that it can't be read is better known now than later
         if (!password || password->empty()) return;
         source.origin["password"] = Located(where, value);
         if (const auto file = common::whole_file_reference(value.IsScalar() ? value.Scalar() : ""))
           source.password_file = *file;
       }},
  };
  scheme["description"] = text_field([](const std::string&) {});

  const Handlers retry_handlers = {
      {"maxAttempts", integer_field([&](int32_t n) { retry.set_max_attempts(n); })},
      {"initialDelayMs", integer_field([&](int32_t n) { retry.set_initial_delay_ms(n); })},
      {"maxDelayMs", integer_field([&](int32_t n) { retry.set_max_delay_ms(n); })},
      {"multiplier",
       [&](const YAML::Node& value, const std::string& where) {
         const auto text = Text(value, where);
         double number = 0;
         if (text && !absl::SimpleAtod(*text, &number)) return Fail(where, value, "must be a number");
         retry.set_multiplier(number);
       }},
      {"budgetMs", integer_field([&](int32_t n) { retry.set_budget_ms(n); })},
  };

  const Handlers handlers = {
      {"protocol", expect({"database"}, "must be database")},
      {"driver", expect({"postgres", "postgresql"}, "must be postgres")},
      {"description", text_field([](const std::string&) {})},
      {"url", [](const YAML::Node&, const std::string&) {}},
      {"securitySchemes",
       [&](const YAML::Node& value, const std::string& where) {
         if (!value.IsMap() || value.size() != 1 || !value.begin()->second.IsSequence() ||
             value.begin()->second.size() != 1) {
           return Fail(where, value,
                       "must hold one scheme that is a list of one entry: dbAuth: [{type: basic, username, password}]");
         }
         const std::string scheme_name = value.begin()->first.IsScalar() ? value.begin()->first.Scalar() : "";
         ReadMap(value.begin()->second[0], absl::StrCat(Join(where, Shown(scheme_name)), "[0]"), scheme);
       }},
      {"minPoolSize", integer_field([&](int32_t n) { config.set_min_pool_size(n); })},
      {"maxPoolSize", integer_field([&](int32_t n) { config.set_max_pool_size(n); })},
      {"timeoutMs", integer_field([&](int32_t n) { config.set_timeout_ms(n); })},
      {"connectTimeoutMs", integer_field([&](int32_t n) { config.set_connect_timeout_ms(n); })},
      {"applicationName", text_field([&](const std::string& text) { config.set_application_name(text); })},
      {"tlsMode",
       [&](const YAML::Node& value, const std::string& where) {
         const auto text = Text(value, where);
         if (!text) return;
         config.set_tls_mode(ParseTlsMode(*text));
         if (config.tls_mode() == v1::TLS_MODE_UNSPECIFIED) Fail(where, value, absl::StrCat("must be ", kTlsModeWords));
       }},
      {"channelBinding",
       [&](const YAML::Node& value, const std::string& where) {
         const auto text = Text(value, where);
         if (!text) return;
         config.set_channel_binding(ParseChannelBinding(*text));
         if (config.channel_binding() == v1::CHANNEL_BINDING_UNSPECIFIED)
           Fail(where, value, absl::StrCat("must be ", kChannelBindingWords));
       }},
      {"tlsRootCertificate", text_field([&](const std::string& text) { source.tls_root_certificate = text; })},
      {"tlsCertificate", text_field([&](const std::string& text) { source.tls_certificate = text; })},
      {"tlsKey", text_field([&](const std::string& text) { source.tls_key = text; })},
      {"errorDetail",
       [&](const YAML::Node& value, const std::string& where) {
         const auto text = Text(value, where);
         if (!text) return;
         std::string expected = ApplyErrorDetail(*text, source.log_error_detail);
         if (!expected.empty()) Fail(where, value, std::move(expected));
       }},
      {"raisedMessages",
       [&](const YAML::Node& value, const std::string& where) {
         const auto text = Text(value, where);
         if (text && *text != "show" && *text != "hide") return Fail(where, value, "must be show or hide");
         source.hide_raised_messages = text == "hide";
       }},
      {"retry", [&](const YAML::Node& value, const std::string& where) { ReadMap(value, where, retry_handlers); }},
  };
  ReadMap(node, path, handlers);
  if (node.IsMap() && !node["url"].IsDefined()) Fail(Join(path, "url"), node, "is required");

  // As in pipelines: an empty value counts as not given.
  if (username && !username->empty()) config.set_user(*username);
  if (password && !password->empty()) config.set_password(*password);
  if (source.tls_certificate.empty() != source.tls_key.empty())
    Fail(path, node, "must have both tlsCertificate and tlsKey (sslcert and sslkey in a URL), or neither");
  // A part that could not be read would only be reported again, as missing.
  if (draft_.faults.size() != faults_before) return;

  std::vector<Fault> faults;
  TargetSettings target = CheckTarget(config, faults);
  if (!source.password_file.empty()) target.password.clear();
  target.password_file = std::move(source.password_file);
  target.tls_root_certificate = std::move(source.tls_root_certificate);
  target.tls_certificate = std::move(source.tls_certificate);
  target.tls_key = std::move(source.tls_key);
  target.log_error_detail = source.log_error_detail;
  target.hide_raised_messages = source.hide_raised_messages;
  for (Fault& fault : faults) {
    const auto origin = source.origin.find(fault.field);
    if (origin == source.origin.end()) {
      std::string where = LocatedBelow(path, node, CamelCase(fault.field));
      // Not a key's, but a parameter's of the URL.
      if (where == Located(path, node)) fault.expected = absl::StrCat(fault.field, " ", fault.expected);
      draft_.faults.push_back({std::move(where), std::move(fault.expected)});
    } else {
      // In "postgresql://u:1234/5@h/d", whose "/" should have been encoded, the port is a piece of the password.
      if (fault.field == "port") fault.expected.resize(std::min(fault.expected.size(), fault.expected.find(", got ")));
      draft_.faults.push_back({origin->second, absl::StrCat(fault.field, " ", fault.expected)});
    }
  }
  target.data_source = name;
  if (faults.empty()) draft_.settings.data_sources.emplace(name, std::move(target));
}

// The file's only document: what a second one says would have no effect.
YAML::Node LoadDocument(const std::string& file, std::string content, Draft& draft) {
  // yaml-cpp takes the end of the file for the end of a quoted scalar that is not closed, if it comes after a line's
  // end; this would be a part of the scalar, and is a comment anywhere else.
  content += "\n#";
  if (const std::optional<size_t> line = LineOfSecondDocument(content)) {
    draft.faults.push_back(
        {absl::StrCat(file, " (line ", *line, ")"), "must hold one YAML document: another one begins here"});
  }
  return YAML::Load(content);
}

}  // namespace

void ReadSettingsFile(const std::string& file, const common::Environment& environment, Draft& draft) {
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream content;
  content << stream.rdbuf();
  if (!stream || !content) {
    draft.faults.push_back({file, "cannot be read"});
    return;
  }
  if (content.str().size() > kMaxFileBytes) {
    draft.faults.push_back({file, absl::StrCat("must have at most ", kMaxFileBytes, " bytes")});
    return;
  }
  try {
    const YAML::Node top = LoadDocument(file, content.str(), draft);
    if (!top.IsNull()) Reader(environment, draft).ReadTop(top);  // an empty file says nothing
  } catch (const YAML::Exception& error) {
    draft.faults.push_back({absl::StrCat(file, " (line ", error.mark.line + 1, ")"),
                            absl::StrCat("is not YAML: ", WithoutQuotes(error.msg))});
  }
}

}  // namespace engine::db::config
