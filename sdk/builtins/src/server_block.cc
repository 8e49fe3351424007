#include "sdk/builtins/src/server_block.h"

#include <algorithm>
#include <map>
#include <utility>

#include "sdk/builtins/src/yaml_block.h"

namespace engine::db::builtins {
namespace {

// Where a field of ConnectionConfig was given.
struct Origin {
  size_t line = 0;
  std::string field;
};

class ServerReader {
 public:
  ServerReader(std::string name, const LoadOptions& options, std::vector<PipelineFault>& faults)
      : name_(std::move(name)),
        field_(join("", name_)),
        environment_(options.environment),
        faults_(faults),
        faults_before_(faults.size()),
        block_(options.file, "", faults) {}

  // Nothing when there are faults.
  std::optional<DatabaseServer> read(const YAML::Node& node, size_t line) {
    block_.read_map(node, field_, handlers());
    if (!node.IsMap()) return std::nullopt;
    const bool data_source = origins_.contains("dataSource");
    std::vector<const char*> required = {"protocol", "driver"};
    if (!data_source) required.push_back("url");
    for (const char* key : required) {
      if (!origins_.contains(key)) fail({line, join(field_, key)}, "is required");
    }
    if (data_source) refuse_what_the_data_source_says();
    if (failed()) return std::nullopt;  // what could not be read would only be reported again, as missing
    ConnectTarget target = data_source ? ConnectTarget(DataSource{*data_source_}) : ConnectTarget(read_connection());
    if (data_source) check_data_source(target);
    if (failed()) return std::nullopt;
    return DatabaseServer{name_, std::move(target)};
  }

 private:
  [[nodiscard]] bool failed() const { return faults_.size() != faults_before_; }
  void fail(const Origin& origin, std::string message) { block_.fail(origin.line, origin.field, std::move(message)); }

  // Handlers that resolve a value and remember where it stood: as a setting of ConnectionConfig::from_map, as a text of
  // its own, or as one of a few words.
  auto setting(const std::string& name) {
    return [this, name](const YAML::Node& value, const std::string& field) {
      origins_[name] = {block_.line(value), field};
      if (auto text = block_.resolved_text(value, field, environment_)) settings_[name] = *std::move(text);
    };
  }
  auto text(std::optional<std::string>& target, const std::string& name) {
    return [this, &target, name](const YAML::Node& value, const std::string& field) {
      origins_[name] = {block_.line(value), field};
      target = block_.resolved_text(value, field, environment_);
    };
  }
  auto word(const std::string& name, const std::vector<std::string>& words) {
    return [this, name, words](const YAML::Node& value, const std::string& field) {
      origins_[name] = {block_.line(value), field};
      const auto found = block_.resolved_text(value, field, environment_);
      if (found && std::ranges::find(words, *found) == words.end()) {
        block_.fail(value, field, "must be \"" + words.front() + "\"");
      }
    };
  }
  auto ignored() {
    return [this](const YAML::Node& value, const std::string& field) { (void)block_.text(value, field); };
  }

  Handlers handlers() {
    return {
        {"protocol", word("protocol", {"database"})},
        {"driver", word("driver", {"postgres", "postgresql"})},
        {"description", ignored()},
        {"url", text(url_, "url")},
        {"dataSource", text(data_source_, "dataSource")},
        {"securitySchemes",
         [this](const YAML::Node& value, const std::string& field) { read_security_schemes(value, field); }},
        {"minPoolSize", setting("min_pool_size")},
        {"maxPoolSize", setting("max_pool_size")},
        {"timeoutMs", setting("timeout_ms")},
        {"connectTimeoutMs", setting("connect_timeout_ms")},
        {"tlsMode", setting("tls_mode")},
        {"channelBinding", setting("channel_binding")},
        {"applicationName", setting("application_name")},
        {"retry",
         [this](const YAML::Node& value, const std::string& field) {
           block_.read_map(value, field,
                           {{"maxAttempts", setting("retry.max_attempts")},
                            {"initialDelayMs", setting("retry.initial_delay_ms")},
                            {"maxDelayMs", setting("retry.max_delay_ms")},
                            {"multiplier", setting("retry.multiplier")},
                            {"budgetMs", setting("retry.budget_ms")}});
         }},
    };
  }

