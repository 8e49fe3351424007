#include "sdk/builtins/src/constant.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <set>
#include <utility>
#include <vector>

#include "sdk/builtins/src/suggestion.h"
#include "sdk/builtins/src/yaml_block.h"

namespace engine::db::builtins {
namespace {

using NamedExpression = std::pair<std::string_view, Expression>;
constexpr std::array<NamedExpression, 11> kExpressions = {{
    {"currentdatetime()", Expression::kCurrentTimestamp},
    {"currentdate()", Expression::kCurrentDate},
    {"currenttime()", Expression::kCurrentTime},
    {"localdatetime()", Expression::kLocalTimestamp},
    {"localtime()", Expression::kLocalTime},
    {"CURRENT_TIMESTAMP", Expression::kCurrentTimestamp},
    {"CURRENT_DATE", Expression::kCurrentDate},
    {"CURRENT_TIME", Expression::kCurrentTime},
    {"LOCALTIMESTAMP", Expression::kLocalTimestamp},
    {"LOCALTIME", Expression::kLocalTime},
    {"DEFAULT", Expression::kDefault},
}};
constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kOtherLanguages = {
    {{"now()", "currentdatetime()"},
     {"getdate()", "currentdatetime()"},
     {"sysdate()", "currentdatetime()"},
     {"today()", "currentdate()"}}};

bool is_digit(char letter) { return letter >= '0' && letter <= '9'; }

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& letter : result) {
    if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter + ('a' - 'A'));
  }
  return result;
}

size_t count_digits(std::string_view text) {
  return static_cast<size_t>(std::ranges::find_if_not(text, is_digit) - text.begin());
}

// Whether it is written like a call of a function: "now()".
bool looks_like_call(std::string_view text) {
  if (!text.ends_with("()") || text.size() == 2) return false;
  text.remove_suffix(2);
  return std::ranges::all_of(text, [](char letter) {
    return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') || is_digit(letter) || letter == '_' ||
           letter == '.';
  });
}

// [-+]? ( [0-9]+ ( \. [0-9]* )? | \. [0-9]+ ) ( [eE] [-+]? [0-9]+ )?
bool is_decimal(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  const size_t whole = count_digits(text);
  text.remove_prefix(whole);
  size_t fraction = 0;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    fraction = count_digits(text);
    text.remove_prefix(fraction);
  }
  if (whole + fraction == 0) return false;
  if (text.empty()) return true;
  if (text.front() != 'e' && text.front() != 'E') return false;
  text.remove_prefix(1);
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  return !text.empty() && count_digits(text) == text.size();
}

// 0x1F, 0o17.
std::optional<Json> to_number_of_base(std::string_view text) {
  const int base = text.starts_with("0x") ? 16 : text.starts_with("0o") ? 8 : 0;
  if (base == 0) return std::nullopt;
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data() + 2, text.data() + text.size(), number, base);
  if (error == std::errc::result_out_of_range) throw ConstantError("is a number beyond 64 bits");
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return Json::number(std::to_string(number));
}

// A number that JSON writes in the same way stays a number; another one (007, +5, .5) goes as its text, which comes to
// the same for PostgreSQL.
Json to_decimal(std::string text) {
  const std::string_view digits = std::string_view(text).substr(text.starts_with('-') ? 1 : 0);
  const size_t whole = count_digits(digits);
  const bool like_json = !text.starts_with('+') && whole > 0 && (whole == 1 || digits.front() != '0') &&
                         (whole == digits.size() || digits[whole] != '.' || count_digits(digits.substr(whole + 1)) > 0);
  if (like_json) return Json::number(std::move(text));
  return text;
}

// What a value without quotes is.
Json to_plain(const std::string& text) {
  constexpr std::array<std::string_view, 5> kNull = {"", "~", "null", "Null", "NULL"};
  constexpr std::array<std::string_view, 3> kTrue = {"true", "True", "TRUE"};
  constexpr std::array<std::string_view, 3> kFalse = {"false", "False", "FALSE"};
  constexpr std::array<std::string_view, 3> kInfinity = {".inf", ".Inf", ".INF"};
  constexpr std::array<std::string_view, 3> kNan = {".nan", ".NaN", ".NAN"};
  const auto is_one_of = [](std::string_view word, const auto& words) {
    return std::ranges::find(words, word) != words.end();
  };
  if (is_one_of(text, kNull)) return nullptr;
  if (is_one_of(text, kTrue)) return true;
  if (is_one_of(text, kFalse)) return false;
  // As PostgreSQL writes them; JSON has no numbers for them.
  const bool negative = text.starts_with('-');
  const std::string_view unsigned_text = std::string_view(text).substr(negative || text.starts_with('+') ? 1 : 0);
  if (is_one_of(unsigned_text, kInfinity)) return negative ? "-Infinity" : "Infinity";
  if (is_one_of(text, kNan)) return "NaN";
  if (is_decimal(text)) return to_decimal(text);
  if (auto number = to_number_of_base(text)) return *std::move(number);
  return text;
}

