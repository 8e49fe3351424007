#include "server/postgres/elsewhere.h"

#include <algorithm>
#include <string_view>

#include "absl/strings/str_replace.h"
#include "server/base/text.h"

namespace engine::db::postgres {
namespace {

// "=" is written in full, since a search_path may lead to another one.
const std::string* Sql(std::string_view text) {
  return new std::string(absl::StrReplaceAll(ToAbsl(text), {{" = ", " OPERATOR(pg_catalog.=) "}}));
}

}  // namespace

// file_fdw only reads. dblink_fdw has no tables: dblink's functions act.
const std::string& ForeignSurroundingsSql() {
  static const std::string* sql =
      Sql("GREATEST((SELECT pg_catalog.max(CASE WHEN w.fdwname = 'postgres_fdw' THEN 1 "
          "WHEN w.fdwname = ANY ('{file_fdw,dblink_fdw}'::pg_catalog.name[]) THEN 0 ELSE 2 END) "
          "FROM pg_catalog.pg_foreign_server s JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw), "
          "(SELECT 1 FROM pg_catalog.pg_extension WHERE extname = 'citus'))");
  return *sql;
}

// Functions in C belong to an extension as a rule: these are the ones known to reach outside. Languages that are not
// trusted (manual, 42.1) may do anything.
const std::string& FunctionSurroundingsSql() {
  static const std::string* sql =
      Sql("CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = ANY "
          "('{adminpack,amqp,aws_lambda,aws_ml,aws_s3,"
          "azure_ai,azure_storage,dblink,google_ml_integration,http,orafce,pg_background,pg_curl,pgmemcache,plproxy}'"
          "::pg_catalog.name[])) OR EXISTS (SELECT FROM pg_catalog.pg_language WHERE NOT lanpltrusted AND "
          "NOT lanname = ANY ('{internal,c}'::pg_catalog.name[])) THEN 2 END");
  return *sql;
}

const std::string& ForeignPartSql() {
  static const std::string* sql = Sql(
      "GREATEST((SELECT pg_catalog.max(CASE WHEN w.fdwname = 'postgres_fdw' THEN 1 WHEN w.fdwname = 'file_fdw' THEN 0 "
      "ELSE 2 END) FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_foreign_table t ON t.ftrelid = l.relation "
      "JOIN pg_catalog.pg_foreign_server s ON s.oid = t.ftserver "
      "JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw WHERE l.pid = pg_catalog.pg_backend_pid()), "
      "(SELECT 1 FROM pg_catalog.pg_extension WHERE extname = 'citus'))");
  return *sql;
}

// PostgreSQL notes no dependency on what is its own.
const std::string& CallsFunctionsSql() {
  static const std::string* sql = Sql(
      "EXISTS (SELECT FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_depend part "
      "ON part.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND part.refobjid = l.relation "
      "JOIN pg_catalog.pg_depend uses ON uses.classid = part.classid AND uses.objid = part.objid AND uses.refclassid = "
      "ANY ('{pg_catalog.pg_proc,pg_catalog.pg_operator,pg_catalog.pg_cast}'::pg_catalog.regclass[]) "
      "WHERE l.pid = pg_catalog.pg_backend_pid())");
  return *sql;
}

Elsewhere ElsewhereOf(int level) { return static_cast<Elsewhere>(std::clamp(level, 0, 2)); }

}  // namespace engine::db::postgres
