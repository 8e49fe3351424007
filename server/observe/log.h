// Structured logs: one JSON object a line, on stderr.
//
//   observe::LogInfo("pool opened", {{"pool", name}, {"max_size", 10}});
//   {"ts":"2024-05-01T12:00:00.123456Z","level":"info","msg":"pool opened","pool":"orders","max_size":10}
//
// What may be logged: names of pools and data sources, counts, durations, process ids, SQLSTATE, error kinds and
// reasons, the fingerprint of a statement, the first characters of a handle. Never: a statement's text, parameters,
// rows, passwords, connection URLs, whole handles, and PostgreSQL's own messages, which can quote values (unless the
// operator asks for those: errorDetail, see postgres/error_texts.h).
//
// Every function may be called from any thread.
#ifndef ENGINE_DB_SERVER_OBSERVE_LOG_H_
#define ENGINE_DB_SERVER_OBSERVE_LOG_H_

#include <concepts>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "absl/time/time.h"

namespace engine::db::observe {

enum class LogLevel { kDebug, kInfo, kWarning, kError, kOff };

// "debug", "info", "warning", "error" or "off"; nothing for any other text.
[[nodiscard]] std::optional<LogLevel> ParseLogLevel(std::string_view text);

// Lines below `level` are dropped. kInfo at the start of the process.
void SetLogLevel(LogLevel level);

// A key and its value. The key is a constant of the code, in snake_case with the unit last ("age_seconds"). Refers to
// the caller's text, so it lives no longer than the call that it is an argument of.
class LogField {
 public:
  LogField(std::string_view key, std::string_view value) : key_(key), value_(value) {}
  LogField(std::string_view key, const char* value) : key_(key), value_(std::string_view(value)) {}
  LogField(std::string_view key, const std::string& value) : key_(key), value_(std::string_view(value)) {}
  LogField(std::string_view key, bool value) : key_(key), value_(value) {}
  LogField(std::string_view key, double value) : key_(key), value_(value) {}
  template <std::signed_integral T>
  LogField(std::string_view key, T value) : key_(key), value_(static_cast<int64_t>(value)) {}
  template <std::unsigned_integral T>
  requires(!std::same_as<T, bool>) LogField(std::string_view key, T value)
      : key_(key), value_(static_cast<uint64_t>(value)) {}
  // In seconds.
  LogField(std::string_view key, absl::Duration value) : key_(key), value_(absl::ToDoubleSeconds(value)) {}

  // Appends `"key":value` as JSON. Bytes that are not UTF-8 become U+FFFD; NaN and the infinities become null.
  void AppendTo(std::string& json) const;

 private:
  std::string_view key_;
  std::variant<std::string_view, bool, int64_t, uint64_t, double> value_;
};

void LogDebug(std::string_view message, std::initializer_list<LogField> fields = {});
void LogInfo(std::string_view message, std::initializer_list<LogField> fields = {});
void LogWarning(std::string_view message, std::initializer_list<LogField> fields = {});
void LogError(std::string_view message, std::initializer_list<LogField> fields = {});

}  // namespace engine::db::observe

#endif  // ENGINE_DB_SERVER_OBSERVE_LOG_H_
