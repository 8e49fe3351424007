// The gateway's metrics, in Prometheus's terms. Names begin with engine_db_, units are seconds and bytes. Labels take
// few values: a method, a kind of error, a pool's name; never anything of a statement.
//
// Every label set is looked up once, here; the code that counts keeps the reference. Counters and gauges are one atomic
// each; a histogram's Observe takes an uncontended mutex of its own (prometheus-cpp 1.0), so the hot path has two of
// them a statement: latency and wait.
//
// Every counter, gauge and histogram may be used from any thread.
#ifndef ENGINE_DB_SERVER_OBSERVE_METRICS_H_
#define ENGINE_DB_SERVER_OBSERVE_METRICS_H_

#include <array>
#include <cstddef>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "engine/db/v1/error.pb.h"
#include "prometheus/counter.h"
#include "prometheus/family.h"
#include "prometheus/gauge.h"
#include "prometheus/histogram.h"
#include "prometheus/registry.h"
#include "server/base/failure.h"

namespace engine::db::observe {

// How the calls of one method went.
class MethodMetrics {
 public:
  // Counts a call that took `elapsed`. kUnspecified: it succeeded.
  void Finished(absl::Duration elapsed, ErrorKind kind) const;

 private:
  friend class Metrics;
  prometheus::Histogram* duration_seconds_ = nullptr;                 // engine_db_call_duration_seconds
  std::array<prometheus::Counter*, kErrorKindCount> by_result_ = {};  // engine_db_calls_total
};

// Why a backend was closed.
enum class CloseReason {
  kIdle,        // it was not needed any more
  kLost,        // the link or the server went away
  kUnclean,     // it could not be brought back to a clean state
  kRetired,     // the server behind its name may be another by now
  kPoolClosed,  // its pool closed
};
inline constexpr size_t kCloseReasonCount = 5;

// How a transaction ended.
enum class Conclusion {
  kCommitted,
  kRolledBack,  // by its caller, by Close, or because a statement failed
  kExpired,     // its lease ran out
  kLost,        // its backend went away before COMMIT was sent
  kUnknown,     // COMMIT was sent, and nobody knows what became of it
};
inline constexpr size_t kConclusionCount = 5;

// What became of a COMMIT whose answer was lost, as the server told when it was asked.
enum class Fate { kCommitted, kAborted, kUnknown };
inline constexpr size_t kFateCount = 3;

class Metrics;

// The metrics of one pool. Its series disappear with the object; nobody may refer to them afterwards.
class PoolMetrics {
 public:
  ~PoolMetrics();
  PoolMetrics(const PoolMetrics&) = delete;
  PoolMetrics& operator=(const PoolMetrics&) = delete;

  // The label "pool": unique among the pools that are open.
  [[nodiscard]] const std::string& name() const { return name_; }

  void BackendClosed(CloseReason reason) const { closed_[static_cast<size_t>(reason)]->Increment(); }
  void TransactionEnded(Conclusion conclusion) const { concluded_[static_cast<size_t>(conclusion)]->Increment(); }
  void CommitResolved(Fate fate) const { resolved_[static_cast<size_t>(fate)]->Increment(); }

 private:
  friend class Metrics;
  PoolMetrics(Metrics& owner, std::string name);

  template <typename T, typename... Args>
  T& Add(prometheus::Family<T>& family, const prometheus::Labels& more, const Args&... args);

  // Before the references below, which their constructors fill in.
  Metrics& owner_;
  const std::string name_;
  std::array<prometheus::Counter*, kCloseReasonCount> closed_ = {};    // engine_db_pool_backends_closed_total{reason}
  std::array<prometheus::Counter*, kConclusionCount> concluded_ = {};  // engine_db_transactions_total{conclusion}
  std::array<prometheus::Counter*, kFateCount> resolved_ = {};         // engine_db_commits_resolved_total{fate}

