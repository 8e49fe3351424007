#include "server/postgres/message_sources.h"

#include <vector>

#include "gtest/gtest.h"
#include "server/postgres/condition_name.h"

namespace engine::db::postgres {
namespace {

TEST(MessageSources, WhatFunctionsRaiseIsTheirAuthors) {
  for (const char* sqlstate : {"P0001", "23505", "22023", "XX000", "U1234"}) {
    EXPECT_EQ(KindOfMessage({sqlstate, "pl_exec.c", "exec_stmt_raise"}), MessageKind::kAuthored);
  }
  EXPECT_EQ(KindOfMessage({"38000", "plpy_elog.c", "PLy_elog_impl"}), MessageKind::kData) << "an exception's own text";
  EXPECT_EQ(KindOfMessage({"P0002", "pl_exec.c", "exec_stmt_execsql"}), MessageKind::kQuotesNames);
}

TEST(MessageSources, ConstraintsAreNamesOnly) {
  EXPECT_EQ(KindOfMessage({"23505", "nbtinsert.c", "_bt_check_unique"}), MessageKind::kNames);
  EXPECT_EQ(KindOfMessage({"23503", "ri_triggers.c", "ri_ReportViolation"}), MessageKind::kNames);
  EXPECT_EQ(KindOfMessage({"23505", "tuplesortvariants.c", "comparetup_index_btree_tiebreak"}), MessageKind::kNames)
      << "PostgreSQL 17's";
  EXPECT_EQ(KindOfMessage({"23505", "connection.c", "pgfdw_report_error"}), MessageKind::kData) << "another server's";
}

TEST(MessageSources, TextWithoutMarksIsData) {
  const std::vector<MessageSource> sources = {{"42883", "regproc.c", "regoperin"},
                                              {"42601", "namespace.c", "makeRangeVarFromNameList"},
                                              {"0A000", "namespace.c", "DeconstructQualifiedName"},
                                              {"42601", "gram.y", "check_qualified_name"},
                                              {"22021", "mbutils.c", "report_invalid_encoding_int"},
                                              {"42883", "parse_func.c", "LookupFuncName"}};
  for (const MessageSource& source : sources) {
    EXPECT_EQ(KindOfMessage(source), MessageKind::kData) << source.routine;
  }
}

TEST(MessageSources, WhatNobodyKnowsIsData) {
  EXPECT_EQ(KindOfMessage({"22023", "lwgeom_in.c", "parse_wkt"}), MessageKind::kData);
  EXPECT_EQ(KindOfMessage({"XX000", "lwgeom_pg.c", "pg_error"}), MessageKind::kData);
  EXPECT_EQ(KindOfMessage({"42601", "", ""}), MessageKind::kData);
  EXPECT_EQ(KindOfMessage({"40001", "", ""}), MessageKind::kQuotesNames) << "has nothing to do with data";
  EXPECT_EQ(KindOfMessage({"57014", "unknown.c", "Unknown"}), MessageKind::kQuotesNames);
}

TEST(MessageSources, DataTypesQuoteTheirValues) {
  EXPECT_EQ(KindOfMessage({"22P02", "int.c", "int4in"}), MessageKind::kQuotesValues);
  EXPECT_EQ(KindOfMessage({"22012", "int.c", "int4div"}), MessageKind::kQuotesValues);
  EXPECT_EQ(KindOfMessage({"42704", "acl.c", "get_role_oid"}), MessageKind::kQuotesNames);
}

TEST(ConditionName, IsPostgresqls) {
  EXPECT_EQ(ConditionName("23505"), "unique_violation");
  EXPECT_EQ(ConditionName("03000"), "sql_statement_not_yet_complete");
  EXPECT_EQ(ConditionName("XX002"), "index_corrupted");
  EXPECT_EQ(ConditionName("22ZZZ"), "data_exception") << "by its class";
  EXPECT_EQ(ConditionName("U0001"), "an error");
  EXPECT_EQ(ConditionName(""), "an error");
}

}  // namespace
}  // namespace engine::db::postgres
