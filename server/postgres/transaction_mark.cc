#include "server/postgres/transaction_mark.h"

#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/base/text.h"
#include "server/postgres/command_text.h"

namespace engine::db::postgres {

std::string TransactionMark::ToToken() const {
  return absl::StrCat(xid, ".", timeline, ".", statistics_since, ".", system_identifier);
}

std::optional<TransactionMark> TransactionMark::FromToken(std::string_view token) {
  constexpr size_t kLongestToken = 128;
  constexpr size_t kTimelineDigits = 8;
  if (token.size() > kLongestToken) return std::nullopt;
  const std::vector<std::string> parts = absl::StrSplit(ToAbsl(token), '.');
  TransactionMark mark;
  if (parts.size() != 4 || !absl::SimpleAtoi(parts[0], &mark.xid) || mark.xid == 0 ||
      parts[1].size() != kTimelineDigits || parts[1].find_first_not_of("0123456789ABCDEF") != std::string::npos ||
      !absl::SimpleAtoi(parts[2], &mark.statistics_since) || !absl::SimpleAtoi(parts[3], &mark.system_identifier)) {
    return std::nullopt;
  }
  mark.timeline = parts[1];
  return mark;
}

const std::shared_ptr<const sql::BoundText>& MarkText() {
  // Made once; never destroyed, since backends may still run it while the process exits.
  static const auto* text = new std::shared_ptr<const sql::BoundText>(CommandText(
      "SELECT pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.text, "
      "CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN pg_catalog.substr("
      "pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 1, 8) END, "
      "(extract(epoch from pg_catalog.pg_stat_get_bgwriter_stat_reset_time()) * 1000000)::pg_catalog.int8"));
  return *text;
}

ResultReceiver::Flow MarkResult::OnRow(const PGresult& result, int row) {
  const auto cell = [&](int column) -> std::string_view {
    return {PQgetvalue(&result, row, column), static_cast<size_t>(PQgetlength(&result, row, column))};
  };
  // NULL, which is empty here, leaves 0.
  if (!absl::SimpleAtoi(ToAbsl(cell(0)), &mark_.xid)) mark_.xid = 0;
  mark_.timeline = std::string(cell(1));
  if (!absl::SimpleAtoi(ToAbsl(cell(2)), &mark_.statistics_since)) mark_.statistics_since = 0;
  return Flow::kContinue;
}

void MarkResult::OnEnd(const absl::StatusOr<Completion>& end) {
  if (end.ok()) {
    callback_(mark_);
  } else {
    callback_(end.status());
  }
}

}  // namespace engine::db::postgres
