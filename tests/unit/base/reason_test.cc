// The list of reasons: found by name, and the same in the documentation and in both clients' constants.
#include "server/base/reason.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace engine::db {
namespace {

using ::testing::ElementsAreArray;
using ::testing::UnorderedElementsAreArray;

std::vector<std::string> LinesOf(const std::string& path) {
  std::ifstream file(absl::StrCat(ENGINE_DB_SOURCE_DIR, "/", path));
  EXPECT_TRUE(file.is_open()) << path;
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

// What `pattern` finds in each of the file's lines that it matches: its groups, joined by "|".
std::vector<std::string> Matches(const std::string& path, const std::string& pattern) {
  const std::regex regex(pattern);
  std::vector<std::string> found;
  for (const std::string& line : LinesOf(path)) {
    std::smatch match;
    if (!std::regex_match(line, match, regex)) continue;
    std::string groups = match[1];
    for (size_t i = 2; i < match.size(); ++i) absl::StrAppend(&groups, "|", match[i].str());
    found.push_back(groups);
  }
  return found;
}

// "POOL_EXHAUSTED" is kPoolExhausted.
std::string Enumerator(std::string_view name) {
  std::string enumerator = "k";
  bool begins = true;
  for (const char c : name) {
    if (c != '_') enumerator += begins ? c : absl::ascii_tolower(static_cast<unsigned char>(c));
    begins = c == '_';
  }
  return enumerator;
}

// Of the gateway and of the clients, as documented.
std::vector<std::string> DocumentedNames() { return Matches("docs/reasons.md", R"(\| `(\w+)` \| .*)"); }

TEST(Reasons, AreFoundByTheirNames) {
  for (const ReasonInfo& info : Reasons()) {
    EXPECT_EQ(FindReason(info.name), info.reason) << info.name;
    EXPECT_EQ(NameOf(info.reason), info.name);
  }
  EXPECT_EQ(FindReason(""), Reason::kUnspecified);
  EXPECT_EQ(NameOf(Reason::kUnspecified), "");
  EXPECT_EQ(FindReason("NO_SUCH_REASON"), std::nullopt);
}

TEST(Reasons, HaveEnumeratorsOfTheirNames) {
  std::vector<std::string> enumerators;
  for (const ReasonInfo& info : Reasons()) enumerators.push_back(Enumerator(info.name));
  std::vector<std::string> declared = Matches("server/base/reason.h", R"(  (k\w+),)");
  ASSERT_EQ(declared.front(), "kUnspecified");
  declared.erase(declared.begin());
  EXPECT_THAT(enumerators, ElementsAreArray(declared));
}

TEST(Reasons, AreDocumented) {
  std::vector<std::string> listed;
  for (const ReasonInfo& info : Reasons()) {
    EXPECT_TRUE(info.happened.ends_with('.')) << info.name;
    EXPECT_TRUE(info.what_to_do.ends_with('.')) << info.name;
    listed.push_back(
        absl::StrCat(std::string(info.name), "|", std::string(info.happened), "|", std::string(info.what_to_do)));
  }
  // The gateway's tables have five columns, the clients' four.
  EXPECT_THAT(Matches("docs/reasons.md", R"(\| `(\w+)` \| (.+) \| (.+) \| .* \| .* \|)"), ElementsAreArray(listed));
  const std::vector<std::string> names = DocumentedNames();
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size()) << "one is there twice";
}

TEST(Reasons, AreTheCppClientsConstants) {
  std::vector<std::string> documented;
  for (const std::string& name : DocumentedNames()) documented.push_back(absl::StrCat(Enumerator(name), "|", name));
  EXPECT_THAT(Matches("sdk/include/engine_db/reasons.h", R"-(inline constexpr std::string_view (\w+) = "(\w+)";)-"),
              UnorderedElementsAreArray(documented));
}

TEST(Reasons, AreThePythonClientsConstants) {
  std::vector<std::string> documented;
  for (const std::string& name : DocumentedNames()) documented.push_back(absl::StrCat(name, "|", name));
  EXPECT_THAT(Matches("client/python/engine_db_postgres/reasons.py", R"-((\w+): Final = "(\w+)")-"),
              UnorderedElementsAreArray(documented));
}

}  // namespace
}  // namespace engine::db
