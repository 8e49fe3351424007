#include "sdk/src/time_text.h"

#include <charconv>
#include <cstdint>
#include <limits>

namespace engine::db::internal {
namespace {

using std::chrono::days;
using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::minutes;
using std::chrono::seconds;

bool take(std::string_view& text, char c) {
  if (!text.starts_with(c)) return false;
  text.remove_prefix(1);
  return true;
}

// Digits, at least `least` of them.
std::optional<int64_t> take_number(std::string_view& text, size_t least) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const auto length = static_cast<size_t>(end - text.data());
  if (error != std::errc() || length < least || text.front() == '-') return std::nullopt;
  text.remove_prefix(length);
  return number;
}

// Takes " BC" off the end.
bool take_bc(std::string_view& text) {
  if (!text.ends_with(" BC")) return false;
  text.remove_suffix(3);
  return true;
}

struct Date {
  int64_t year;  // 0 is 1 BC
  unsigned month;
  unsigned day;
};

std::optional<Date> take_date(std::string_view& text, bool bc) {
  const auto year = take_number(text, 4);
  if (!year || !take(text, '-')) return std::nullopt;
  const auto month = take_number(text, 2);
  if (!month || !take(text, '-')) return std::nullopt;
  const auto day = take_number(text, 2);
  if (!day || *month < 1 || *month > 12 || *day < 1 || *day > 31) return std::nullopt;
  return Date{bc ? 1 - *year : *year, static_cast<unsigned>(*month), static_cast<unsigned>(*day)};
}

// Days since 1970-01-01. (std::chrono::year ends at 32767, PostgreSQL's at 294276: a cycle of 400 years is as good as
// another.)
int64_t days_of(const Date& date) {
  constexpr int64_t kCycleYears = 400;
  constexpr int64_t kCycleDays = 146'097;
  const int64_t cycles = (date.year - (date.year % kCycleYears + kCycleYears) % kCycleYears) / kCycleYears;
  const std::chrono::year_month_day within(std::chrono::year(static_cast<int>(date.year - cycles * kCycleYears)),
                                           std::chrono::month(date.month), std::chrono::day(date.day));
  return cycles * kCycleDays + std::chrono::sys_days(within).time_since_epoch().count();
}

std::optional<microseconds> take_time(std::string_view& text) {
  const auto hour = take_number(text, 2);
  if (!hour || *hour > 24 || !take(text, ':')) return std::nullopt;
  const auto minute = take_number(text, 2);
  if (!minute || !take(text, ':')) return std::nullopt;
  const auto second = take_number(text, 2);
  if (!second || *minute > 59 || *second > 60) return std::nullopt;
  microseconds time = hours(*hour) + minutes(*minute) + seconds(*second);
  if (take(text, '.')) {
    for (int64_t unit = 100'000; unit > 0 && !text.empty() && text[0] >= '0' && text[0] <= '9'; unit /= 10) {
      time += microseconds(unit * (text[0] - '0'));
      text.remove_prefix(1);
    }
  }
  return time;
}

// How far ahead of UTC: "+05", "-03:30:52".
std::optional<seconds> take_offset(std::string_view& text) {
  const bool behind = text.starts_with('-');
  if (!take(text, behind ? '-' : '+')) return std::nullopt;
  const auto hour = take_number(text, 2);
  if (!hour) return std::nullopt;
  seconds offset = hours(*hour);
  for (const seconds unit : {seconds(60), seconds(1)}) {
    if (!take(text, ':')) break;
    const auto part = take_number(text, 2);
    if (!part) return std::nullopt;
    offset += unit * *part;
  }
  return behind ? -offset : offset;
}

// Microseconds since 1970, as far as they fit.
std::optional<microseconds> moment(const Date& date, microseconds time) {
  constexpr int64_t kDayMicroseconds = 86'400'000'000;
  const int64_t day = days_of(date);
  int64_t since = 0;
  if (__builtin_mul_overflow(day, kDayMicroseconds, &since) || __builtin_add_overflow(since, time.count(), &since)) {
    return std::nullopt;
  }
  return microseconds(since);
}

}  // namespace

std::optional<std::chrono::year_month_day> read_date(std::string_view text) {
  const bool bc = take_bc(text);
  const auto date = take_date(text, bc);
  if (!date || !text.empty() || date->year > static_cast<int>(std::chrono::year::max())) return std::nullopt;
  return std::chrono::year_month_day(std::chrono::year(static_cast<int>(date->year)), std::chrono::month(date->month),
                                     std::chrono::day(date->day));
}

std::optional<microseconds> read_time(std::string_view text) {
  const auto time = take_time(text);
  return text.empty() ? time : std::nullopt;
}

std::optional<std::chrono::local_time<microseconds>> read_timestamp(std::string_view text) {
  const bool bc = take_bc(text);
  const auto date = take_date(text, bc);
  if (!date || !take(text, ' ')) return std::nullopt;
  const auto time = take_time(text);
  if (!time || !text.empty()) return std::nullopt;
  const auto since = moment(*date, *time);
  if (!since) return std::nullopt;
  return std::chrono::local_time<microseconds>(*since);
}

std::optional<std::chrono::sys_time<microseconds>> read_timestamptz(std::string_view text) {
  const bool bc = take_bc(text);
  const auto date = take_date(text, bc);
  if (!date || !take(text, ' ')) return std::nullopt;
  const auto time = take_time(text);
  if (!time) return std::nullopt;
  const auto offset = take_offset(text);
  if (!offset || !text.empty()) return std::nullopt;
  const auto since = moment(*date, *time - *offset);
  if (!since) return std::nullopt;
  return std::chrono::sys_time<microseconds>(*since);
}

}  // namespace engine::db::internal