 public:
  prometheus::Gauge& max_size;  // engine_db_pool_max_size
  prometheus::Gauge& opening;   // engine_db_pool_backends{state="opening"}
  prometheus::Gauge& idle;      // engine_db_pool_backends{state="idle"}
  prometheus::Gauge& leased;    // engine_db_pool_backends{state="leased"}: held by one transaction or statement
  prometheus::Gauge& shared;    // engine_db_pool_backends{state="shared"}: runs reads of several callers
  prometheus::Gauge& waiting;   // engine_db_pool_waiting: calls that wait for a backend
  prometheus::Histogram&
      wait_seconds;  // engine_db_pool_wait_seconds: of every call that asked for a backend, 0 where one was free
  prometheus::Counter& exhausted;      // engine_db_pool_exhausted_total: calls refused because the queue was full
  prometheus::Counter& wait_timeouts;  // engine_db_pool_wait_timeouts_total: calls whose deadline passed in the queue
  prometheus::Counter& opened;         // engine_db_pool_backends_opened_total
  prometheus::Counter& open_failures;  // engine_db_pool_open_failures_total
  prometheus::Counter& resets;         // engine_db_pool_resets_total: sessions that had to be cleaned
  prometheus::Counter&
      statements;                // engine_db_statements_total: sent to PostgreSQL, each one of a batch and each attempt
  prometheus::Counter& retries;  // engine_db_retries_total: attempts after the first
  prometheus::Counter& retries_denied;   // engine_db_retries_denied_total: not made, to spare a server in trouble
  prometheus::Counter& cancels;          // engine_db_cancels_total: cancel requests sent to PostgreSQL
  prometheus::Counter& rows;             // engine_db_rows_total: received from PostgreSQL
  prometheus::Counter& bytes_sent;       // engine_db_sent_bytes_total: to PostgreSQL
  prometheus::Counter& bytes_received;   // engine_db_received_bytes_total: from PostgreSQL
  prometheus::Gauge& transactions_open;  // engine_db_transactions_open
};

// Owns the registry. Outlives every PoolMetrics.
class Metrics {
 public:
  // `version` is shown as engine_db_build_info{version}; `methods` are the label "method" of the calls' series.
  explicit Metrics(std::string_view version, absl::Span<const std::string_view> methods = {});
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // Of the method with this index in the constructor's `methods`.
  [[nodiscard]] const MethodMetrics& ForMethod(size_t index) const { return methods_[index]; }

  // Series for a pool, which count from 0. Where a pool of that name is open already (two targets that differ only in a
  // password, say), the name gets a number: "app@db:5432/orders#2". Takes a lock; call it when a pool opens.
  [[nodiscard]] std::unique_ptr<PoolMetrics> AddPool(std::string_view name);

  // The registry that MetricsServer serves.
  [[nodiscard]] const std::shared_ptr<prometheus::Registry>& registry() const { return registry_; }

 private:
  friend class PoolMetrics;

  struct PoolFamilies {
    explicit PoolFamilies(prometheus::Registry& registry);
    prometheus::Family<prometheus::Gauge>& max_size;
    prometheus::Family<prometheus::Gauge>& backends;
    prometheus::Family<prometheus::Gauge>& waiting;
    prometheus::Family<prometheus::Histogram>& wait_seconds;
    prometheus::Family<prometheus::Counter>& exhausted;
    prometheus::Family<prometheus::Counter>& wait_timeouts;
    prometheus::Family<prometheus::Counter>& opened;
    prometheus::Family<prometheus::Counter>& open_failures;
    prometheus::Family<prometheus::Counter>& closed;
    prometheus::Family<prometheus::Counter>& resets;
    prometheus::Family<prometheus::Counter>& statements;
    prometheus::Family<prometheus::Counter>& retries;
    prometheus::Family<prometheus::Counter>& retries_denied;
    prometheus::Family<prometheus::Counter>& cancels;
    prometheus::Family<prometheus::Counter>& rows;
    prometheus::Family<prometheus::Counter>& bytes_sent;
    prometheus::Family<prometheus::Counter>& bytes_received;
    prometheus::Family<prometheus::Gauge>& transactions_open;
    prometheus::Family<prometheus::Counter>& transactions;
    prometheus::Family<prometheus::Counter>& commits_resolved;
  };

  void RemovePool(PoolMetrics& pool);

  const std::shared_ptr<prometheus::Registry> registry_;
  std::vector<MethodMetrics> methods_;
  PoolFamilies pools_;
  absl::Mutex mutex_;
  std::set<std::string, std::less<>> pool_names_ ABSL_GUARDED_BY(mutex_);

 public:
  prometheus::Gauge& connections;  // engine_db_connections: open handles
  prometheus::Gauge& sessions;     // engine_db_sessions: open sessions
  prometheus::Gauge& draining;     // engine_db_draining: 1 while the gateway shuts down
};

}  // namespace engine::db::observe

#endif  // ENGINE_DB_SERVER_OBSERVE_METRICS_H_
