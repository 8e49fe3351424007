#include "engine_db/builtins/json_path.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "sdk/builtins/src/suggestion.h"

namespace engine::db::builtins {
namespace {

constexpr std::string_view kSupported = "a path is made of .name, ['name'], [n], [-n] and [*] behind \"$\"";

bool is_name_letter(char letter) {
  return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') || (letter >= '0' && letter <= '9') ||
         letter == '_' || letter == '-' || static_cast<unsigned char>(letter) >= 0x80;
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  [[nodiscard]] bool at_end() const { return at_ == text_.size(); }
  [[nodiscard]] size_t position() const { return at_; }

  void root() {
    if (!take('$')) fail("begins with \"$\"");
  }

  JsonPath::Segment segment() {
    if (take('.')) {
      if (take('.')) fail("has \"..\", which is not supported");
      if (take('*')) return JsonPath::All();
      return JsonPath::Name{plain_name()};
    }
    if (!take('[')) fail("has something unexpected");
    skip_blanks();
    JsonPath::Segment segment = in_brackets();
    skip_blanks();
    if (take(']')) return segment;
    if (next() == ',') fail("has a list of names or indexes in [ ], which is not supported");
    if (next() == ':') fail("has a slice [a:b], which is not supported");
    fail("has a \"[\" without \"]\"");
  }

 private:
  [[noreturn]] void fail(const std::string& problem) const {
    throw PathError(problem + " (at character " + std::to_string(at_ + 1) + "); " + std::string(kSupported));
  }

  [[nodiscard]] char next() const { return at_end() ? '\0' : text_[at_]; }
  bool take(char expected) {
    if (at_end() || text_[at_] != expected) return false;
    ++at_;
    return true;
  }
  void skip_blanks() {
    while (next() == ' ' || next() == '\t') ++at_;
  }

  std::string plain_name() {
    const size_t begin = at_;
    while (!at_end() && is_name_letter(text_[at_])) ++at_;
    if (at_ == begin) fail("has no name where one is due; one with other characters is written ['…']");
    return std::string(text_.substr(begin, at_ - begin));
  }

  JsonPath::Segment in_brackets() {
    if (take('*')) return JsonPath::All();
    if (next() == '?' || next() == '(') fail("has a filter, which is not supported");
    if (next() == ':') fail("has a slice [a:b], which is not supported");
    if (next() == '\'' || next() == '"') return JsonPath::Name{quoted_name()};
    int64_t index = 0;
    const std::string_view rest = text_.substr(at_);
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), index);
    if (error != std::errc()) fail("has neither a quoted name, a number nor * in [ ]");
    at_ += static_cast<size_t>(end - rest.data());
    return JsonPath::Index{index};
  }

  // With JSON's escapes, and \' beside them.
  std::string quoted_name() {
    const char quote = text_[at_++];
    std::string literal = "\"";
    while (!at_end() && text_[at_] != quote) {
      if (text_[at_] == '\\' && at_ + 1 < text_.size()) {
        if (text_[at_ + 1] != '\'') literal += text_[at_];
        ++at_;
      } else if (text_[at_] == '"') {
        literal += '\\';
      }
      literal += text_[at_++];
    }
    if (!take(quote)) fail("has a quote that is not closed");
    literal += '"';
    try {
      return *Json::parse(literal).text();
    } catch (const JsonError&) {
      fail("has a broken escape in a quoted name");
    }
  }

  std::string_view text_;
  size_t at_ = 0;
};

// A step on the way: the values found so far, which become the next ones.
class Selection {
 public:
  Selection(const Json& root, size_t null_from) : found_{&root}, null_from_(null_from) {}

  // `before` and `through` are the path up to this segment, without and with it.
  void follow(const JsonPath::Segment& segment, size_t number, std::string_view before, std::string_view through) {
    const bool may_miss = number >= null_from_;
    std::vector<const Json*> next;
    for (const Json* value : found_) {
      const bool stays_null = value->is_null() && may_miss;
      if (!stays_null && std::holds_alternative<JsonPath::All>(segment)) {
        add_all(*value, before, next);
      } else if (const Json* child = stays_null ? &kNull : child_of(*value, segment, before)) {
        next.push_back(child);
      } else if (may_miss) {
        next.push_back(&kNull);
      } else {
        throw_missing(*value, segment, before, through);
      }
    }
    if (next.size() > JsonPath::kMaxFound) {
      throw PathError("finds more than " + std::to_string(JsonPath::kMaxFound) + " values");
    }
    found_ = std::move(next);
  }

