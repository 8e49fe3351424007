#include "server/postgres/hidden_values.h"

#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/escaping.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace engine::db::postgres {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string Pieces(std::string_view text, std::vector<std::string_view> values, std::string_view sql = "") {
  return HideValues(text, values, sql, Search::kPieces);
}
std::string Whole(std::string_view text, std::vector<std::string_view> values, std::string_view sql = "") {
  return HideValues(text, values, sql, Search::kWhole);
}

TEST(HiddenValues, AValueIsFoundWhateverItsCaseAndQuotes) {
  EXPECT_EQ(Whole("no customer Sesame7Vault here", {"Sesame7Vault"}), "no customer ... here");
  EXPECT_EQ(Whole("no customer SESAME7VAULT here", {"Sesame7Vault"}), "no customer ... here");
  EXPECT_EQ(Whole("no \"sesame7\"\"vault\"", {"sesame7\"vault"}), "no \"...\"");
  EXPECT_EQ(Whole("no 'sesame7''vault'", {"sesame7'vault"}), "no '...'");
  EXPECT_EQ(Whole(R"(no E'sesame7\\vault')", {R"(sesame7\vault)"}), "no E'...'");
  EXPECT_EQ(Whole(R"(row ("a ""b"" c",1))", {R"(a "b" c)"}), R"(row ("a ""b"" c",1))") << "three letters";
  EXPECT_EQ(Whole(R"(row ("abcd ""efgh"" ijkl",1))", {R"(abcd "efgh" ijkl)"}), R"(row ("...",1))");
}

TEST(HiddenValues, AValueIsFoundInEveryFormThatPostgresqlPrints) {
  EXPECT_EQ(Whole(R"({"v": "abcd\nefgh\t1234"})", {"abcd\nefgh\t1234"}), R"({"v": "..."})");
  EXPECT_EQ(Whole(R"(abcd\u0001efgh)", {"abcd\001efgh"}), "...");
  EXPECT_EQ(Whole("<v>abcd&amp;efgh&lt;ijkl</v>", {"abcd&efgh<ijkl"}), "<v>...</v>");
  const std::string bytes = std::string("\0\1Sesame", 8);
  EXPECT_EQ(Whole("bytes \\x" + absl::BytesToHexString(bytes) + " end", {bytes}), "bytes \\x... end");
  EXPECT_EQ(Whole("hex 53657361 end", {"Sesa"}), "hex ... end");
  EXPECT_EQ(Whole("no Sésame", {R"({"a":"x"})", R"(S\u00e9same)"}), "no ...");
  EXPECT_EQ(Whole("!!$$%% was wrong", {"!!$$%%"}), "... was wrong") << "nothing but punctuation";
}

TEST(HiddenValues, APieceOfAValueIsFound) {
  const std::string letter = "Dear Sesame7Vault, yours truly";
  EXPECT_EQ(Pieces("begins with Dear Sesame7V", {letter}), "begins with ...");
  EXPECT_EQ(Whole("begins with Dear Sesame7V", {letter}), "begins with Dear Sesame7V");
  const std::string megabyte = std::string(1 << 20, 'x') + "Sesame7Vault" + std::string(1 << 20, 'y');
  EXPECT_EQ(Pieces("found Sesame7Vault", {megabyte}), "found ...");
  EXPECT_THAT(Pieces("found " + megabyte.substr(0, 4000), {megabyte}), "found ...");
}

TEST(HiddenValues, TheElementsOfAJsonTextAnArrayAndARowAreValuesThemselves) {
  EXPECT_EQ(Pieces("no customer s3cret", {R"({"customer": "s3cret", "n": [1001, true]})"}), "no customer ...");
  EXPECT_EQ(Pieces("no customer 1001", {R"({"customer": "s3cret", "n": [1001, true]})"}), "no customer ...");
  EXPECT_EQ(Pieces("no customer Sesame7V", {R"({"customer": "Sesame7Vault"})"}), "no customer ...");
  EXPECT_EQ(Pieces("no customer s3cret", {"{s3cret,other}"}), "no customer ...");
  EXPECT_EQ(Pieces("no customer s3cret", {"(1,s3cret)"}), "no customer ...");
  EXPECT_EQ(Pieces("no customer s3cret", {"it is s3cret"}), "no customer s3cret") << "a piece of six letters";
}

TEST(HiddenValues, MessagesStayLegible) {
  EXPECT_EQ(Pieces("column \"a\" does not exist", {"a", "in", "1", "not"}), "column \"a\" does not exist");
  EXPECT_EQ(Pieces("the tables are notable", {"able", "tab"}), "the tables are notable") << "no word of its own";
  EXPECT_EQ(Pieces("value 2024 of 120245", {"2024"}), "value ... of 120245");
  EXPECT_EQ(Pieces("relation \"orders\" does not exist", {"orders"}, "SELECT * FROM orders"),
            "relation \"orders\" does not exist")
      << "the caller wrote it";
  EXPECT_EQ(Pieces("relation \"S.t\" does not exist", {"s.t1", "S.Table"}, "SELECT"),
            "relation \"S.t\" does not exist");
  EXPECT_EQ(Pieces("", {"abcd"}), "");
  EXPECT_EQ(Pieces("abcd", {}), "abcd");
}

TEST(HiddenValues, NoCharacterIsCutInTwo) {
  EXPECT_EQ(Pieces("öabcdefgh!", {"Ķabcdefgh"}), "...!") << "the two letters have their second byte in common";
  EXPECT_EQ(Whole("name: Ελλάδα!", {"Ελλάδα"}), "name: ...!");
}

// Whatever a function does with its parameter, eight characters of it in a row never show.
TEST(HiddenValues, OfManyValuesInManyFramesNoneShows) {
  const std::string canary = "Sesame7Vault";
  const std::vector<std::string> frames = {"", "a", "\"", "'", "\\", "{", "[", "(", "\n", "%", "$1", "ä", "&", "\x01"};
  for (const std::string& before : frames) {
    for (const std::string& after : frames) {
      const std::string value = before + canary + after;
      for (const std::string& text : {value, "no " + value + " here", "\"" + value + "\"", canary, "xx" + canary + "yy",
                                      "\\x" + absl::BytesToHexString(value), "E'" + absl::CHexEscape(canary) + "'"}) {
        const std::string shown = Pieces(text, {value});
        EXPECT_THAT(shown, Not(HasSubstr("Sesame7V"))) << text;
        EXPECT_THAT(shown, Not(HasSubstr("me7Vault"))) << text;
        EXPECT_THAT(shown, Not(HasSubstr(absl::BytesToHexString("Sesame7")))) << text;
      }
    }
  }
}

}  // namespace
}  // namespace engine::db::postgres
