#include "server/config/setting.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace engine::db::config {
namespace {

constexpr int kMaxListeners = 16;
constexpr int kKiB = 1 << 10;
constexpr int kMiB = 1 << 20;

// How a kind of setting is read and shown; its field is reached in the same way for both.
struct Access {
  std::function<std::string(const std::string&, Draft&)> apply;
  std::function<std::string(const Draft&)> show;
};
template <typename T>
using Field = T& (*)(Draft&);

template <typename T>
T Value(Field<T> field, const Draft& draft) {
  Draft copy = draft;
  return field(copy);
}

Access Integer(int min, int max, Field<int> field) {
  return {[=](const std::string& text, Draft& draft) -> std::string {
            int value = 0;
            if (!absl::SimpleAtoi(text, &value) || value < min || value > max) {
              return absl::StrCat("must be a whole number, ", min, " to ", max);
            }
            field(draft) = value;
            return "";
          },
          [=](const Draft& draft) { return absl::StrCat(Value(field, draft)); }};
}

Access Time(absl::Duration min, absl::Duration max, Field<absl::Duration> field) {
  return {[=](const std::string& text, Draft& draft) -> std::string {
            absl::Duration value;
            if (!absl::ParseDuration(text, &value) || value < min || value > max) {
              return absl::StrCat("must be a time with its unit (\"20s\", \"500ms\", \"30m\"), ",
                                  absl::FormatDuration(min), " to ", absl::FormatDuration(max));
            }
            field(draft) = value;
            return "";
          },
          [=](const Draft& draft) { return absl::FormatDuration(Value(field, draft)); }};
}

// `Target` is a bool or an optional one.
template <typename Target>
Access Switch(Field<Target> field) {
  return {[=](const std::string& text, Draft& draft) -> std::string {
            if (text != "true" && text != "false") return "must be true or false";
            field(draft) = text == "true";
            return "";
          },
          [=](const Draft& draft) { return Value(field, draft) == Target(true) ? "true" : "false"; }};
}

Access File(Field<std::string> field) {
  return {[=](const std::string& text, Draft& draft) -> std::string {
            if (text.empty()) return "must be the path of a file";
            field(draft) = text;
            return "";
          },
          [=](const Draft& draft) { return Value(field, draft); }};
}

std::string ApplyMetricsListen(const std::string& text, Draft& draft) {
  draft.settings.metrics_listen.reset();
  if (text.empty()) return "";
  auto address = ParseListenAddress(text);
  if (!address.ok() || address->IsUnix() || absl::StrContains(address->host, ':')) {
    return "must be HOST:PORT with an IPv4 address or localhost (\"127.0.0.1:9464\"), or empty to switch it off";
  }
  draft.settings.metrics_listen = *std::move(address);
  return "";
}

std::string ShowMetricsListen(const Draft& draft) {
  return draft.settings.metrics_listen ? draft.settings.metrics_listen->ToString() : "";
}

std::string ShowLogLevel(const Draft& draft) {
  for (const char* word : {"debug", "info", "warning", "error"}) {
    if (observe::ParseLogLevel(word) == draft.settings.log_level) return word;
  }
  return "off";
}

std::string ApplyLogLevel(const std::string& text, Draft& draft) {
  const auto level = observe::ParseLogLevel(text);
  if (!level) return "must be debug, info, warning, error or off";
  draft.settings.log_level = *level;
  return "";
}

// Name and access of each.
std::vector<Setting> Table() {
  const std::pair<const char*, Access> table[] = {
      {"metricsListen", {ApplyMetricsListen, ShowMetricsListen}},
      {"logLevel", {ApplyLogLevel, ShowLogLevel}},
      {"errorDetail",
       {[](const std::string& text, Draft& d) { return ApplyErrorDetail(text, d.settings.log_error_detail); },
        [](const Draft& d) { return d.settings.log_error_detail ? "log" : "none"; }}},
      {"eventLoops", Integer(1, 64, [](Draft& d) -> int& { return d.settings.event_loops; })},
      {"drainGrace",
       Time(absl::ZeroDuration(), absl::Hours(1), [](Draft& d) -> absl::Duration& { return d.settings.drain_grace; })},
      {"allowInlineTargets",
       Switch<std::optional<bool>>([](Draft& d) -> std::optional<bool>& { return d.allow_inline_targets; })},
      {"tls.certificate", File([](Draft& d) -> std::string& { return d.tls.certificate; })},
      {"tls.key", File([](Draft& d) -> std::string& { return d.tls.key; })},
      {"tls.clientCa", File([](Draft& d) -> std::string& { return d.tls.client_ca; })},
      {"sharedReads.enabled", Switch<bool>([](Draft& d) -> bool& { return d.settings.shared_reads.enabled; })},
      {"sharedReads.depth", Integer(1, 1024, [](Draft& d) -> int& { return d.settings.shared_reads.depth; })},
      {"limits.requestBytes",
       Integer(64 * kKiB, 64 * kMiB, [](Draft& d) -> int& { return d.settings.limits.request_bytes; })},
      {"limits.statementBytes",
       Integer(kKiB, 64 * kMiB, [](Draft& d) -> int& { return d.settings.limits.statement_bytes; })},
      {"limits.resultRows", Integer(1, 10'000'000, [](Draft& d) -> int& { return d.settings.limits.result_rows; })},
      {"limits.resultBytes",
       Integer(kKiB, 1024 * kMiB, [](Draft& d) -> int& { return d.settings.limits.result_bytes; })},
      {"limits.pools", Integer(1, 10'000, [](Draft& d) -> int& { return d.settings.limits.pools; })},
      {"limits.connections", Integer(1, 1'000'000, [](Draft& d) -> int& { return d.settings.limits.connections; })},
      {"limits.sessions", Integer(1, 100'000, [](Draft& d) -> int& { return d.settings.limits.sessions; })},
      {"limits.transactions", Integer(1, 100'000, [](Draft& d) -> int& { return d.settings.limits.transactions; })},
      {"limits.waiters", Integer(1, 1'000'000, [](Draft& d) -> int& { return d.settings.limits.waiters; })},
      {"limits.transactionIdle", Time(absl::Milliseconds(100), absl::Hours(24),
                                      [](Draft& d) -> absl::Duration& { return d.settings.limits.transaction_idle; })},
      {"limits.transactionLifetime",
       Time(absl::Milliseconds(100), absl::Hours(24),
            [](Draft& d) -> absl::Duration& { return d.settings.limits.transaction_lifetime; })},
  };
  std::vector<Setting> settings;
  for (const auto& [name, access] : table) settings.push_back({name, access.apply, access.show});
  return settings;
}

}  // namespace

std::string Setting::VariableName() const {
  std::string variable = "ENGINE_DB_";
  for (const char c : name) {
    if (c == '.') {
      variable += '_';
    } else if (absl::ascii_isupper(static_cast<unsigned char>(c))) {
      variable += '_';
      variable += c;
    } else {
      variable += absl::ascii_toupper(static_cast<unsigned char>(c));
    }
  }
  return variable;
}

const std::vector<Setting>& ScalarSettings() {
  static const auto& settings = *new std::vector<Setting>(Table());
  return settings;
}

void ApplySetting(const Setting& setting, const std::string& field, const std::string& text, Draft& draft) {
  std::string expected = setting.apply(text, draft);
  if (!expected.empty()) draft.faults.push_back({field, std::move(expected)});
}

void ApplyListen(const std::string& field, const std::vector<std::string>& addresses, Draft& draft) {
  if (addresses.empty() || addresses.size() > kMaxListeners) {
    draft.faults.push_back({field, absl::StrCat("must name 1 to ", kMaxListeners, " addresses")});
    return;
  }
  draft.settings.listen.clear();
  for (const std::string& text : addresses) {
    auto address = ParseListenAddress(text);
    if (address.ok()) {
      draft.settings.listen.push_back(*std::move(address));
    } else {
      draft.faults.push_back({field, std::string(address.status().message())});
    }
  }
}

}  // namespace engine::db::config
