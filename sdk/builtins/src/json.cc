#include "engine_db/builtins/json.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_map>
#include <unordered_set>

namespace engine::db::builtins {
namespace {

bool equal_but_for_case(std::string_view a, std::string_view b) {
  const auto lower = [](char letter) {
    return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter + ('a' - 'A')) : letter;
  };
  return std::ranges::equal(a, b, {}, lower, lower);
}

// A key as a message shows it; what is not plainly a name may be a value.
std::string shown_key(std::string_view key) {
  constexpr size_t kMaxBytes = 63;
  const bool plain = !key.empty() && key.size() <= kMaxBytes && std::ranges::all_of(key, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
  return plain ? "\"" + std::string(key) + "\"" : "(not shown, since it is not a plain name)";
}

// The first name that is there twice; null for none.
const std::string* repeated_name(const Json::Object& object) {
  std::unordered_set<std::string_view> seen;
  const auto found =
      std::ranges::find_if(object.names, [&seen](const auto& name) { return !seen.insert(name).second; });
  return found == object.names.end() ? nullptr : &*found;
}

// Of two members with one name the later one counts.
void drop_repeated(Json::Object& object) {
  std::unordered_map<std::string_view, size_t> last;
  for (size_t i = 0; i < object.names.size(); ++i) last[object.names[i]] = i;
  Json::Object kept;
  for (size_t i = 0; i < object.names.size(); ++i) {
    if (last[object.names[i]] == i) kept.add(object.names[i], std::move(object.values[i]));
  }
  object = std::move(kept);
}

// Puts together what nlohmann's parser reads. Unlike its own document, it keeps a number's text.
class Builder final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit Builder(Json::Repeated repeated) : repeated_(repeated) {}
  bool null() override { return add({}); }
  bool boolean(bool truth) override { return add(truth); }
  bool number_integer(int64_t number) override { return add(number); }
  bool number_unsigned(uint64_t number) override { return add(Json::number(std::to_string(number))); }
  bool number_float(double /*number*/, const std::string& text) override { return add(Json::number(text)); }
  bool string(std::string& text) override { return add(std::move(text)); }
  bool binary(nlohmann::json::binary_t& /*bytes*/) override { return false; }
  bool start_object(size_t /*size*/) override { return open(Json::Object()); }
  bool key(std::string& name) override {
    open_.back().name = std::move(name);
    return true;
  }
  bool end_object() override {
    auto& object = std::get<Json::Object>(open_.back().value.content());
    if (const std::string* name = repeated_name(object)) {
      if (repeated_ == Json::Repeated::kIsError) {
        problem_ = "has the key " + shown_key(*name) + " twice in one object";
        return false;
      }
      drop_repeated(object);
    }
    return close();
  }
  bool start_array(size_t /*size*/) override { return open(Json::List()); }
  bool end_array() override { return close(); }
  bool parse_error(size_t position, const std::string& /*token*/, const nlohmann::detail::exception& error) override {
    constexpr int kNumberOverflow = 406;
    position_ = position;
    if (error.id == kNumberOverflow) problem_ = "has a number beyond 1.8e308";
    return false;
  }

  [[nodiscard]] size_t position() const { return position_; }
  [[nodiscard]] const std::string& problem() const { return problem_; }
  Json take() && { return std::move(done_); }

 private:
  struct Open {
    Json value;
    std::string name;  // of the member to come
  };

  bool open(Json value) {
    if (open_.size() == kMaxJsonDepth) {
      problem_ = "is nested too deeply";
      return false;
    }
    open_.push_back({std::move(value), {}});
    return true;
  }
  bool close() {
    Json value = std::move(open_.back().value);
    open_.pop_back();
    return add(std::move(value));
  }
  bool add(Json value) {
    if (open_.empty()) {
      done_ = std::move(value);
    } else if (auto* object = std::get_if<Json::Object>(&open_.back().value.content())) {
      object->add(std::move(open_.back().name), std::move(value));
    } else {
      std::get<Json::List>(open_.back().value.content()).push_back(std::move(value));
    }
    return true;
  }

  const Json::Repeated repeated_;
  std::vector<Open> open_;
  Json done_;
  size_t position_ = 0;
  std::string problem_ = "is not JSON";
};

std::string in_quotes(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

struct Writer {
  std::string& out;

  void operator()(std::nullptr_t) const { out += "null"; }
  void operator()(bool truth) const { out += truth ? "true" : "false"; }
  void operator()(int64_t number) const { out += std::to_string(number); }
  void operator()(const Json::Number& number) const { out += number.text; }
  void operator()(const std::string& text) const { out += in_quotes(text); }
  void operator()(const Json::List& list) const {
    out += '[';
    for (size_t i = 0; i < list.size(); ++i) {
      if (i != 0) out += ',';
      std::visit(*this, list[i].content());
    }
    out += ']';
  }
  void operator()(const Json::Object& object) const {
    out += '{';
    for (size_t i = 0; i < object.names.size(); ++i) {
      if (i != 0) out += ',';
      out += in_quotes(object.names[i]) + ':';
      std::visit(*this, object.values[i].content());
    }
    out += '}';
  }
};

}  // namespace

void Json::Object::add(std::string name, Json value) {
  names.push_back(std::move(name));
  values.push_back(std::move(value));
}

const Json* Json::Object::find(std::string_view name) const {
  const auto exact = std::ranges::find(names, name);
  if (exact != names.end()) return &values[static_cast<size_t>(exact - names.begin())];
  if (!is_row) return nullptr;
  const Json* found = nullptr;
  for (size_t i = 0; i < names.size(); ++i) {
    if (!equal_but_for_case(names[i], name)) continue;
    if (found != nullptr) return nullptr;
    found = &values[i];
  }
  return found;
}

Json Json::number(std::string text) {
  int64_t integer = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, integer);
  // Not so for "-0" and "007", which would come back otherwise.
  if (error == std::errc() && stop == end && std::to_string(integer) == text) return integer;
  return Number{std::move(text)};
}

Json Json::parse(std::string_view text, Repeated repeated) {
  Builder builder(repeated);
  if (nlohmann::json::sax_parse(text.begin(), text.end(), &builder)) return std::move(builder).take();
  std::string message = builder.problem();
  if (const size_t at = std::min(builder.position(), text.size()); at > 0) {
    const std::string_view before = text.substr(0, at - 1);
    const size_t line_begin = before.rfind('\n') + 1;  // npos + 1 is 0
    message += " (line " + std::to_string(std::ranges::count(before, '\n') + 1) + ", column " +
               std::to_string(before.size() - line_begin + 1) + ")";
  }
  throw JsonError(message);
}

std::string Json::dump() const {
  std::string out;
  std::visit(Writer{out}, content_);
  return out;
}

std::string_view Json::kind() const {
  constexpr std::string_view kKinds[] = {"null", "a boolean", "a number", "a number", "a text", "a list", "an object"};
  return kKinds[content_.index()];
}

}  // namespace engine::db::builtins
