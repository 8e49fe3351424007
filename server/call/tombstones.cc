#include "server/call/tombstones.h"

#include <utility>

namespace engine::db::call {

void Tombstones::Bury(const std::string& transaction_id, Tombstone tombstone, absl::Time now) {
  while (!burials_.empty() && (burials_.size() >= kMaxTombstones || now - burials_.front().at > kTombstoneLifetime)) {
    tombstones_.erase(burials_.front().transaction_id);
    burials_.pop_front();
  }
  tombstones_.emplace(transaction_id, std::move(tombstone));
  burials_.push_back({transaction_id, now});
}

const Tombstone* Tombstones::Find(const std::string& transaction_id, const std::string& connection_id) const {
  const auto found = tombstones_.find(transaction_id);
  if (found == tombstones_.end() || found->second.connection_id != connection_id) return nullptr;
  return &found->second;
}

}  // namespace engine::db::call
