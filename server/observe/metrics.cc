#include "server/observe/metrics.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace engine::db::observe {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildGauge;
using prometheus::BuildHistogram;
using prometheus::Counter;
using prometheus::Family;
using prometheus::Gauge;
using prometheus::Histogram;
using prometheus::Registry;

constexpr std::array<std::string_view, kErrorKindCount> kResultNames = {"ok",      "connection",  "execution",
                                                                        "timeout", "transaction", "invalid_request"};
constexpr std::array<std::string_view, kCloseReasonCount> kCloseReasonNames = {"idle", "lost", "unclean", "retired",
                                                                               "pool_closed"};
constexpr std::array<std::string_view, kConclusionCount> kConclusionNames = {"committed", "rolled_back", "expired",
                                                                             "lost", "unknown"};
constexpr std::array<std::string_view, kFateCount> kFateNames = {"committed", "aborted", "unknown"};

// From a point read on a socket (about 50 us) to a report that nearly reaches the default deadline.
const Histogram::BucketBoundaries kSecondsBuckets = {
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30};

Family<Counter>& AddCounter(Registry& registry, const char* name, const char* help) {
  return BuildCounter().Name(name).Help(help).Register(registry);
}

Family<Gauge>& AddGauge(Registry& registry, const char* name, const char* help) {
  return BuildGauge().Name(name).Help(help).Register(registry);
}

Family<Histogram>& AddHistogram(Registry& registry, const char* name, const char* help) {
  return BuildHistogram().Name(name).Help(help).Register(registry);
}

}  // namespace

void MethodMetrics::Finished(absl::Duration elapsed, ErrorKind kind) const {
  duration_seconds_->Observe(absl::ToDoubleSeconds(elapsed));
  by_result_[static_cast<size_t>(kind)]->Increment();
}

Metrics::PoolFamilies::PoolFamilies(Registry& registry)
    : max_size(AddGauge(registry, "engine_db_pool_max_size", "Backends that the pool may have at most.")),
      backends(AddGauge(registry, "engine_db_pool_backends", "Backends of the pool, by what they do.")),
      waiting(AddGauge(registry, "engine_db_pool_waiting", "Calls that wait for a backend.")),
      wait_seconds(AddHistogram(registry, "engine_db_pool_wait_seconds", "How long calls waited for a backend.")),
      exhausted(AddCounter(registry, "engine_db_pool_exhausted_total", "Calls refused because the queue was full.")),
      wait_timeouts(AddCounter(registry, "engine_db_pool_wait_timeouts_total",
                               "Calls whose deadline passed while they waited for a backend.")),
      opened(AddCounter(registry, "engine_db_pool_backends_opened_total", "Backends opened.")),
      open_failures(AddCounter(registry, "engine_db_pool_open_failures_total", "Backends that could not be opened.")),
      closed(AddCounter(registry, "engine_db_pool_backends_closed_total", "Backends closed, by reason.")),
      resets(AddCounter(registry, "engine_db_pool_resets_total",
                        "Backends whose session had been changed and was cleaned for the next caller.")),
      statements(AddCounter(registry, "engine_db_statements_total",
                            "Statements sent to PostgreSQL, counting each one of a batch and each attempt.")),
      retries(AddCounter(registry, "engine_db_retries_total", "Attempts after the first.")),
      retries_denied(AddCounter(registry, "engine_db_retries_denied_total",
                                "Retries that were not made, to spare a server in trouble.")),
      cancels(AddCounter(registry, "engine_db_cancels_total", "Cancel requests sent to PostgreSQL.")),
      rows(AddCounter(registry, "engine_db_rows_total", "Rows received from PostgreSQL.")),
      bytes_sent(AddCounter(registry, "engine_db_sent_bytes_total", "Bytes sent to PostgreSQL.")),
      bytes_received(AddCounter(registry, "engine_db_received_bytes_total", "Bytes received from PostgreSQL.")),
      transactions_open(AddGauge(registry, "engine_db_transactions_open", "Transactions that are open.")),
      transactions(AddCounter(registry, "engine_db_transactions_total",
                              "Transactions that ended, by how: expired ones were reaped.")),
      commits_resolved(AddCounter(registry, "engine_db_commits_resolved_total",
                                  "Commits whose answer was lost, by what the server told when it was asked.")) {}

Metrics::Metrics(std::string_view version, absl::Span<const std::string_view> methods)
    : registry_(std::make_shared<Registry>()),
      methods_(methods.size()),
      pools_(*registry_),
      connections(AddGauge(*registry_, "engine_db_connections", "Open connections (handles).").Add({})),
      sessions(AddGauge(*registry_, "engine_db_sessions", "Open Session streams.").Add({})),
      draining(AddGauge(*registry_, "engine_db_draining", "1 while the gateway shuts down.").Add({})) {
  AddGauge(*registry_, "engine_db_build_info", "Always 1; the label is the version.")
      .Add({{"version", std::string(version)}})
      .Set(1);
  auto& durations =
      AddHistogram(*registry_, "engine_db_call_duration_seconds", "How long calls took, from arrival to their answer.");
  auto& calls = AddCounter(*registry_, "engine_db_calls_total", "Calls answered, by result: ok or the kind of error.");
  for (size_t m = 0; m < methods.size(); ++m) {
    const std::string method(methods[m]);
    methods_[m].duration_seconds_ = &durations.Add({{"method", method}}, kSecondsBuckets);
    for (size_t r = 0; r < kResultNames.size(); ++r) {
      methods_[m].by_result_[r] = &calls.Add({{"method", method}, {"result", std::string(kResultNames[r])}});
    }
  }
}

