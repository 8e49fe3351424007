#include "server/postgres/commit_fate.h"

#include <cstdint>
#include <pqxx/pqxx>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/postgres/control_connection.h"

namespace engine::db::postgres {
namespace {

// What shows whether an id still means the transaction that it was given to.
struct Server {
  uint64_t system_identifier = 0;
  bool in_recovery = false;
  std::string timeline;
  int64_t statistics_since = 0;
  uint64_t next_xid_at_checkpoint = 0;
};

Server Look(pqxx::transaction_base& work) {
  const pqxx::result rows = work.exec(
      "SELECT system_identifier, pg_is_in_recovery(), "
      "CASE WHEN NOT pg_is_in_recovery() THEN substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) END, "
      "(extract(epoch from pg_stat_get_bgwriter_stat_reset_time()) * 1000000)::int8, "
      "split_part(next_xid, ':', 1)::int8 << 32 | split_part(next_xid, ':', 2)::int8 "
      "FROM pg_control_system(), pg_control_checkpoint()");
  const pqxx::row row = rows[0];
  return {.system_identifier = static_cast<uint64_t>(row[0].as<int64_t>()),
          .in_recovery = row[1].as<bool>(),
          .timeline = row[2].as<std::string>(""),
          .statistics_since = row[3].as<int64_t>(0),
          .next_xid_at_checkpoint = static_cast<uint64_t>(row[4].as<int64_t>())};
}

CommitFate Ask(pqxx::transaction_base& work, const Server& server, const CommitQuestion& question) {
  const TransactionMark& mark = question.mark;
  if (server.system_identifier != mark.system_identifier) return CommitFate::kUnknown;
  if (server.in_recovery) return CommitFate::kInProgress;
  if (server.timeline != mark.timeline) return CommitFate::kUnknown;
  // After a crash the server goes on from what had reached the disk, and writes a checkpoint. An id from beyond that
  // had left nothing there, and may be another transaction's by now.
  const bool crashed = server.statistics_since != mark.statistics_since;
  if (crashed && mark.xid >= server.next_xid_at_checkpoint) return CommitFate::kAborted;

  if (question.end_backend) {
    // By the id that only this transaction's backend has, and only where the role may: its own, that is.
    work.exec(
        absl::StrCat("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = current_user AND "
                     "backend_xid = '",
                     mark.xid & 0xFFFF'FFFFU, "'::xid"));
  }
  const pqxx::result status = work.exec(absl::StrCat("SELECT pg_xact_status('", mark.xid, "'::xid8)"));
  const std::string answer = status[0][0].as<std::string>("");
  if (answer == "committed") return CommitFate::kCommitted;
  if (answer == "aborted") return CommitFate::kAborted;
  if (answer == "in progress") return CommitFate::kInProgress;
  return CommitFate::kUnknown;  // NULL: so long ago that the server has forgotten
}

}  // namespace

absl::StatusOr<std::vector<CommitFate>> AskCommitFates(const ConnectParameters& parameters,
                                                       const std::vector<CommitQuestion>& questions,
                                                       absl::Duration timeout) {
  return WithControlConnection(parameters, timeout, [&](pqxx::nontransaction& work) {
    const Server server = Look(work);
    std::vector<CommitFate> fates;
    fates.reserve(questions.size());
    for (const CommitQuestion& question : questions) {
      try {
        fates.push_back(Ask(work, server, question));
      } catch (const pqxx::sql_error&) {
        fates.push_back(CommitFate::kUnknown);  // "transaction ID is in the future": this is not the server it was
      }
    }
    return fates;
  });
}

}  // namespace engine::db::postgres
