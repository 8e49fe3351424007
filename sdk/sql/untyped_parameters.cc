#include "sdk/sql/untyped_parameters.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "sdk/sql/functions.h"

namespace engine::db::sql {
namespace {

// PostgreSQL's own functions with arguments of type "any" (pg_proc.proargtypes), less the hypothetical-set aggregates,
// whose arguments get the types of their ORDER BY. Sorted.
constexpr std::string_view kTakingAny[] = {"concat",
                                           "concat_ws",
                                           "count",
                                           "format",
                                           "json_build_array",
                                           "json_build_object",
                                           "json_object_agg",
                                           "json_object_agg_strict",
                                           "json_object_agg_unique",
                                           "json_object_agg_unique_strict",
                                           "jsonb_build_array",
                                           "jsonb_build_object",
                                           "jsonb_object_agg",
                                           "jsonb_object_agg_strict",
                                           "jsonb_object_agg_unique",
                                           "jsonb_object_agg_unique_strict",
                                           "num_nonnulls",
                                           "num_nulls",
                                           "pg_collation_for",
                                           "pg_column_compression",
                                           "pg_column_size",
                                           "pg_typeof"};
static_assert(std::is_sorted(std::begin(kTakingAny), std::end(kTakingAny)));

// What becomes of an expression without a type, where it stands.
enum class Place : uint8_t {
  kTyped,  // it gets one
  kRow,    // only what is in a row stays as it is: no function of PostgreSQL's own takes a named composite type
  kAny,    // it stays as it is
  // The same within a cast: if that is one to text, as end_object() knows, which the tree names behind what is cast.
  kCastRow,
  kCastAny,
};

// `name` is that of a call, schema first.
Place ArgumentsOf(const std::vector<std::string>& name) {
  if (name.size() > 2 || (name.size() == 2 && name[0] != "pg_catalog")) return Place::kTyped;
  if (std::binary_search(std::begin(kTakingAny), std::end(kTakingAny), name.back())) return Place::kAny;
  return EffectOf(name.back()) != FunctionEffect::kUnknown ? Place::kRow : Place::kTyped;
}

// Reads the tree from its root: each object and array in it knows what its place does.
class PlaceReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  bool key(std::string& name) override {
    key_ = name;
    return true;
  }
  bool start_object(std::size_t) override { return Open(); }
  bool start_array(std::size_t) override { return Open(); }
  bool end_array() override {
    if (frames_.back().key == "funcname") {
      Frame& call = frames_[frames_.size() - 2];
      if (call.key == "FuncCall" && !name_.empty()) call.arguments = ArgumentsOf(name_);
      name_.clear();
    }
    return Close();
  }
  bool end_object() override {
    const Frame& frame = frames_.back();
    if (frame.key == "TypeCast" && !frame.cast_to_text) {
      for (size_t i = frame.parameters_before; i < parameters_.size(); ++i) {
        if (parameters_[i].place == Place::kCastAny) parameters_[i].place = Place::kTyped;
      }
    }
    return Close();
  }
  bool string(std::string& value) override {
    Frame& frame = frames_.back();
    if (key_ == "sval" && frame.key == "String" && frames_[frames_.size() - 3].key == "funcname") {
      name_.push_back(value);
    } else if (key_ == "sval" && frame.key == "String" && frames_[frames_.size() - 3].key == "names") {
      Frame& cast = frames_[frames_.size() - 5];  // {"TypeCast":{"typeName":{"names":[{"String":{
      if (cast.key == "TypeCast") cast.cast_to_text = value == "text" || value == "varchar" || value == "bpchar";
    } else if (key_ == "op" && frame.key == "XmlExpr" && (value == "IS_XMLELEMENT" || value == "IS_XMLFOREST")) {
      frame.arguments = Place::kAny;
    }
    return true;
  }
  bool number_unsigned(number_unsigned_t value) override {
    if (key_ != "number" || frames_.back().key != "ParamRef") return true;
    parameters_.push_back({.number = static_cast<int>(value), .place = frames_.back().place});
    return true;
  }
  bool number_integer(number_integer_t) override { return true; }
  bool number_float(number_float_t, const std::string&) override { return true; }
  bool boolean(bool) override { return true; }
  bool null() override { return true; }
  bool binary(nlohmann::json::binary_t&) override { return true; }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override { return false; }

  std::vector<int> Found() const {
    std::map<int, bool> all;
    for (const Parameter& parameter : parameters_) {
      bool& untyped = all.try_emplace(parameter.number, true).first->second;
      untyped = untyped && (parameter.place == Place::kAny || parameter.place == Place::kCastAny);
    }
    std::vector<int> numbers;
    for (const auto& [number, untyped] : all) {
      if (untyped) numbers.push_back(number);
    }
    return numbers;
  }

 private:
  struct Frame {
    std::string key;  // under which it stands; empty for an element of an array
    Place place = Place::kTyped;
    Place arguments = Place::kTyped;  // of a call
    bool cast_to_text = false;
    size_t parameters_before = 0;
  };

  struct Parameter {
    int number;
    Place place;
  };

  bool Open() {
    frames_.push_back({.key = key_,
                       .place = frames_.empty() ? Place::kTyped : PlaceOfNext(),
                       .parameters_before = parameters_.size()});
    key_.clear();
    return true;
  }
  bool Close() {
    frames_.pop_back();
    key_.clear();
    return true;
  }

  // Of what begins under key_ in the innermost frame.
  [[nodiscard]] Place PlaceOfNext() const {
    const Frame& in = frames_.back();
    // Nodes are objects with one key, their type.
    if (key_.empty() || key_ == "ParamRef" || key_ == "RowExpr" || key_ == "CollateClause" || key_ == "ResTarget") {
      return in.place;
    }
    if (key_ == "args" && in.key == "RowExpr") {
      return in.place == Place::kTyped                                    ? Place::kTyped
             : in.place == Place::kCastRow || in.place == Place::kCastAny ? Place::kCastAny
                                                                          : Place::kAny;
    }
    if (key_ == "args" || key_ == "named_args") return in.arguments;
    if (key_ == "arg" && in.key == "NullTest") return Place::kAny;
    if (key_ == "arg" && in.key == "TypeCast") return Place::kCastRow;
    if ((key_ == "arg" && in.key == "CollateClause") || (key_ == "val" && in.key == "ResTarget")) return in.place;
    // What a query of its own gives out; that of INSERT goes on to columns.
    constexpr size_t kTopDepth = 5;  // {"stmts":[{"stmt":{"SelectStmt":{
    if (key_ == "targetList" && in.key == "SelectStmt" && frames_.size() == kTopDepth) return Place::kRow;
    return Place::kTyped;
  }

  std::vector<Frame> frames_;
  std::string key_;
  std::vector<std::string> name_;  // of the call that is being read
  std::vector<Parameter> parameters_;
};

}  // namespace

std::vector<int> UntypedParameters(std::string_view tree) {
  PlaceReader reader;
  if (!nlohmann::json::sax_parse(tree.begin(), tree.end(), &reader)) return {};
  return reader.Found();
}

}  // namespace engine::db::sql
