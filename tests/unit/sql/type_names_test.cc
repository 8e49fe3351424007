#include "server/sql/type_names.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace engine::db::sql {
namespace {

uint32_t OidOf(std::string_view name) {
  const std::optional<TypeReference> type = FindTypeReference(name);
  return type.has_value() && type->cast.empty() ? type->oid : 0;
}

std::string CastOf(std::string_view name) {
  const std::optional<TypeReference> type = FindTypeReference(name);
  return type.has_value() && type->oid == 0 ? type->cast : "";
}

TEST(BuiltInTypes, AreKnownByTheirNames) {
  constexpr std::pair<std::string_view, uint32_t> kExpected[] = {
      {"int", 23},
      {"INTEGER", 23},
      {"int4", 23},
      {"\"int4\"", 23},
      {"bigint", 20},
      {"smallint", 21},
      {"text", 25},
      {"varchar", 1043},
      {"character varying", 1043},
      {"national character varying", 1043},
      {"bpchar", 1042},
      {"\"char\"", 18},
      {"pg_catalog.\"char\"", 18},
      {"pg_catalog.int4", 23},
      {"numeric", 1700},
      {"decimal", 1700},
      {"real", 700},
      {"float", 701},
      {"float(24)", 700},
      {"float(25)", 701},
      {"double precision", 701},
      {"Double  Precision", 701},
      {"boolean", 16},
      {"bytea", 17},
      {"date", 1082},
      {"time", 1083},
      {"time with time zone", 1266},
      {"timestamp", 1114},
      {"timestamp without time zone", 1114},
      {"timestamptz", 1184},
      {"timestamp with time zone", 1184},
      {"interval", 1186},
      {"uuid", 2950},
      {"json", 114},
      {"jsonb", 3802},
      {"inet", 869},
      {"cidr", 650},
      {"xml", 142},
      {"int4range", 3904},
      {"tstzmultirange", 4534},
      {"regclass", 2205},
      {"int[]", 1007},
      {"integer []", 1007},
      {"integer [ ] [ ]", 1007},
      {"integer[3][]", 1007},
      {"int array", 1007},
      {"int array[4]", 1007},
      {"_int4", 1007},
      {"text[]", 1009},
      {"timestamp with time zone[]", 1185},
      {"jsonb[]", 3807},
      {"uuid[]", 2951},
  };
  for (const auto& [name, oid] : kExpected) EXPECT_EQ(OidOf(name), oid) << name;
}

TEST(OtherTypes, AreCastToByTheNameThatPostgreSqlReads) {
  constexpr std::pair<std::string_view, std::string_view> kExpected[] = {
      {"mood", "::mood"},
      {"MOOD[]", "::mood[]"},
      {"public.mood", "::public.mood"},
      {"\"Mood\"", "::\"Mood\""},
      {"s1 . \"a.b\"\"c\" [2]", "::s1.\"a.b\"\"c\"[2]"},
      {"public.int4", "::public.int4"},
      {"\"integer\"", "::\"integer\""},
      {"_mood", "::_mood"},
      {"\"ünï\"", "::\"ünï\""},
      {"hstore -- a comment", "::hstore"},
      {"geometry(Point, 4326)", "::geometry(point, 4326)"},
  };
  for (const auto& [name, cast] : kExpected) EXPECT_EQ(CastOf(name), cast) << name;
}

TEST(OtherTypes, AreThoseWithModifiersToo) {
  constexpr std::pair<std::string_view, std::string_view> kExpected[] = {
      {"varchar(20)", "::varchar(20)"},
      {"character varying (20)[]", "::varchar(20)[]"},
      {"char", "::char(1)"},
      {"character(3)", "::char(3)"},
      {"bit", "::pg_catalog.bit(1)"},
      {"numeric(10, -2)", "::numeric(10, -2)"},
      {"timestamptz(3)", "::timestamptz(3)"},
      {"interval year to month", "::interval year to month"},
      {"interval day to second(2)", "::interval day to second(2)"},
  };
  for (const auto& [name, cast] : kExpected) EXPECT_EQ(CastOf(name), cast) << name;
}

TEST(NoTypes, AreRefused) {
  for (const std::string_view name : {"",
                                      " ",
                                      "[]",
                                      "_;",
                                      "int(",
                                      "()",
                                      "int4; DROP TABLE t",
                                      "int, 1",
                                      "int FROM t",
                                      "int AS x",
                                      "int x",
                                      "int COLLATE \"C\"",
                                      "int + 1",
                                      "int::text",
                                      "int) + (1",
                                      "int /*",
                                      "setof int",
                                      "t.a%TYPE",
                                      "int ORDER BY 1",
                                      "numeric(1+1)",
                                      "x(pg_sleep(1))",
                                      "x((SELECT 1))",
                                      "int[1:2]",
                                      "int UNION SELECT 1",
                                      "'a'",
                                      "1",
                                      "$1",
                                      "int IS NULL",
                                      "int WHERE true",
                                      "int LIMIT 1",
                                      "int INTO t",
                                      "int FOR UPDATE",
                                      "int AT TIME ZONE 'x'"}) {
    EXPECT_FALSE(FindTypeReference(name).has_value()) << name;
  }
}

}  // namespace
}  // namespace engine::db::sql
