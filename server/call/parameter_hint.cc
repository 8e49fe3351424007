#include "server/call/parameter_hint.h"

#include <algorithm>
#include <cstdint>
#include <string>

#include "server/sql/type_names.h"

namespace engine::db::call {
namespace {

// As PostgreSQL's messages name it; "" for the types that no value has by its kind.
std::string_view NameOf(uint32_t type) {
  switch (type) {
    case sql::kBoolOid:
      return "boolean";
    case sql::kInt4Oid:
      return "integer";
    case sql::kInt8Oid:
      return "bigint";
    case sql::kFloat8Oid:
      return "double precision";
    default:
      return "";
  }
}

}  // namespace

std::string_view ParameterHint(const Failure& error, const sql::BoundStatement& bound) {
  if (error.cause == Cause::kUnknownParameterType && bound.statement->parameter_count() > 0) {
    return "nothing tells PostgreSQL the type of this parameter: name it in the value (type_name), or write a cast "
           "(?::type)";
  }
  // GROUP BY and SELECT DISTINCT … ORDER BY want the same expression as the select list has.
  const bool compares = error.cause == Cause::kNotGrouped ||
                        (error.cause == Cause::kNotSelected && bound.statement->summary() == "SELECT");
  if (compares && bound.statement->placeholders().count() > 1) {
    return "each ? is a parameter of its own, which PostgreSQL can't know to be equal to another: write $1, $2... in "
           "the place of all of them, and the same one where the same value is meant";
  }
  if (error.cause == Cause::kTypeMismatch) {
    const auto& types = bound.text->parameter_types;
    const bool named = std::any_of(types.begin(), types.end(), [&error](uint32_t type) {
      return !NameOf(type).empty() && error.message.find(NameOf(type)) != std::string::npos;
    });
    if (named) {
      return "a parameter that is sent as a number or a boolean has that type: send it as text, which takes the type "
             "that its place wants, or name the type";
    }
  }
  return "";
}

}  // namespace engine::db::call
