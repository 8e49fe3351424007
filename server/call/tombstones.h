// What is remembered of transactions that have ended: a repeated Commit gets the answer that the first one got, or
// should have got.
#ifndef ENGINE_DB_SERVER_CALL_TOMBSTONES_H_
#define ENGINE_DB_SERVER_CALL_TOMBSTONES_H_

#include <cstddef>
#include <deque>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/db/v1/connector.pb.h"

namespace engine::db::call {

// How long, and how many. The oldest go first.
inline constexpr absl::Duration kTombstoneLifetime = absl::Minutes(10);
inline constexpr size_t kMaxTombstones = 10'000;

struct Tombstone {
  std::string connection_id;
  v1::TransactionState state = v1::TRANSACTION_STATE_UNSPECIFIED;
  // What calls with the handle get where nobody knows what became of the transaction; OK where `state` says it.
  absl::Status doubt;
};

// Loop thread only.
class Tombstones {
 public:
  void Bury(const std::string& transaction_id, Tombstone tombstone, absl::Time now);
  // Null if there is none, or it is another connection's: whether that exists is nobody else's business.
  [[nodiscard]] const Tombstone* Find(const std::string& transaction_id, const std::string& connection_id) const;

 private:
  struct Burial {
    std::string transaction_id;
    absl::Time at;
  };

  absl::flat_hash_map<std::string, Tombstone> tombstones_;
  std::deque<Burial> burials_;  // the oldest first
};

}  // namespace engine::db::call

#endif  // ENGINE_DB_SERVER_CALL_TOMBSTONES_H_
