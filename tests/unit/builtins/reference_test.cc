#include "engine_db/builtins/reference.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <string>

namespace engine::db::builtins {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

std::optional<std::string> variables(const std::string& name) {
  if (name == "USER") return "app";
  if (name == "ODD") return "${ENV:USER}";
  if (name == "EMPTY") return "";
  return std::nullopt;
}

std::string resolve(std::string_view text) {
  try {
    return resolve_references(text, variables);
  } catch (const ReferenceError& error) {
    return std::string("error: ") + error.what();
  }
}

TEST(ReferenceTest, VariablesAreReplacedOnce) {
  EXPECT_EQ(resolve("plain $USER"), "plain $USER");
  EXPECT_EQ(resolve("<${ENV:USER}@${ENV:USER}>"), "<app@app>");
  EXPECT_EQ(resolve("${ENV:ODD}"), "${ENV:USER}");
  EXPECT_EQ(resolve("${ENV:EMPTY}"), "");
}

TEST(ReferenceTest, FilesAreReadWithoutTheirLineEnd) {
  const std::string name = testing::TempDir() + "/reference";
  std::ofstream(name) << "secret\r\n";
  EXPECT_EQ(resolve("${FILE:" + name + "}"), "secret");
  std::ofstream(name) << std::string(70'000, 'x');
  EXPECT_THAT(resolve("${FILE:" + name + "}"), HasSubstr("more than 65536 bytes"));
  std::remove(name.c_str());
}

TEST(ReferenceTest, ErrorsNameWhatIsMissing) {
  EXPECT_EQ(resolve("${ENV:NOPE}"), "error: environment variable NOPE is not set");
  EXPECT_THAT(resolve("${FILE:/nonexistent/secret}"), HasSubstr("cannot read file /nonexistent/secret"));
  EXPECT_THAT(resolve("${FILE:/tmp}"), HasSubstr("cannot read file /tmp"));
  EXPECT_THAT(resolve("${USER}"), HasSubstr("must begin ${ENV:NAME} or ${FILE:PATH}"));
  EXPECT_THAT(resolve("${ENV:USER"), HasSubstr("no \"}\""));
}

// A reference that lacks its "}" goes on to the next one there is, over whatever stands between.
TEST(ReferenceTest, AReferenceWithoutItsEndIsNotQuoted) {
  for (const std::string open : {"${FILE:/run/user", "${ENV:USER_NAME", "${FILE:", "${ENV:"}) {
    EXPECT_THAT(resolve("postgresql://" + open + ":hush@h/${ENV:DATABASE}"),
                AllOf(HasSubstr("is its \"}\" missing?"), Not(HasSubstr("hush"))))
        << open;
  }
}

}  // namespace
}  // namespace engine::db::builtins
