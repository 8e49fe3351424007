#include "server/postgres/transaction_mark.h"

#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "server/base/text.h"
#include "server/postgres/command_text.h"

namespace engine::db::postgres {
namespace {

constexpr absl::string_view kReplay = ".replay";

}  // namespace

std::string TransactionMark::ToToken() const {
  return absl::StrCat(xid, ".", timeline, ".", statistics_since, ".", system_identifier, replayable ? kReplay : "");
}

std::optional<TransactionMark> TransactionMark::FromToken(std::string_view token) {
  constexpr size_t kLongestToken = 128;
  constexpr size_t kTimelineDigits = 8;
  if (token.size() > kLongestToken) return std::nullopt;
  absl::string_view rest = ToAbsl(token);
  TransactionMark mark;
  mark.replayable = absl::ConsumeSuffix(&rest, kReplay);
  const std::vector<std::string> parts = absl::StrSplit(rest, '.');
  if (parts.size() != 4 || !absl::SimpleAtoi(parts[0], &mark.xid) || mark.xid == 0 ||
      parts[1].size() != kTimelineDigits || parts[1].find_first_not_of("0123456789ABCDEF") != std::string::npos ||
      !absl::SimpleAtoi(parts[2], &mark.statistics_since) || !absl::SimpleAtoi(parts[3], &mark.system_identifier)) {
    return std::nullopt;
  }
  mark.timeline = parts[1];
  return mark;
}

const std::shared_ptr<const sql::BoundText>& MarkText(bool assigns) {
  constexpr std::string_view kRest =
      "()::pg_catalog.text, "
      "CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN pg_catalog.substr("
      "pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 1, 8) END, "
      "(extract(epoch from pg_catalog.pg_stat_get_bgwriter_stat_reset_time()) * 1000000)::pg_catalog.int8, "
      "pg_catalog.current_setting('synchronous_commit')";
  // Made once; never destroyed, since backends may still run them while the process exits.
  static const auto* if_assigned = new std::shared_ptr<const sql::BoundText>(
      CommandText(absl::StrCat("SELECT pg_catalog.pg_current_xact_id_if_assigned", ToAbsl(kRest))));
  static const auto* assigned = new std::shared_ptr<const sql::BoundText>(
      CommandText(absl::StrCat("SELECT pg_catalog.pg_current_xact_id", ToAbsl(kRest))));
  return assigns ? *assigned : *if_assigned;
}

ResultReceiver::Flow MarkResult::OnRow(const PGresult& result, int row) {
  const auto cell = [&](int column) -> std::string_view {
    return {PQgetvalue(&result, row, column), static_cast<size_t>(PQgetlength(&result, row, column))};
  };
  // NULL, which is empty here, leaves 0.
  if (!absl::SimpleAtoi(ToAbsl(cell(0)), &mark_.xid)) mark_.xid = 0;
  mark_.timeline = std::string(cell(1));
  if (!absl::SimpleAtoi(ToAbsl(cell(2)), &mark_.statistics_since)) mark_.statistics_since = 0;
  mark_.synchronous = cell(3) != "off";
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
