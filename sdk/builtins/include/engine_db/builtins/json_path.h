// Which part of a JSON value is meant: "$.receive-customer-kafka.items[*].id".
#ifndef ENGINE_DB_BUILTINS_JSON_PATH_H_
#define ENGINE_DB_BUILTINS_JSON_PATH_H_

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine_db/builtins/json.h"

namespace engine::db::builtins {

// A path is wrong, or leads nowhere. The message shows the path, never a value.
class PathError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// JSONPath (RFC 9535) as far as a path means one value, or a list of values in an order that is plain to see:
//
//   $                    the whole
//   .name                a member; letters, digits, "_", "-" and everything beyond ASCII
//   ['name'] ["name"]    a member of any name, with JSON's escapes
//   [n] [-n]             an element of a list, from 0, or from the end
//   [*] .*               all elements of a list, or all members' values of an object: the path means a list
//
// Not "..", filters [?…], slices [a:b] and unions [a,b]: parse() says so.
class JsonPath {
 public:
  struct Name {
    std::string name;
    friend bool operator==(const Name&, const Name&) = default;
  };
  struct Index {
    int64_t index = 0;
    friend bool operator==(const Index&, const Index&) = default;
  };
  struct All {
    friend bool operator==(const All&, const All&) = default;
  };
  using Segment = std::variant<Name, Index, All>;

  static constexpr size_t kMaxBytes = 1024;
  static constexpr size_t kMaxSegments = 64;
  // How many values a path with [*] may find.
  static constexpr size_t kMaxFound = 1'000'000;

  // Throws PathError: the path is none, or is longer than kMaxBytes or kMaxSegments.
  [[nodiscard]] static JsonPath parse(std::string_view text);

  // As it was written.
  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] const std::vector<Segment>& segments() const { return segments_; }
  // The name that comes first: a step's. Null when something else does.
  [[nodiscard]] const std::string* first_name() const;
  // Whether it has a [*], so that select() gives a list.
  [[nodiscard]] bool is_list() const;

  static constexpr size_t kNowhere = static_cast<size_t>(-1);

  // The value that is meant, or the list of all of them, in their order. Throws PathError when a member or an element
  // is not there, or something other than an object or a list is to have one. From the segment number `null_from` on,
  // what is not there is null instead, and so is what is below null.
  [[nodiscard]] Json select(const Json& root, size_t null_from = kNowhere) const;

 private:
  std::string text_;
  std::vector<Segment> segments_;
  std::vector<size_t> ends_;  // where in text_ each segment ends
};

}  // namespace engine::db::builtins

#endif  // ENGINE_DB_BUILTINS_JSON_PATH_H_