constexpr std::string_view kTextTag = "tag:yaml.org,2002:str";

// Whether what the tag says is what the value looks like anyway: "?" is YAML's for a plain value.
bool is_plain(const std::string& tag) {
  return tag.empty() || tag == "?" || (tag.starts_with("tag:yaml.org,2002:") && tag != kTextTag);
}

Json constant_at(const YAML::Node& node, size_t depth) {
  if (depth > kMaxJsonDepth) throw ConstantError("is nested too deeply");
  switch (node.Type()) {
    case YAML::NodeType::Undefined:
    case YAML::NodeType::Null:
      return nullptr;
    case YAML::NodeType::Scalar: {
      const std::string& tag = node.Tag();
      if (tag == "!" || tag == kTextTag) return node.Scalar();
      if (is_plain(tag)) return to_plain(node.Scalar());
      throw ConstantError("has a tag that is unknown: " + tag);
    }
    case YAML::NodeType::Sequence: {
      Json::List list;
      for (const YAML::Node& element : node) list.push_back(constant_at(element, depth + 1));
      return list;
    }
    case YAML::NodeType::Map: {
      Json::Object object;
      std::set<std::string> seen;
      for (const auto& entry : node) {
        if (!entry.first.IsScalar()) throw ConstantError("has a key that is not a single value");
        if (is_merge_key(entry.first)) throw ConstantError(std::string("has a \"<<\", which ") + kNoMergeKeys);
        if (!seen.insert(entry.first.Scalar()).second) throw ConstantError("has a key twice");
        object.add(entry.first.Scalar(), constant_at(entry.second, depth + 1));
      }
      return object;
    }
  }
  return nullptr;
}

}  // namespace

bool is_text(const YAML::Node& node) {
  if (!node.IsScalar()) return false;
  const std::string& tag = node.Tag();
  if (tag == "!" || tag == kTextTag) return true;
  const Json plain = is_plain(tag) ? to_plain(node.Scalar()) : Json();
  return plain.text() != nullptr && *plain.text() == node.Scalar() && !is_decimal(node.Scalar());
}

Json to_constant(const YAML::Node& node) { return constant_at(node, 1); }

std::optional<Expression> to_expression(std::string_view text) {
  const std::string wanted = lower(text);
  for (const auto& [name, expression] : kExpressions) {
    if (expression == Expression::kDefault ? text == name : wanted == lower(name)) return expression;
  }
  return std::nullopt;
}

std::string_view without_blanks(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
  return text.substr(0, text.find_last_not_of(kBlanks) + 1);
}

bool resembles_expression(std::string_view text) {
  const std::string_view trimmed = without_blanks(text);
  const size_t bracket = trimmed.find('(');
  const bool has_arguments = bracket != std::string_view::npos && trimmed.ends_with(')');
  const std::string wanted = lower(without_blanks(trimmed.substr(0, bracket)));
  const auto is_named = [&wanted](std::string_view name) { return wanted == lower(name.substr(0, name.find('('))); };
  const bool foreign = std::ranges::any_of(kOtherLanguages, [&](const auto& other) { return is_named(other.first); });
  const bool ours = std::ranges::any_of(kExpressions, [&](const NamedExpression& known) {
    const bool lacks_brackets = known.first.ends_with(')') && bracket == std::string_view::npos;
    if (known.second == Expression::kDefault) return trimmed == known.first;
    return is_named(known.first) && (has_arguments || lacks_brackets || trimmed != text);
  });
  return looks_like_call(trimmed) || ours || (foreign && has_arguments);
}

std::string expression_names() {
  std::string names;
  for (const auto& [name, expression] : kExpressions) names += (names.empty() ? "" : ", ") + std::string(name);
  return names;
}

std::string suggest_expression(std::string_view text) {
  for (const auto& [foreign, ours] : kOtherLanguages) {
    if (lower(text) == foreign) return "; did you mean \"" + std::string(ours) + "\"?";
  }
  std::vector<std::string> known;
  known.reserve(kExpressions.size());
  for (const auto& [name, expression] : kExpressions) known.emplace_back(name);
  return did_you_mean(text, known);
}

}  // namespace engine::db::builtins
