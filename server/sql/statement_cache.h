// A cache of analysed statements.
#ifndef ENGINE_DB_SERVER_SQL_STATEMENT_CACHE_H_
#define ENGINE_DB_SERVER_SQL_STATEMENT_CACHE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "server/sql/statement.h"

namespace engine::db::sql {

// Caches Analyze(): the same text gives the same Statement as long as the cache keeps it. The least recently used texts
// are dropped first. Bounded in entries and bytes; a dropped Statement lives on for those who hold it. Any thread may
// call it; a call blocks for no longer than a lookup, or the analysis of its own text.
class StatementCache {
 public:
  struct Limits {
    size_t entries = 10'000;
    size_t bytes = size_t{64} << 20;  // of Statement::memory()
  };

  StatementCache() : StatementCache(Limits{}) {}
  explicit StatementCache(Limits limits);
  StatementCache(const StatementCache&) = delete;
  StatementCache& operator=(const StatementCache&) = delete;

  // As Analyze. Refusals are not kept.
  absl::StatusOr<std::shared_ptr<const Statement>> Get(std::string_view sql);

  struct Counters {
    size_t entries = 0;
    size_t bytes = 0;
    uint64_t hits = 0;
    uint64_t misses = 0;
  };
  Counters counters() const;

 private:
  // Few locks rather than one, so that threads rarely meet.
  static constexpr size_t kShards = 8;

  struct Shard {
    mutable absl::Mutex mutex;
    std::list<std::shared_ptr<const Statement>> recent ABSL_GUARDED_BY(mutex);  // most recently used first
    // Keys point into the statements' own text.
    absl::flat_hash_map<std::string_view, std::list<std::shared_ptr<const Statement>>::iterator,
                        std::hash<std::string_view>>
        by_text ABSL_GUARDED_BY(mutex);
    size_t bytes ABSL_GUARDED_BY(mutex) = 0;
    uint64_t hits ABSL_GUARDED_BY(mutex) = 0;
    uint64_t misses ABSL_GUARDED_BY(mutex) = 0;
  };

  void Keep(Shard& shard, std::shared_ptr<const Statement> statement) ABSL_LOCKS_EXCLUDED(shard.mutex);

  const Limits shard_limits_;
  std::array<Shard, kShards> shards_;
};

}  // namespace engine::db::sql

#endif  // ENGINE_DB_SERVER_SQL_STATEMENT_CACHE_H_