std::unique_ptr<PoolMetrics> Metrics::AddPool(std::string_view name) {
  // Held to the end, so that no other thread takes the name or removes its series in between.
  absl::MutexLock lock(&mutex_);
  std::string unique(name);
  for (int n = 2; !pool_names_.insert(unique).second; ++n) {
    unique = absl::StrCat(std::string(name), "#", n);
  }
  return std::unique_ptr<PoolMetrics>(new PoolMetrics(*this, std::move(unique)));
}

void Metrics::RemovePool(PoolMetrics& pool) {
  absl::MutexLock lock(&mutex_);
  pools_.max_size.Remove(&pool.max_size);
  for (Gauge* state : {&pool.opening, &pool.idle, &pool.leased, &pool.shared}) pools_.backends.Remove(state);
  pools_.waiting.Remove(&pool.waiting);
  pools_.wait_seconds.Remove(&pool.wait_seconds);
  pools_.exhausted.Remove(&pool.exhausted);
  pools_.wait_timeouts.Remove(&pool.wait_timeouts);
  pools_.opened.Remove(&pool.opened);
  pools_.open_failures.Remove(&pool.open_failures);
  for (Counter* counter : pool.closed_) pools_.closed.Remove(counter);
  pools_.resets.Remove(&pool.resets);
  pools_.statements.Remove(&pool.statements);
  pools_.retries.Remove(&pool.retries);
  pools_.retries_denied.Remove(&pool.retries_denied);
  pools_.cancels.Remove(&pool.cancels);
  pools_.rows.Remove(&pool.rows);
  pools_.bytes_sent.Remove(&pool.bytes_sent);
  pools_.bytes_received.Remove(&pool.bytes_received);
  pools_.transactions_open.Remove(&pool.transactions_open);
  for (Counter* counter : pool.concluded_) pools_.transactions.Remove(counter);
  for (Counter* counter : pool.resolved_) pools_.commits_resolved.Remove(counter);
  pool_names_.erase(pool.name());
}

template <typename T, typename... Args>
T& PoolMetrics::Add(Family<T>& family, const prometheus::Labels& more, const Args&... args) {
  prometheus::Labels labels = more;
  labels.emplace("pool", name_);
  return family.Add(labels, args...);
}

PoolMetrics::PoolMetrics(Metrics& owner, std::string name)
    : owner_(owner),
      name_(std::move(name)),
      max_size(Add(owner.pools_.max_size, {})),
      opening(Add(owner.pools_.backends, {{"state", "opening"}})),
      idle(Add(owner.pools_.backends, {{"state", "idle"}})),
      leased(Add(owner.pools_.backends, {{"state", "leased"}})),
      shared(Add(owner.pools_.backends, {{"state", "shared"}})),
      waiting(Add(owner.pools_.waiting, {})),
      wait_seconds(Add(owner.pools_.wait_seconds, {}, kSecondsBuckets)),
      exhausted(Add(owner.pools_.exhausted, {})),
      wait_timeouts(Add(owner.pools_.wait_timeouts, {})),
      opened(Add(owner.pools_.opened, {})),
      open_failures(Add(owner.pools_.open_failures, {})),
      resets(Add(owner.pools_.resets, {})),
      statements(Add(owner.pools_.statements, {})),
      retries(Add(owner.pools_.retries, {})),
      retries_denied(Add(owner.pools_.retries_denied, {})),
      cancels(Add(owner.pools_.cancels, {})),
      rows(Add(owner.pools_.rows, {})),
      bytes_sent(Add(owner.pools_.bytes_sent, {})),
      bytes_received(Add(owner.pools_.bytes_received, {})),
      transactions_open(Add(owner.pools_.transactions_open, {})) {
  for (size_t i = 0; i < kCloseReasonCount; ++i) {
    closed_[i] = &Add(owner.pools_.closed, {{"reason", std::string(kCloseReasonNames[i])}});
  }
  for (size_t i = 0; i < kConclusionCount; ++i) {
    concluded_[i] = &Add(owner.pools_.transactions, {{"conclusion", std::string(kConclusionNames[i])}});
  }
  for (size_t i = 0; i < kFateCount; ++i) {
    resolved_[i] = &Add(owner.pools_.commits_resolved, {{"fate", std::string(kFateNames[i])}});
  }
}

PoolMetrics::~PoolMetrics() { owner_.RemovePool(*this); }

}  // namespace engine::db::observe
