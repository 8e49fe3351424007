#include "server/sql/statement_cache.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace engine::db::sql {

StatementCache::StatementCache(Limits limits)
    : shard_limits_{std::max<size_t>(1, limits.entries / kShards), limits.bytes / kShards} {}

absl::StatusOr<std::shared_ptr<const Statement>> StatementCache::Get(std::string_view sql) {
  // The high bits: flat_hash_map uses the low ones of the same hash.
  Shard& shard = shards_[(std::hash<std::string_view>()(sql) >> 57) % kShards];
  {
    const absl::MutexLock lock(&shard.mutex);
    if (const auto found = shard.by_text.find(sql); found != shard.by_text.end()) {
      ++shard.hits;
      shard.recent.splice(shard.recent.begin(), shard.recent, found->second);
      return *found->second;
    }
    ++shard.misses;
  }
  absl::StatusOr<std::shared_ptr<const Statement>> analysed = Analyze(sql);
  if (analysed.ok()) Keep(shard, *analysed);
  return analysed;
}

void StatementCache::Keep(Shard& shard, std::shared_ptr<const Statement> statement) {
  const size_t bytes = statement->memory();
  if (bytes > shard_limits_.bytes / 4) return;  // one huge text must not displace all others
  const absl::MutexLock lock(&shard.mutex);
  const std::string_view text = statement->caller_sql();
  if (shard.by_text.contains(text)) return;  // another thread was faster
  shard.recent.push_front(std::move(statement));
  shard.by_text.emplace(text, shard.recent.begin());
  shard.bytes += bytes;
  while (shard.recent.size() > shard_limits_.entries || shard.bytes > shard_limits_.bytes) {
    const std::shared_ptr<const Statement>& oldest = shard.recent.back();
    shard.bytes -= oldest->memory();
    shard.by_text.erase(oldest->caller_sql());
    shard.recent.pop_back();
  }
}

StatementCache::Counters StatementCache::counters() const {
  Counters sum;
  for (const Shard& shard : shards_) {
    const absl::MutexLock lock(&shard.mutex);
    sum.entries += shard.recent.size();
    sum.bytes += shard.bytes;
    sum.hits += shard.hits;
    sum.misses += shard.misses;
  }
  return sum;
}

}  // namespace engine::db::sql
