// The list of reasons: found by name, and the same in the documentation and in both clients' constants.
#include "server/base/reason.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
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

// Kind and outcome as the documentation has them: "INVALID_REQUEST|NOT_EXECUTED", by the reason's enumerator.
std::map<std::string, std::string> DocumentedEnds() {
  std::map<std::string, std::string> ends;
  for (const std::string& row : Matches("docs/reasons.md", R"(\| `(\w+)` \| .+ \| .+ \| (.*) \| (.*) \|)")) {
    const size_t name = row.find('|');
    ends[Enumerator(row.substr(0, name))] = row.substr(name + 1);
  }
  return ends;
}

// "kNotExecuted" is NOT_EXECUTED.
std::string ContractName(std::string_view enumerator) {
  std::string name;
  for (const char c : enumerator.substr(1)) {
    if (absl::ascii_isupper(static_cast<unsigned char>(c)) && !name.empty()) name += '_';
    name += absl::ascii_toupper(static_cast<unsigned char>(c));
  }
  return name;
}

// The enumerator behind the first `prefix` in the text ("Reason::"); "" if there is none.
std::string EnumeratorBehind(std::string_view prefix, std::string_view text) {
  const size_t at = text.find(absl::StrCat(std::string(prefix), "k"));
  if (at == std::string_view::npos) return "";
  std::string enumerator;
  for (const char c : text.substr(at + prefix.size())) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c))) break;
    enumerator += c;
  }
  return enumerator;
}

// The parts of the server's sources from `begin` to the end of their statement.
std::vector<std::string> Statements(const std::string& begin) {
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(ENGINE_DB_SOURCE_DIR "/server")) {
    if (entry.path().extension() != ".cc") continue;
    std::ifstream file(entry.path());
    std::stringstream content;
    content << file.rdbuf();
    const std::string text = content.str();
    for (size_t at = text.find(begin); at != std::string::npos; at = text.find(begin, at + 1)) {
      found.push_back(text.substr(at, text.find(';', at) - at));
    }
  }
  return found;
}

// Where a reason is raised with a kind and an outcome, the documentation has them. (Not seen here: what is set field by
// field, and what a layer above changes.)
TEST(Reasons, AreRaisedWithTheKindAndOutcomeThatAreDocumented) {
  const std::map<std::string, std::string> documented = DocumentedEnds();
  int seen = 0;
  const auto expect = [&](const std::string& reason, const std::string& kind, const std::string& outcome) {
    const auto row = documented.find(reason);
    if (row == documented.end()) return;
    ++seen;
    const size_t bar = row->second.find('|');
    const std::string kinds = row->second.substr(0, bar);
    const std::string outcomes = row->second.substr(bar + 1);
    if (!kind.empty() && kinds != "any") {
      EXPECT_THAT(kinds, ::testing::HasSubstr(ContractName(kind))) << reason;
    }
    if (!outcome.empty() && !outcomes.starts_with("any")) {
      EXPECT_THAT(outcomes, ::testing::HasSubstr(ContractName(outcome))) << reason;
    }
  };
  for (const std::string& text : Statements("InvalidRequest(")) {
    expect(EnumeratorBehind("Reason::", text), "kInvalidRequest", "kNotExecuted");
  }
  for (const std::string& text : Statements("TransactionError(")) {
    expect(EnumeratorBehind("Reason::", text), "kTransaction", EnumeratorBehind("Outcome::", text));
  }
  for (const std::string& text : Statements(".reason = Reason::")) {
    expect(EnumeratorBehind("Reason::", text), EnumeratorBehind("ErrorKind::", text),
           EnumeratorBehind("Outcome::", text));
  }
  EXPECT_GT(seen, 60) << "the sources are written otherwise than this test expects";
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
