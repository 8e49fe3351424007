// The placeholder rewriter held against PostgreSQL's own scanner and parser: whatever the text, what is replaced is
// what PostgreSQL's scanner takes for question marks, and what is sent has exactly the parameters that were counted.
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>
#include <pg_query.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "server/base/failure.h"
#include "server/sql/statement.h"
#include "tests/fuzz/fuzz.h"

namespace engine::db {
namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;
using sql::Statement;

// Longer ones find nothing more, and take long.
constexpr size_t kMaxBytes = 600;

bool IsOperatorByte(char c) { return std::string_view("~!@#^&|`?+-*/%<>=").find(c) != std::string_view::npos; }

// The tokens of a text, by libpg_query alone; nothing when it does not scan. Read from its protobuf (ScanResult.tokens
// = 2, ScanToken.start = 1, end = 2) without the code that is tested. Comments are left out.
std::optional<std::vector<std::string>> Tokens(const std::string& text) {
  const PgQueryScanResult result = pg_query_scan(text.c_str());
  std::optional<std::vector<std::string>> tokens;
  if (result.error == nullptr) {
    tokens.emplace();
    CodedInputStream in(reinterpret_cast<const uint8_t*>(result.pbuf.data), static_cast<int>(result.pbuf.len));
    while (const uint32_t tag = in.ReadTag()) {
      if (WireFormatLite::GetTagFieldNumber(tag) != 2) {
        WireFormatLite::SkipField(&in, tag);
        continue;
      }
      uint32_t length = 0;
      uint32_t begin = 0;
      uint32_t end = 0;
      in.ReadVarint32(&length);
      const auto limit = in.PushLimit(static_cast<int>(length));
      while (const uint32_t field = in.ReadTag()) {
        uint32_t value = 0;
        in.ReadVarint32(&value);  // every field of a ScanToken is a varint
        if (WireFormatLite::GetTagFieldNumber(field) == 1) begin = value;
        if (WireFormatLite::GetTagFieldNumber(field) == 2) end = value;
      }
      in.PopLimit(limit);
      std::string token = text.substr(begin, end > begin ? end - begin : 1);
      // The scanner misreports the end of U&'…' and U&"…".
      if (token.starts_with("U&") || token.starts_with("u&")) token.resize(2);
      if (!token.starts_with("--") && !token.starts_with("/*")) tokens->push_back(std::move(token));
    }
  }
  pg_query_free_scan_result(result);
  return tokens;
}

bool IsParameter(const std::string& token) { return token.size() > 1 && token[0] == '$' && isdigit(token[1]) != 0; }

std::vector<std::string> ParametersOf(const std::vector<std::string>& tokens) {
  std::vector<std::string> parameters;
  std::copy_if(tokens.begin(), tokens.end(), std::back_inserter(parameters), IsParameter);
  return parameters;
}

std::vector<std::string> Numbers(int count) {
  std::vector<std::string> numbers;
  for (int i = 1; i <= count; ++i) numbers.push_back("$" + std::to_string(i));
  return numbers;
}

size_t QuestionMarks(std::string_view text) { return static_cast<size_t>(std::count(text.begin(), text.end(), '?')); }

// How many "?" PostgreSQL's scanner finds where an operator may be.
size_t OperatorQuestionMarks(const std::vector<std::string>& tokens) {
  size_t count = 0;
  for (const std::string& token : tokens) {
    if (IsOperatorByte(token[0])) count += QuestionMarks(token);
  }
  return count;
}

// The n of every ParamRef of the tree.
std::optional<std::set<int>> TreeParameters(const std::string& text) {
  const PgQueryParseResult result = pg_query_parse(text.c_str());
  std::optional<std::set<int>> numbers;
  if (result.error == nullptr) {
    numbers.emplace();
    const std::string_view tree = result.parse_tree;
    constexpr std::string_view kMark = "\"ParamRef\":{\"number\":";
    // A string of the statement's own can't look like this: its quotes are escaped.
    for (size_t at = tree.find(kMark); at != std::string_view::npos; at = tree.find(kMark, at + 1)) {
      numbers->insert(std::atoi(tree.data() + at + kMark.size()));
    }
  }
  pg_query_free_parse_result(result);
  return numbers;
}

void CheckPositions(const Statement& statement) {
  const uint32_t last = sql::CountCharacters(statement.bound_sql()) + 1;
  const uint32_t end = sql::CountCharacters(statement.caller_sql()) + 1;
  Require(statement.PositionInCallerText(0) == 0, "nowhere stays nowhere");
  uint32_t before = 1;
  for (uint32_t position = 1; position <= last; ++position) {
    const uint32_t in_caller = statement.PositionInCallerText(position);
    Require(in_caller >= before && in_caller <= end, "positions ascend and stay within the caller's text");
    before = in_caller;
  }
  Require(before == end, "the end is the end");
}

// Every other placeholder an expression: the others are numbered without gaps, and nothing else changes.
void CheckExpressions(const Statement& statement, const std::vector<std::string>& bound_tokens) {
  std::vector<std::string_view> expressions(static_cast<size_t>(statement.parameter_count()));
  for (size_t i = 0; i < expressions.size(); i += 2) expressions[i] = "CURRENT_DATE";
  const std::string text = statement.TextFor({}, expressions)->sql;
  const auto tokens = Tokens(text);
  Require(tokens.has_value(), "a text with expressions scans like that without");
  Require(tokens->size() == bound_tokens.size(), "an expression is one token for another");
  std::vector<std::string> wanted = bound_tokens;
  int number = 0;
  size_t slot = 0;
  for (std::string& token : wanted) {
    if (IsParameter(token)) token = slot++ % 2 == 0 ? "CURRENT_DATE" : "$" + std::to_string(++number);
  }
  Require(*tokens == wanted, "expressions stand where their placeholders stood");
}

// A text with $1, $2… is sent as it is, and means the same.
void CheckAgain(const Statement& statement) {
  const auto again = sql::Analyze(statement.bound_sql());
  Require(again.ok(), "what is sent is taken as a statement too");
  Require((*again)->bound_sql() == statement.bound_sql(), "what is sent is not rewritten again");
  Require((*again)->statement_class() == statement.statement_class(), "it is of the same class");
  Require((*again)->changes_session() == statement.changes_session(), "it leaves the same behind");
  Require((*again)->parsed() == statement.parsed(), "it is known as well");
  Require((*again)->summary() == statement.summary(), "it is the same command");
}

}  // namespace
}  // namespace engine::db

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace engine::db;
  if (size > kMaxBytes) return -1;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto analysed = sql::Analyze(text);
  if (!analysed.ok()) {
    Require(ReasonOf(analysed.status()) != Reason::kUnspecified, "every refusal has a reason");
    return 0;
  }
  const Statement& statement = **analysed;
  const std::string& bound = statement.bound_sql();
  const sql::Placeholders& placeholders = statement.placeholders();
  static_cast<void>(statement.fingerprint());
  if (placeholders.empty()) Require(bound == text, "nothing to replace: nothing is changed");
  CheckPositions(statement);

  // libpg_query may be older than the notation of numbers; then it can't be the judge.
  const auto caller_tokens = Tokens(text);
  const auto bound_tokens = Tokens(bound);
  if (caller_tokens.has_value()) {
    const size_t replaced = QuestionMarks(text) - QuestionMarks(bound);
    const auto literals = OperatorQuestionMarks(*caller_tokens) - static_cast<size_t>(placeholders.count());
    Require(literals % 2 == 0, "question marks that are no placeholders come in pairs");
    Require(replaced == static_cast<size_t>(placeholders.count()) + literals / 2,
            "what is replaced is what PostgreSQL's scanner takes for operators");
    Require(bound_tokens.has_value() || bound.find('?') != std::string::npos, "what is sent scans");
  }
  if (!bound_tokens.has_value() || placeholders.count() == 0) return 0;
  if (!statement.numbered()) {
    Require(ParametersOf(*bound_tokens) == Numbers(placeholders.count()),
            "as many parameters are sent as were counted");
    CheckExpressions(statement, *bound_tokens);
  }
  if (!placeholders.has_literals() && !statement.numbered()) CheckAgain(statement);
  if (statement.parsed() && !statement.numbered()) {
    if (const auto numbers = TreeParameters(bound); numbers.has_value()) {
      Require(static_cast<int>(numbers->size()) == placeholders.count() &&
                  (numbers->empty() || *numbers->rbegin() == placeholders.count()),
              "PostgreSQL's parser finds the same parameters");
    }
  }
  return 0;
}
