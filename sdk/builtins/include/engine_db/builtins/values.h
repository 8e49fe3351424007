// Between SQL's values and JSON's.
#ifndef ENGINE_DB_BUILTINS_VALUES_H_
#define ENGINE_DB_BUILTINS_VALUES_H_

#include <string>
#include <string_view>

#include "engine_db/builtins/json.h"
#include "engine_db/result.h"
#include "engine_db/value.h"

namespace engine::db::builtins {

// A parameter. Numbers travel as they were written; a list becomes an array ("{1,2,NULL}"), or its JSON text with
// `as_json`; an object becomes its JSON text. Throws std::invalid_argument for a list that mixes lists with something
// else.
[[nodiscard]] Value to_parameter(const Json& value, bool as_json = false);

// {rows: [{column: value}], rowcount, columns: [{name, type}]}. Values are as PostgreSQL's row_to_json() writes them:
// numeric is a number with all its digits, timestamps have a "T", arrays are lists, json and jsonb are what they hold;
// bytea is "\x…", NaN and the infinities are texts, and so is everything else, composites included. Columns with the
// same name are numbered, "id#1" and "id#2", so that none is taken for the other.
[[nodiscard]] Json to_json(const Result& result);

// One cell's text, of an SQL type as a Column names it ("numeric", "timestamp with time zone", "integer[]").
[[nodiscard]] Json to_json(std::string_view type_name, std::string_view text);

}  // namespace engine::db::builtins

#endif  // ENGINE_DB_BUILTINS_VALUES_H_
