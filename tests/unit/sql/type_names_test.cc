#include "server/sql/type_names.h"

#include <gtest/gtest.h>

#include <string_view>
#include <utility>

namespace engine::db::sql {
namespace {

TEST(BuiltInTypes, AreKnownByTheirNames) {
  constexpr std::pair<std::string_view, uint32_t> kExpected[] = {
      {"int", 23},
      {"INTEGER", 23},
      {"int4", 23},
      {"bigint", 20},
      {"smallint", 21},
      {"text", 25},
      {"varchar", 1043},
      {"varchar(20)", 1043},
      {"character varying (20)", 1043},
      {"char", 1042},
      {"char(3)", 1042},
      {"\"char\"", 18},
      {"pg_catalog.char", 18},
      {"pg_catalog.int4", 23},
      {"numeric", 1700},
      {"numeric(10, 2)", 1700},
      {"decimal", 1700},
      {"real", 700},
      {"float", 701},
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
      {"timestamp(3) with time zone", 1184},
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
      {"integer[][]", 1007},
      {"_int4", 1007},
      {"text[]", 1009},
      {"varchar(20)[]", 1015},
      {"timestamp with time zone[]", 1185},
      {"jsonb[]", 3807},
      {"uuid[]", 2951},
  };
  for (const auto& [name, oid] : kExpected) EXPECT_EQ(BuiltInTypeOid(name), oid) << name;
}

TEST(BuiltInTypes, OthersAreNotGuessed) {
  for (const std::string_view name : {"", "mood", "public.mood", "public.int4", "\"Mood\"", "int4x", "[]", "_",
                                      "__int4", "_int4[]", "int(", "()", "hstore", "int4; DROP TABLE t"}) {
    EXPECT_EQ(BuiltInTypeOid(name), 0U) << name;
  }
}

}  // namespace
}  // namespace engine::db::sql
