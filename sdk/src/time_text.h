// PostgreSQL's ISO text of dates and times, read.
#ifndef ENGINE_DB_SDK_SRC_TIME_TEXT_H_
#define ENGINE_DB_SDK_SRC_TIME_TEXT_H_

#include <chrono>
#include <optional>
#include <string_view>

namespace engine::db::internal {

// Each gives nothing for what is not in that form ("infinity" included) or does not fit: years up to 32767, and for
// moments what 64 bits of microseconds hold.

// "2024-02-29", "0044-03-15 BC".
[[nodiscard]] std::optional<std::chrono::year_month_day> read_date(std::string_view text);
// "13:14:15.123456"; "24:00:00" is a day.
[[nodiscard]] std::optional<std::chrono::microseconds> read_time(std::string_view text);
// "2024-02-29 13:14:15.123456".
[[nodiscard]] std::optional<std::chrono::local_time<std::chrono::microseconds>> read_timestamp(std::string_view text);
// "2024-02-29 13:14:15.123456+05:30", with an offset of up to three parts.
[[nodiscard]] std::optional<std::chrono::sys_time<std::chrono::microseconds>> read_timestamptz(std::string_view text);

}  // namespace engine::db::internal

#endif  // ENGINE_DB_SDK_SRC_TIME_TEXT_H_
