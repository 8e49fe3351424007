// docs/outcomes.md tells callers what each SQLSTATE means: as the table of the code has it.
#include <gtest/gtest.h>

#include <fstream>
#include <regex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "server/postgres/sqlstate.h"

namespace engine::db::postgres {
namespace {

TEST(DocumentedSqlStates, AreWhatTheCodeMakesOfThem) {
  std::ifstream file(std::string(ENGINE_DB_SOURCE_DIR) + "/docs/outcomes.md");
  std::string line;
  while (std::getline(file, line) && !absl::StartsWith(line, "| SQLSTATE |")) {
  }
  size_t states = 0;
  while (std::getline(file, line) && absl::StartsWith(line, "|")) {
    const std::vector<std::string> cells = absl::StrSplit(line, absl::ByString(" | "));
    static const std::regex kState("\\b[0-9A-Z]{2}(xxx|[0-9A-Z]{3})\\b");
    for (std::sregex_iterator state(cells[0].begin(), cells[0].end(), kState), end; state != end; ++state) {
      ++states;
      // Of a class, one that nobody has defined.
      const std::string sqlstate = absl::StrReplaceAll(state->str(), {{"xxx", "ZZZ"}});
      const Consequence consequence = ConsequenceOf(sqlstate);
      ASSERT_EQ(cells.size(), 5U) << line;
      EXPECT_EQ(absl::StatusCodeToString(consequence.code), cells[1]) << sqlstate;
      EXPECT_EQ(consequence.retryable, absl::StartsWith(cells[4], "yes")) << sqlstate;
    }
  }
  EXPECT_GT(states, 50U);
}

}  // namespace
}  // namespace engine::db::postgres
