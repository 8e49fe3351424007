#include "server/observe/metrics.h"

#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "prometheus/text_serializer.h"

namespace engine::db::observe {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::string Text(const Metrics& metrics) {
  return prometheus::TextSerializer().Serialize(metrics.registry()->Collect());
}

TEST(Metrics, CallsAreCountedByMethodAndResult) {
  const std::array<std::string_view, 2> methods = {"Close", "ExecuteStream"};
  Metrics metrics("1.2.3", methods);
  metrics.ForMethod(1).Finished(absl::Milliseconds(2), ErrorKind::kUnspecified);
  metrics.ForMethod(1).Finished(absl::Milliseconds(2), ErrorKind::kTimeout);
  metrics.ForMethod(1).Finished(absl::Milliseconds(2), ErrorKind::kTimeout);
  EXPECT_THAT(Text(metrics), AllOf(HasSubstr("engine_db_calls_total{method=\"ExecuteStream\",result=\"ok\"} 1\n"),
                                   HasSubstr("engine_db_calls_total{method=\"ExecuteStream\",result=\"timeout\"} 2\n"),
                                   HasSubstr("engine_db_calls_total{method=\"Close\",result=\"invalid_request\"} 0\n"),
                                   HasSubstr("engine_db_call_duration_seconds_count{method=\"ExecuteStream\"} 3\n"),
                                   HasSubstr("engine_db_build_info{version=\"1.2.3\"} 1\n")));
}

TEST(Metrics, APoolsSeriesLiveAsLongAsThePool) {
  Metrics metrics("0");
  auto pool = metrics.AddPool("orders");
  pool->max_size.Set(10);
  pool->leased.Increment();
  pool->wait_seconds.Observe(0.5);
  pool->BackendClosed(CloseReason::kUnclean);
  pool->TransactionEnded(Conclusion::kExpired);
  EXPECT_THAT(Text(metrics),
              AllOf(HasSubstr("engine_db_pool_max_size{pool=\"orders\"} 10\n"),
                    HasSubstr("engine_db_pool_backends{pool=\"orders\",state=\"leased\"} 1\n"),
                    HasSubstr("engine_db_pool_wait_seconds_sum{pool=\"orders\"} 0.5\n"),
                    HasSubstr("engine_db_pool_backends_closed_total{pool=\"orders\",reason=\"unclean\"} 1\n"),
                    HasSubstr("engine_db_transactions_total{conclusion=\"expired\",pool=\"orders\"} 1\n")));
  pool.reset();
  EXPECT_THAT(Text(metrics), Not(HasSubstr("orders")));
}

TEST(Metrics, TwoPoolsOfOneNameAreToldApart) {
  Metrics metrics("0");
  auto first = metrics.AddPool("app@db:5432/orders");
  auto second = metrics.AddPool("app@db:5432/orders");
  EXPECT_EQ(second->name(), "app@db:5432/orders#2");
  second->statements.Increment();
  first.reset();
  second->statements.Increment();
  EXPECT_THAT(Text(metrics), HasSubstr("engine_db_statements_total{pool=\"app@db:5432/orders#2\"} 2\n"));
  EXPECT_EQ(metrics.AddPool("app@db:5432/orders")->name(), "app@db:5432/orders") << "free again";
}

}  // namespace
}  // namespace engine::db::observe
