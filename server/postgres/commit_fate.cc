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
  // Its statistics began with the recovery from a crash, not because somebody reset them.
  bool crashed = false;
  uint64_t next_xid_at_checkpoint = 0;
};

// A crash begins all kinds of statistics anew at the same moment, and recovery from it ends with a checkpoint.
Server Look(pqxx::transaction_base& work) {
  const pqxx::result rows = work.exec(
      "SELECT system_identifier, pg_is_in_recovery(), "
      "CASE WHEN NOT pg_is_in_recovery() THEN substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) END, "
      "(extract(epoch from since) * 1000000)::int8, "
      "since = (SELECT stats_reset FROM pg_stat_archiver) AND checkpoint_time >= date_trunc('second', since), "
      "split_part(next_xid, ':', 1)::int8 << 32 | split_part(next_xid, ':', 2)::int8 "
      "FROM pg_control_system(), pg_control_checkpoint(), pg_stat_get_bgwriter_stat_reset_time() AS since");
  const pqxx::row row = rows[0];
  return {.system_identifier = static_cast<uint64_t>(row[0].as<int64_t>()),
          .in_recovery = row[1].as<bool>(),
          .timeline = row[2].as<std::string>(""),
          .statistics_since = row[3].as<int64_t>(0),
          .crashed = row[4].as<bool>(false),
          .next_xid_at_checkpoint = static_cast<uint64_t>(row[5].as<int64_t>())};
}

CommitFate Status(pqxx::transaction_base& work, uint64_t xid) {
  const pqxx::result status = work.exec(absl::StrCat("SELECT pg_xact_status('", xid, "'::xid8)"));
  const std::string answer = status[0][0].as<std::string>("");
  if (answer == "committed") return CommitFate::kCommitted;
  if (answer == "aborted") return CommitFate::kAborted;
  if (answer == "in progress") return CommitFate::kInProgress;
  return CommitFate::kUnknown;  // NULL: so long ago that the server has forgotten
}

// The server may have crashed since, once or many times, and each time gone on from what had reached the disk. If that
// was nothing of the transaction, its id may be another one's by now.
CommitFate AskAcrossACrash(pqxx::transaction_base& work, const Server& server, const CommitQuestion& question) {
  const uint64_t xid = question.mark.xid;
  if (server.crashed && xid >= server.next_xid_at_checkpoint) return CommitFate::kAborted;
  const CommitFate status = Status(work, xid);
  if (question.xid_is_durable || status == CommitFate::kAborted) return status;
  // Nothing runs on through a crash: it is another one, and what became of this one is that nothing of it was left.
  if (server.crashed && status == CommitFate::kInProgress) return CommitFate::kAborted;
  return status == CommitFate::kInProgress ? status : CommitFate::kUnknown;
}

CommitFate Ask(pqxx::transaction_base& work, const Server& server, const CommitQuestion& question) {
  const TransactionMark& mark = question.mark;
  if (server.system_identifier != mark.system_identifier) return CommitFate::kUnknown;
  if (server.in_recovery) return CommitFate::kInProgress;
  if (server.timeline != mark.timeline) return CommitFate::kUnknown;
  if (server.statistics_since != mark.statistics_since) return AskAcrossACrash(work, server, question);
  if (question.end_backend) {
    // By the id that only this transaction's backend has, and only where the role may: its own, that is. One that
    // waits for a standby would take its end for leave to show the transaction as committed, which no standby has.
    work.exec(
        absl::StrCat("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = current_user AND "
                     "wait_event IS DISTINCT FROM 'SyncRep' AND backend_xid = '",
                     mark.xid & 0xFFFF'FFFFU, "'::xid"));
  }
  return Status(work, mark.xid);
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
