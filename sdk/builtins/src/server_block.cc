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
  std::optional<DatabaseServer> read(const YAML::Node& node) {
    block_.read_map(node, field_, handlers());
    if (!node.IsMap()) return std::nullopt;
    const bool data_source = origins_.contains("dataSource");
    std::vector<const char*> required = {"protocol", "driver"};
    if (!data_source) required.push_back("url");
    for (const char* key : required) {
      if (!origins_.contains(key)) fail({line_of(node), join(field_, key)}, "is required");
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
      origins_[name] = {line_of(value), field};
      if (auto text = block_.resolved_text(value, field, environment_)) settings_[name] = *std::move(text);
    };
  }
  auto text(std::optional<std::string>& target, const std::string& name) {
    return [this, &target, name](const YAML::Node& value, const std::string& field) {
      origins_[name] = {line_of(value), field};
      target = block_.resolved_text(value, field, environment_);
    };
  }
  auto word(const std::string& name, const std::vector<std::string>& words) {
    return [this, name, words](const YAML::Node& value, const std::string& field) {
      origins_[name] = {line_of(value), field};
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

  ConnectionConfig read_connection() {
    ConnectionConfig config;
    try {
      config = ConnectionConfig::from_url(*url_, username_.value_or(""), password_.value_or(""));
    } catch (const ConfigurationError& error) {
      for (const ConfigFault& fault : error.faults()) report_url(fault);
    }
    try {
      return with_settings(config);
    } catch (const ConfigurationError& error) {
      for (const ConfigFault& fault : error.faults()) {
        // The others are the URL's, and were reported as such.
        if (settings_.contains(fault.field)) fail(origins_.at(fault.field), fault.message);
      }
      return config;
    }
  }

  // What stands beside the URL wins over what it says.
  [[nodiscard]] ConnectionConfig with_settings(const ConnectionConfig& config) const {
    std::map<std::string, std::string> merged = settings_;
    merged.insert({{"host", config.host},
                   {"port", std::to_string(config.port)},
                   {"user", config.user},
                   {"password", config.password},
                   {"dbname", config.dbname},
                   {"min_pool_size", std::to_string(config.min_pool_size)},
                   {"max_pool_size", std::to_string(config.max_pool_size)},
                   {"timeout_ms", std::to_string(config.timeout_ms)},
                   {"connect_timeout_ms", std::to_string(config.connect_timeout_ms)},
                   {"application_name", config.application_name},
                   {"retry.max_attempts", std::to_string(config.retry.max_attempts)},
                   {"retry.initial_delay_ms", std::to_string(config.retry.initial_delay_ms)},
                   {"retry.max_delay_ms", std::to_string(config.retry.max_delay_ms)},
                   {"retry.multiplier", std::to_string(config.retry.multiplier)},
                   {"retry.budget_ms", std::to_string(config.retry.budget_ms)}});
    ConnectionConfig result = ConnectionConfig::from_map(merged);
    if (!settings_.contains("tls_mode")) result.tls_mode = config.tls_mode;
    if (!settings_.contains("channel_binding")) result.channel_binding = config.channel_binding;
    return result;
  }

  // A fault that ConnectionConfig::from_url found. Its message is not repeated where it may quote the URL: what stands
  // in the place of the port or of a parameter's name is a part of the password when that has a "/" that is not
  // encoded.
  void report_url(const ConfigFault& fault) {
    if ((fault.field == "user" && username_) || (fault.field == "password" && password_)) {
      return fail(origins_.at(fault.field), fault.message);
    }
    const Origin& url = origins_.at("url");
    if (fault.field == "url") return fail(url, fault.message);
    if (fault.field == "port") return fail(url, "the port must be a number from 1 to 65535");
    for (const char* known : {"host", "user", "password", "dbname"}) {
      if (fault.field == known) return fail(url, fault.field + " " + fault.message);
    }
    fail(url,
         "has a parameter that is unknown or has no valid value; in a password, \"/\", \"@\", \"?\" and \"&\" are "
         "written "
         "%2F, %40, %3F and %26");
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

std::optional<DatabaseServer> read_server(const std::string& name, const YAML::Node& node, const LoadOptions& options,
                                          std::vector<PipelineFault>& faults) {
  return ServerReader(name, options, faults).read(node);
}

}  // namespace engine::db::builtins
