// What one transaction has done so far, as far as the gateway knows.
#ifndef ENGINE_DB_SERVER_CALL_RECORD_H_
#define ENGINE_DB_SERVER_CALL_RECORD_H_

#include <optional>

#include "server/call/reach.h"
#include "server/postgres/transaction_mark.h"

namespace engine::db::call {

// A value: an attempt takes its transaction's along, and gives it back with what it has added.
struct Record {
  // Something has run that the server might have let write.
  bool may_have_written = false;
  // Something has run that may have made the transaction READ WRITE (SET TRANSACTION).
  bool settings_changed = false;
  // Something has run that the mark does not cover: the mark has to be asked for before COMMIT is sent.
  bool mark_due = false;
  // What the transaction may have done beside its own server.
  Reach reach;
  // By which the server can be asked for the transaction's fate; nothing while that is not known, or not any more.
  std::optional<postgres::TransactionMark> mark;
};

}  // namespace engine::db::call

#endif  // ENGINE_DB_SERVER_CALL_RECORD_H_