  void read_security_schemes(const YAML::Node& node, const std::string& field) {
    const bool right = node.IsMap() && node.size() == 1 && node.begin()->second.IsSequence() &&
                       node.begin()->second.size() == 1 && node.begin()->second[0].IsMap();
    if (!right) {
      return block_.fail(
          node, field,
          "must hold one scheme that is a list of one entry: dbAuth: [{type: basic, username: …, password: …}]");
    }
    block_.read_map(node.begin()->second[0], join(field, key_of(node.begin()->first)) + "[0]",
                    {{"type", word("type", {"basic"})},
                     {"description", ignored()},
                     {"username", text(username_, "user")},
                     {"password", text(password_, "password")}});
  }

  void refuse_what_the_data_source_says() {
    for (const auto& [name, origin] : origins_) {
      if (name == "protocol" || name == "driver" || name == "dataSource") continue;
      fail(origin, "can't stand beside dataSource: the gateway's own configuration says it");
    }
  }

  void check_data_source(const ConnectTarget& target) {
    try {
      require_valid(target);
    } catch (const ConfigurationError& error) {
      fail(origins_.at("dataSource"), error.faults().front().message);
    }
  }

  // What stands beside the URL wins over what it says.
  ConnectionConfig read_connection() {
    std::map<std::string, std::string> settings = settings_;
    for (const auto& [name, login] : {std::pair("user", username_), std::pair("password", password_)}) {
      if (login && !login->empty()) settings[name] = *login;
    }
    try {
      return ConnectionConfig::from_url(*url_, settings);
    } catch (const ConfigurationError& error) {
      for (const ConfigFault& fault : error.faults()) {
        const auto origin = settings.contains(fault.field) ? origins_.find(fault.field) : origins_.end();
        if (origin != origins_.end()) {
          fail(origin->second, fault.message);
        } else {
          fail(origins_.at("url"), message_about_url(fault));
        }
      }
      return {};
    }
  }

  // What stands in the place of the port or of a parameter's name is a part of the password when that has a "/" or "?"
  // that is not encoded.
  static std::string message_about_url(const ConfigFault& fault) {
    if (fault.field == "url" && fault.message.starts_with("has an option")) {
      return "has a parameter that is unknown; in a password, \"/\", \"@\", \"?\" and \"&\" are written %2F, %40, %3F "
             "and %26";
    }
    if (fault.field == "url") return fault.message;
    if (fault.field == "port") return "the port must be a number from 1 to 65535";
    return fault.field + " " + fault.message;
  }

  std::string name_;
  std::string field_;  // as faults show it
  const Environment& environment_;
  std::vector<PipelineFault>& faults_;
  size_t faults_before_;
  YamlBlock block_;
  std::map<std::string, Origin> origins_;
  std::map<std::string, std::string> settings_;
  std::optional<std::string> url_;
  std::optional<std::string> data_source_;
  std::optional<std::string> username_;
  std::optional<std::string> password_;
};

}  // namespace

bool is_server_block(const YAML::Node& node) {
  if (!node.IsMap()) return false;
  for (const char* key : {"protocol", "driver", "securitySchemes", "url", "dataSource"}) {
    if (node[key].IsDefined()) return true;
  }
  return false;
}

std::string protocol_of(const YAML::Node& node) {
  const YAML::Node protocol = node["protocol"];
  return protocol.IsDefined() && protocol.IsScalar() ? protocol.Scalar() : std::string();
}

std::optional<DatabaseServer> read_server(const std::string& name, const YAML::Node& node, size_t line,
                                          const LoadOptions& options, std::vector<PipelineFault>& faults) {
  return ServerReader(name, options, faults).read(node, line);
}

}  // namespace engine::db::builtins
