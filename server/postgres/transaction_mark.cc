#include "server/postgres/transaction_mark.h"

#include <libpq-fe.h>

#include <array>
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
constexpr absl::string_view kElsewhere = ".elsewhere";

std::string MarkSql(MarkQuestion question) {
  const absl::string_view id =  // on a standby there is none, and to ask for one is an error
      "CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_current_xact_id()::pg_catalog.text END";
  const absl::string_view id_if_any = "pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.text";
  // In this order: whether it has an id is looked at before it gets one.
  std::string sql = absl::StrCat("SELECT ", id_if_any, ", ");
  if (question.assigns) {
    absl::StrAppend(&sql, id);
  } else if (question.asks_elsewhere) {
    absl::StrAppend(&sql, "CASE WHEN foreign_part OPERATOR(pg_catalog.>) 0 THEN ", id, " ELSE ", id_if_any, " END");
  } else {
    absl::StrAppend(&sql, id_if_any);
  }
  absl::StrAppend(&sql,
                  ", CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN pg_catalog.substr("
                  "pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 1, 8) END, "
                  "(extract(epoch from pg_catalog.pg_stat_get_bgwriter_stat_reset_time()) * 1000000)::pg_catalog.int8, "
                  "pg_catalog.current_setting('synchronous_commit'), ",
                  ForeignSurroundingsSql(), ", ", FunctionSurroundingsSql());
  if (question.asks_elsewhere) {
    absl::StrAppend(&sql, ", foreign_part, ", CallsFunctionsSql(), " FROM (SELECT ", ForeignPartSql(),
                    " AS foreign_part OFFSET 0) AS looked");
  }
  return sql;
}

template <typename Integer>
Integer IntegerIn(std::string_view cell) {
  Integer value = 0;
  return absl::SimpleAtoi(ToAbsl(cell), &value) ? value : 0;  // NULL is empty here
}

}  // namespace

std::string TransactionMark::ToToken() const {
  return absl::StrCat(xid, ".", timeline, ".", statistics_since, ".", system_identifier,
                      elsewhere == Elsewhere::kNothing ? "" : kElsewhere, replayable ? kReplay : "");
}

std::optional<TransactionMark> TransactionMark::FromToken(std::string_view token) {
  constexpr size_t kLongestToken = 128;
  constexpr size_t kTimelineDigits = 8;
  if (token.size() > kLongestToken) return std::nullopt;
  absl::string_view rest = ToAbsl(token);
  TransactionMark mark;
  mark.replayable = absl::ConsumeSuffix(&rest, kReplay);
  // Of whichever kind: they are the same once COMMIT has been sent, which is when tokens are asked about.
  if (absl::ConsumeSuffix(&rest, kElsewhere)) mark.elsewhere = Elsewhere::kAtOnce;
  const std::vector<std::string> parts = absl::StrSplit(rest, '.');
  if (parts.size() != 4 || !absl::SimpleAtoi(parts[0], &mark.xid) || mark.xid == 0 ||
      parts[1].size() != kTimelineDigits || parts[1].find_first_not_of("0123456789ABCDEF") != std::string::npos ||
      !absl::SimpleAtoi(parts[2], &mark.statistics_since) || !absl::SimpleAtoi(parts[3], &mark.system_identifier)) {
    return std::nullopt;
  }
  mark.timeline = parts[1];
  return mark;
}

const std::shared_ptr<const sql::BoundText>& MarkText(MarkQuestion question) {
  // Made once; never destroyed, since backends may still run them while the process exits.
  static const auto* texts = new std::array<std::shared_ptr<const sql::BoundText>, 4>{
      CommandText(MarkSql({.assigns = false, .asks_elsewhere = false})),
      CommandText(MarkSql({.assigns = true, .asks_elsewhere = false})),
      CommandText(MarkSql({.assigns = false, .asks_elsewhere = true})),
      CommandText(MarkSql({.assigns = true, .asks_elsewhere = true}))};
  return (*texts)[(question.assigns ? 1U : 0U) + (question.asks_elsewhere ? 2U : 0U)];
}

ResultReceiver::Flow MarkResult::OnRow(const PGresult& result, int row) {
  const auto cell = [&](int column) -> std::string_view {
    return {PQgetvalue(&result, row, column), static_cast<size_t>(PQgetlength(&result, row, column))};
  };
  TransactionMark& mark = answer_.mark;
  mark.xid = IntegerIn<uint64_t>(cell(1));
  mark.timeline = std::string(cell(2));
  mark.statistics_since = IntegerIn<int64_t>(cell(3));
  // One that only got an id has nothing to wait for.
  mark.synchronous = cell(4) != "off" && !cell(0).empty();
  answer_.surroundings = {.foreign = ElsewhereOf(IntegerIn<int>(cell(5))),
                          .functions = ElsewhereOf(IntegerIn<int>(cell(6)))};
  const bool asked = PQnfields(&result) > 7;
  mark.elsewhere = asked ? ElsewhereOf(IntegerIn<int>(cell(7))) : answer_.surroundings.foreign;
  answer_.calls_functions = !asked || cell(8) == "t";
  return Flow::kContinue;
}

void MarkResult::OnEnd(const absl::StatusOr<Completion>& end) {
  if (end.ok()) {
    callback_(answer_);
  } else {
    callback_(end.status());
  }
}

}  // namespace engine::db::postgres
