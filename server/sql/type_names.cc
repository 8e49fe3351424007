#include "server/sql/type_names.h"

#include <pg_query.h>

#include <algorithm>
#include <initializer_list>
#include <iterator>
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/base/text.h"

namespace engine::db::sql {
namespace {

struct Type {
  std::string_view name;  // pg_type.typname
  uint32_t oid;
  uint32_t array_oid;
};

// From pg_type of PostgreSQL 15; built-in OIDs never change. Sorted.
constexpr Type kTypes[] = {
    {"aclitem", 1033, 1034},
    {"bit", 1560, 1561},
    {"bool", 16, 1000},
    {"box", 603, 1020},
    {"bpchar", 1042, 1014},
    {"bytea", 17, 1001},
    {"char", 18, 1002},
    {"cid", 29, 1012},
    {"cidr", 650, 651},
    {"circle", 718, 719},
    {"date", 1082, 1182},
    {"datemultirange", 4535, 6155},
    {"daterange", 3912, 3913},
    {"float4", 700, 1021},
    {"float8", 701, 1022},
    {"inet", 869, 1041},
    {"int2", 21, 1005},
    {"int2vector", 22, 1006},
    {"int4", 23, 1007},
    {"int4multirange", 4451, 6150},
    {"int4range", 3904, 3905},
    {"int8", 20, 1016},
    {"int8multirange", 4536, 6157},
    {"int8range", 3926, 3927},
    {"interval", 1186, 1187},
    {"json", 114, 199},
    {"jsonb", 3802, 3807},
    {"jsonpath", 4072, 4073},
    {"line", 628, 629},
    {"lseg", 601, 1018},
    {"macaddr", 829, 1040},
    {"macaddr8", 774, 775},
    {"money", 790, 791},
    {"name", 19, 1003},
    {"numeric", 1700, 1231},
    {"nummultirange", 4532, 6151},
    {"numrange", 3906, 3907},
    {"oid", 26, 1028},
    {"oidvector", 30, 1013},
    {"path", 602, 1019},
    {"pg_lsn", 3220, 3221},
    {"pg_snapshot", 5038, 5039},
    {"point", 600, 1017},
    {"polygon", 604, 1027},
    {"record", 2249, 2287},
    {"refcursor", 1790, 2201},
    {"regclass", 2205, 2210},
    {"regcollation", 4191, 4192},
    {"regconfig", 3734, 3735},
    {"regdictionary", 3769, 3770},
    {"regnamespace", 4089, 4090},
    {"regoper", 2203, 2208},
    {"regoperator", 2204, 2209},
    {"regproc", 24, 1008},
    {"regprocedure", 2202, 2207},
    {"regrole", 4096, 4097},
    {"regtype", 2206, 2211},
    {"text", 25, 1009},
    {"tid", 27, 1010},
    {"time", 1083, 1183},
    {"timestamp", 1114, 1115},
    {"timestamptz", 1184, 1185},
    {"timetz", 1266, 1270},
    {"tsmultirange", 4533, 6152},
    {"tsquery", 3615, 3645},
    {"tsrange", 3908, 3909},
    {"tstzmultirange", 4534, 6153},
    {"tstzrange", 3910, 3911},
    {"tsvector", 3614, 3643},
    {"txid_snapshot", 2970, 2949},
    {"uuid", 2950, 2951},
    {"varbit", 1562, 1563},
    {"varchar", 1043, 1015},
    {"xid", 28, 1011},
    {"xid8", 5069, 271},
    {"xml", 142, 143},
};

struct Alias {
  std::string_view sql;
  std::string_view name;
};

// Their names in SQL's grammar. Sorted. (Not CHAR and BIT, which mean CHAR(1) and BIT(1).)
constexpr Alias kAliases[] = {
    {"bigint", "int8"},
    {"bit varying", "varbit"},
    {"boolean", "bool"},
    {"character varying", "varchar"},
    {"dec", "numeric"},
    {"decimal", "numeric"},
    {"double precision", "float8"},
    {"float", "float8"},
    {"int", "int4"},
    {"integer", "int4"},
    {"real", "float4"},
    {"smallint", "int2"},
    {"time with time zone", "timetz"},
    {"time without time zone", "time"},
    {"timestamp with time zone", "timestamptz"},
    {"timestamp without time zone", "timestamp"},
};

static_assert(std::is_sorted(std::begin(kTypes), std::end(kTypes),
                             [](const Type& a, const Type& b) { return a.name < b.name; }));
static_assert(std::is_sorted(std::begin(kAliases), std::end(kAliases),
                             [](const Alias& a, const Alias& b) { return a.sql < b.sql; }));

const Type* FindType(std::string_view name) {
  const auto* found = std::lower_bound(std::begin(kTypes), std::end(kTypes), name,
                                       [](const Type& type, std::string_view n) { return type.name < n; });
  return found != std::end(kTypes) && found->name == name ? found : nullptr;
}

std::string_view WithoutAlias(std::string_view name) {
  const auto* found = std::lower_bound(std::begin(kAliases), std::end(kAliases), name,
                                       [](const Alias& alias, std::string_view n) { return alias.sql < n; });
  return found != std::end(kAliases) && found->sql == name ? found->name : name;
}

// The name of a type as PostgreSQL's grammar reads it: aliases resolved.
struct ParsedName {
  std::vector<std::string> parts;  // schema, where there is one, and type
  bool array = false;              // PostgreSQL has one array type for all dimensions
  bool modified = false;           // varchar(10), interval year
};

constexpr absl::string_view kCastNull = "SELECT NULL::";

// The only element of an array of the tree; nullptr for anything else.
const nlohmann::json* Only(const nlohmann::json& node, const char* key) {
  const auto found = node.find(key);
  return found != node.end() && found->is_array() && found->size() == 1 ? &found->front() : nullptr;
}

bool HasOnly(const nlohmann::json& node, std::initializer_list<std::string_view> keys) {
  for (const auto& item : node.items()) {
    if (std::find(keys.begin(), keys.end(), item.key()) == keys.end()) return false;
  }
  return true;
}

// From the tree of "SELECT NULL::name". A text that makes anything else of it is no type's name. (nlohmann's at()
// throws for what is not there.)
std::optional<ParsedName> NameFromTree(const nlohmann::json& tree) {
  const nlohmann::json* statement = Only(tree, "stmts");
  if (statement == nullptr || !HasOnly(*statement, {"stmt"})) return std::nullopt;  // no semicolon
  const nlohmann::json& select = statement->at("stmt").at("SelectStmt");
  const nlohmann::json* target = Only(select, "targetList");
  if (target == nullptr || !HasOnly(select, {"targetList", "limitOption", "op"})) return std::nullopt;
  const nlohmann::json& result = target->at("ResTarget");
  const nlohmann::json& cast = result.at("val").at("TypeCast");
  const nlohmann::json& type = cast.at("typeName");
  if (!HasOnly(result, {"val", "location"}) || !cast.at("arg").at("A_Const").contains("isnull") ||
      !HasOnly(type, {"names", "typmods", "typemod", "arrayBounds", "location"})) {
    return std::nullopt;
  }
  ParsedName name;
  for (const nlohmann::json& part : type.at("names")) {
    name.parts.push_back(part.at("String").at("sval").get<std::string>());
  }
  name.array = type.contains("arrayBounds");
  if (const auto modifiers = type.find("typmods"); modifiers != type.end()) {
    name.modified = true;
    for (const nlohmann::json& modifier : *modifiers) {  // PostgreSQL takes nothing else either
      if (!modifier.contains("A_Const") && !modifier.contains("ColumnRef")) return std::nullopt;
    }
  }
  return name;
}

std::optional<ParsedName> ParseName(const std::string& cast_null) {
  const PgQueryParseResult parsed = pg_query_parse(cast_null.c_str());
  const absl::Cleanup free_result = [&parsed] { pg_query_free_parse_result(parsed); };
  if (parsed.error != nullptr) return std::nullopt;
  try {
    return NameFromTree(nlohmann::json::parse(parsed.parse_tree));
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

// libpg_query's own writing of the cast, so that nothing of the caller's text but names and modifiers gets into a
// statement.
std::optional<std::string> CastText(const std::string& cast_null) {
  const PgQueryProtobufParseResult parsed = pg_query_parse_protobuf(cast_null.c_str());
  const absl::Cleanup free_parsed = [&parsed] { pg_query_free_protobuf_parse_result(parsed); };
  if (parsed.error != nullptr) return std::nullopt;
  const PgQueryDeparseResult written = pg_query_deparse_protobuf(parsed.parse_tree);
  const absl::Cleanup free_written = [&written] { pg_query_free_deparse_result(written); };
  absl::string_view text = written.error == nullptr ? written.query : "";
  if (!absl::ConsumePrefix(&text, kCastNull)) return std::nullopt;
  return absl::StrCat("::", text);
}

// 0: not built in. (A schema that comes before pg_catalog in the search path, and has a type of that name, is passed
// over.)
uint32_t BuiltInOid(const ParsedName& name) {
  if (name.parts.size() > 2 || (name.parts.size() == 2 && name.parts[0] != "pg_catalog")) return 0;
  std::string_view type = name.parts.back();
  const Type* found = FindType(type);
  bool array = name.array;
  if (found == nullptr && !array && type.starts_with('_')) {
    array = true;
    found = FindType(type.substr(1));
  }
  if (found == nullptr) return 0;
  return array ? found->array_oid : found->oid;
}

}  // namespace

std::optional<TypeReference> FindTypeReference(std::string_view name) {
  // The usual way of writing one.
  if (name != "char" && name != "bit") {
    if (const Type* found = FindType(WithoutAlias(name)); found != nullptr) return TypeReference{.oid = found->oid};
  }
  const std::string cast_null = absl::StrCat(kCastNull, ToAbsl(name));
  const std::optional<ParsedName> parsed = ParseName(cast_null);
  if (!parsed.has_value() || parsed->parts.empty()) return std::nullopt;
  if (const uint32_t oid = parsed->modified ? 0 : BuiltInOid(*parsed); oid != 0) return TypeReference{.oid = oid};
  std::optional<std::string> cast = CastText(cast_null);
  if (!cast.has_value()) return std::nullopt;
  // Nor may an error of libpg_query get into a statement.
  const std::optional<ParsedName> again = ParseName(absl::StrCat("SELECT NULL", *cast));
  if (!again.has_value() || again->parts != parsed->parts || again->array != parsed->array) return std::nullopt;
  return TypeReference{.cast = *std::move(cast)};
}

}  // namespace engine::db::sql
