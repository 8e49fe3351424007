// The list of reasons: complete, without doubles, and found by name.
#include "server/base/reason.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/ascii.h"

namespace engine::db {
namespace {

TEST(Reasons, AreFoundByTheirNames) {
  for (const ReasonInfo& info : Reasons()) {
    EXPECT_EQ(FindReason(info.name), info.reason) << info.name;
    EXPECT_EQ(NameOf(info.reason), info.name);
  }
  EXPECT_EQ(FindReason(""), Reason::kUnspecified);
  EXPECT_EQ(NameOf(Reason::kUnspecified), "");
  EXPECT_EQ(FindReason("NO_SUCH_REASON"), std::nullopt);
}

TEST(Reasons, AreNamedAndExplained) {
  for (const ReasonInfo& info : Reasons()) {
    for (const char c : info.name) EXPECT_TRUE(absl::ascii_isupper(c) || absl::ascii_isdigit(c) || c == '_');
    EXPECT_TRUE(info.happened.ends_with('.')) << info.name;
    EXPECT_TRUE(info.what_to_do.ends_with('.')) << info.name;
  }
}

}  // namespace
}  // namespace engine::db
