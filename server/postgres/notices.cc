#include "server/postgres/notices.h"

#include <libpq-fe.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/base/text.h"
#include "server/loop/clock.h"
#include "server/observe/log.h"
#include "server/postgres/message_text.h"

namespace engine::db::postgres {
namespace {

constexpr absl::Duration kInterval = absl::Minutes(1);
// Servers choose the words that tell kinds apart.
constexpr size_t kMaxKinds = 1'000;
constexpr size_t kMaxWordBytes = 63;
constexpr size_t kMaxTextBytes = 200;

// What this function of the server's says at login is of the database, in words that hold no row.
std::string TextOf(const PGresult& notice, std::string_view function) {
  const char* text = PQresultErrorField(&notice, PG_DIAG_MESSAGE_PRIMARY);
  if (function != "CheckMyDatabase" || text == nullptr) return "";
  return absl::StrCat(": ", WithoutQuoted(text).substr(0, kMaxTextBytes));
}

struct Kind {
  uint64_t count = 0;  // since the last line
  absl::Time next_line = absl::InfinitePast();
};

// A word of the server's own, such as "WARNING" or "exec_stmt_raise"; "?" for what is none.
std::string Word(const PGresult& notice, int field) {
  const char* value = PQresultErrorField(&notice, field);
  const std::string_view word = value == nullptr ? "" : value;
  const bool plain = word.size() <= kMaxWordBytes && std::all_of(word.begin(), word.end(), [](unsigned char c) {
                       return absl::ascii_isalnum(c) || c == '_';
                     });
  return plain ? std::string(word) : "?";
}

class Counts {
 public:
  // How many there have been, if it is time to say so; else 0.
  uint64_t Add(const std::string& kind) {
    const absl::MutexLock lock(&mutex_);
    if (kinds_.size() >= kMaxKinds && !kinds_.contains(kind)) kinds_.clear();
    Kind& counted = kinds_[kind];
    ++counted.count;
    const absl::Time now = clock_.Now();
    if (now < counted.next_line) return 0;
    counted.next_line = now + kInterval;
    return std::exchange(counted.count, 0);
  }

 private:
  const loop::SteadyClock clock_;
  absl::Mutex mutex_;
  absl::flat_hash_map<std::string, Kind> kinds_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

void ReportNotice(std::string_view target_name, const PGresult& notice) {
  static auto& counts = *new Counts;
  const std::string severity = Word(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
  const std::string sqlstate = Word(notice, PG_DIAG_SQLSTATE);
  const std::string function = Word(notice, PG_DIAG_SOURCE_FUNCTION);
  const uint64_t count = counts.Add(absl::StrCat(ToAbsl(target_name), "\n", severity, "\n", sqlstate, "\n", function));
  if (count == 0) return;
  const auto log = severity == "WARNING" ? &observe::LogWarning : &observe::LogInfo;
  log(absl::StrCat("notice from PostgreSQL", TextOf(notice, function)), {{"pool", target_name},
                                                                         {"severity", severity},
                                                                         {"sqlstate", sqlstate},
                                                                         {"function", function},
                                                                         {"count", count}});
}

}  // namespace engine::db::postgres