  [[nodiscard]] const std::vector<const Json*>& found() const { return found_; }

 private:
  static const Json kNull;

  static void add_all(const Json& value, std::string_view before, std::vector<const Json*>& next) {
    const Json::List* children = value.list();
    if (children == nullptr) {
      if (value.object() == nullptr) throw_wrong_kind(value, before, "a list");
      children = &value.object()->values;
    }
    if (children->size() + next.size() > JsonPath::kMaxFound) {
      throw PathError("finds more than " + std::to_string(JsonPath::kMaxFound) + " values");
    }
    for (const Json& child : *children) next.push_back(&child);
  }

  // Null when it is not there.
  static const Json* child_of(const Json& value, const JsonPath::Segment& segment, std::string_view before) {
    if (const auto* name = std::get_if<JsonPath::Name>(&segment)) {
      if (value.object() == nullptr) throw_wrong_kind(value, before, "an object");
      return value.object()->find(name->name);
    }
    const Json::List* list = value.list();
    if (list == nullptr) throw_wrong_kind(value, before, "a list");
    const int64_t index = std::get<JsonPath::Index>(segment).index;
    const auto size = static_cast<int64_t>(list->size());
    const int64_t from_begin = index < 0 ? size + index : index;
    return from_begin >= 0 && from_begin < size ? &(*list)[static_cast<size_t>(from_begin)] : nullptr;
  }

  [[noreturn]] static void throw_wrong_kind(const Json& value, std::string_view before, std::string_view wanted) {
    throw PathError(std::string(before) + " is " + std::string(value.kind()) + ", not " + std::string(wanted));
  }

  [[noreturn]] static void throw_missing(const Json& value, const JsonPath::Segment& segment, std::string_view before,
                                         std::string_view through) {
    std::string message = "there is no " + std::string(through);
    if (const auto* name = std::get_if<JsonPath::Name>(&segment)) {
      message += did_you_mean(name->name, value.object()->names);
    } else {
      message += ": " + std::string(before) + " has " + std::to_string(value.list()->size()) +
                 (value.list()->size() == 1 ? " element" : " elements");
    }
    throw PathError(message);
  }

  std::vector<const Json*> found_;
  size_t null_from_;
};

const Json Selection::kNull;

}  // namespace

JsonPath JsonPath::parse(std::string_view text) {
  if (text.size() > kMaxBytes) throw PathError("has more than " + std::to_string(kMaxBytes) + " bytes");
  JsonPath path;
  path.text_ = text;
  Parser parser(text);
  parser.root();
  while (!parser.at_end()) {
    if (path.segments_.size() == kMaxSegments) {
      throw PathError("has more than " + std::to_string(kMaxSegments) + " parts");
    }
    path.segments_.push_back(parser.segment());
    path.ends_.push_back(parser.position());
  }
  return path;
}

const std::string* JsonPath::first_name() const {
  if (segments_.empty()) return nullptr;
  const auto* name = std::get_if<Name>(&segments_.front());
  return name == nullptr ? nullptr : &name->name;
}

bool JsonPath::is_list() const {
  return std::ranges::any_of(segments_, [](const Segment& segment) { return std::holds_alternative<All>(segment); });
}

Json JsonPath::select(const Json& root, size_t null_from) const {
  const std::string_view text = text_;
  Selection selection(root, null_from);
  for (size_t i = 0; i < segments_.size(); ++i) {
    selection.follow(segments_[i], i, text.substr(0, i == 0 ? 1 : ends_[i - 1]), text.substr(0, ends_[i]));
  }
  if (!is_list()) return *selection.found().front();
  Json::List list;
  list.reserve(selection.found().size());
  for (const Json* value : selection.found()) list.push_back(*value);
  return list;
}

}  // namespace engine::db::builtins
