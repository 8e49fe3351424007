#include "server/sql/type_names.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"

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

// What SQL's grammar calls them. Sorted.
constexpr Alias kAliases[] = {
    {"bigint", "int8"},
    {"bit varying", "varbit"},
    {"boolean", "bool"},
    {"char", "bpchar"},
    {"character", "bpchar"},
    {"character varying", "varchar"},
    {"dec", "numeric"},
    {"decimal", "numeric"},
    {"double precision", "float8"},
    {"float", "float8"},
    {"int", "int4"},
    {"integer", "int4"},
    {"nchar", "bpchar"},
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

bool ConsumePrefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

// Takes the pairs of brackets off the end; whether there were any. PostgreSQL has one array type for all dimensions.
bool ConsumeBrackets(std::string_view& text) {
  bool any = false;
  while (text.ends_with("[]")) {
    any = true;
    text.remove_suffix(2);
    while (text.ends_with(' ')) text.remove_suffix(1);
  }
  return any;
}

// Lower case, single blanks, without a modifier such as "(10, 2)".
std::string Normalized(std::string_view name) {
  std::string result(name);
  absl::AsciiStrToLower(&result);
  if (const size_t open = result.find('('); open != std::string::npos) {
    const size_t close = result.find(')', open);
    if (close == std::string::npos) return "";
    result.replace(open, close - open + 1, 1, ' ');
  }
  absl::RemoveExtraAsciiWhitespace(&result);
  return result;
}

}  // namespace

uint32_t BuiltInTypeOid(std::string_view name) {
  // As most are written. (SQL's char is no alias of the type that is called "char".)
  if (const Type* found = FindType(WithoutAlias(name)); found != nullptr) return found->oid;
  const std::string normalized = Normalized(name);
  std::string_view type = normalized;
  bool array = ConsumeBrackets(type);
  const bool by_own_name = ConsumePrefix(type, "pg_catalog.");
  if (!by_own_name) type = type == "\"char\"" ? "char" : WithoutAlias(type);
  const Type* found = FindType(type);
  if (found == nullptr && !array && ConsumePrefix(type, "_")) {
    array = true;
    found = FindType(type);
  }
  if (found == nullptr) return 0;
  return array ? found->array_oid : found->oid;
}

}  // namespace engine::db::sql
