// What tells a transaction's fate after its session is gone: its id, and what shows that the id still means it.
#ifndef ENGINE_DB_SERVER_POSTGRES_TRANSACTION_MARK_H_
#define ENGINE_DB_SERVER_POSTGRES_TRANSACTION_MARK_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "server/postgres/elsewhere.h"
#include "server/postgres/results.h"
#include "server/sql/statement.h"

namespace engine::db::postgres {

// The first version whose transactions can be asked for by their id: pg_current_xact_id_if_assigned(), pg_xact_status()
// (manual, section 9.26.8).
inline constexpr int kFirstVersionWithMarks = 130'000;

// The token of a transaction whose mark is still to be asked for, though it may have something to commit: NOTIFY,
// before anything has taken a snapshot. Nobody can tell what became of it.
inline constexpr std::string_view kUnmarkedToken = "unmarked";

struct TransactionMark {
  // Its id: 64 bits, epoch and all. 0: it has none, and was not made to have one.
  uint64_t xid = 0;
  // Of the server's write-ahead log: another one, and the id may be another transaction's.
  std::string timeline;
  // When the server's statistics began, in microseconds: an orderly restart keeps them, a crash begins them anew, and
  // may give ids out again of which nothing had reached the disk.
  int64_t statistics_since = 0;
  // pg_control_system(): which cluster it is.
  uint64_t system_identifier = 0;

  // What it may have done, or have to do with its COMMIT, elsewhere.
  Elsewhere elsewhere = Elsewhere::kNothing;

  // Whether its COMMIT is answered when it has reached the disk: it has written, and waits for that
  // (synchronous_commit; manual, section 20.5.1). Not in the token.
  bool synchronous = false;
  // Whether the transaction may be run again under another id, which then is the one to ask about.
  bool replayable = false;

  // For callers to keep: "xid.timeline.statistics.system", with ".elsewhere" for one with effects elsewhere and
  // ".replay" for a replayable one, and back. Nothing for what is no such text.
  [[nodiscard]] std::string ToToken() const;
  [[nodiscard]] static std::optional<TransactionMark> FromToken(std::string_view token);
};

// What is to be found out with a mark.
struct MarkQuestion {
  // A transaction without an id gets one: what acts elsewhere needs none, so that having none proves nothing. (It costs
  // no write to the disk.)
  bool assigns = false;
  // Whether it has acted elsewhere, in a database with such Surroundings.
  bool asks_elsewhere = false;
};

// Asks for the mark of the transaction that is open, on a server that has marks. It takes the snapshot of a transaction
// that has none, after which SET TRANSACTION is refused.
[[nodiscard]] const std::shared_ptr<const sql::BoundText>& MarkText(MarkQuestion question);

// What MarkText() tells.
struct MarkAnswer {
  TransactionMark mark;  // `elsewhere` by foreign tables; all that the surroundings allow for if that was not asked
  Surroundings surroundings;
  // Something that it used calls functions. True if that was not asked.
  bool calls_functions = true;
};

// Receives MarkText()'s row.
class MarkResult final : public ResultReceiver {
 public:
  using Callback = absl::AnyInvocable<void(const absl::StatusOr<MarkAnswer>&)>;
  // `system_identifier`: of the cluster that it is asked of.
  MarkResult(uint64_t system_identifier, Callback callback) : callback_(std::move(callback)) {
    answer_.mark.system_identifier = system_identifier;
  }

  Flow OnColumns(const PGresult&) override { return Flow::kContinue; }
  Flow OnRow(const PGresult& result, int row) override;
  void OnEnd(const absl::StatusOr<Completion>& end) override;

 private:
  Callback callback_;
  MarkAnswer answer_;
};

}  // namespace engine::db::postgres

#endif  // ENGINE_DB_SERVER_POSTGRES_TRANSACTION_MARK_H_
