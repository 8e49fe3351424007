#include "server/postgres/message_text.h"

#include "gtest/gtest.h"

namespace engine::db::postgres {
namespace {

TEST(MessageText, EverythingBetweenTheFirstMarkAndTheLastGoes) {
  EXPECT_EQ(WithoutQuoted("invalid input syntax for type integer: \"abc\""),
            "invalid input syntax for type integer: \"...\"");
  EXPECT_EQ(WithoutQuoted("a \"b\" c \"d\" e"), "a \"...\" e");
  EXPECT_EQ(WithoutQuoted("ungültige Eingabesyntax für Typ integer: »abc«"),
            "ungültige Eingabesyntax für Typ integer: »...«");
  EXPECT_EQ(WithoutQuoted("division by zero"), "division by zero");
}

TEST(MessageText, WhatTheCallerWroteStays) {
  EXPECT_EQ(WithoutQuotedUnlessIn("relation \"s.t\" does not exist", "SELECT * FROM \"S\".\"T\""),
            "relation \"s.t\" does not exist");
  EXPECT_EQ(WithoutQuotedUnlessIn("relation \"orders\" does not exist", "SELECT $1::regclass"),
            "relation \"...\" does not exist");
  EXPECT_EQ(WithoutQuotedUnlessIn("a \"t\" and \"u\"", "DROP t"), "a \"...\"");
}

TEST(MessageText, NumbersThatTheCallerDidNotWriteGo) {
  EXPECT_EQ(WithoutNumbersUnlessIn("date field value out of range: 1987-13-45", "SELECT make_date(y, m, d)"),
            "date field value out of range: ...");
  EXPECT_EQ(WithoutNumbersUnlessIn("requested character too large for encoding: 918273645", ""),
            "requested character too large for encoding: ...");
  EXPECT_EQ(WithoutNumbersUnlessIn("value too long for type character varying(12000)", ""),
            "value too long for type character varying(12000)");
  EXPECT_EQ(WithoutNumbersUnlessIn("MINVALUE (91827) must be less than MAXVALUE (9999)", "MAXVALUE 9999"),
            "MINVALUE (...) must be less than MAXVALUE (9999)");
  EXPECT_EQ(WithoutNumbersUnlessIn("large object 16385 does not exist", "SELECT lo_get(16385)"),
            "large object 16385 does not exist");
  EXPECT_EQ(WithoutNumbersUnlessIn("index 7 out of valid range, 0..3", ""), "index 7 out of valid range, 0..3");
  EXPECT_EQ(WithoutNumbersUnlessIn("parameter $1234 of int4", ""), "parameter $1234 of int4");
}

TEST(MessageText, ClippedTextIsValid) {
  EXPECT_EQ(Clipped("abc", 3), "abc");
  EXPECT_EQ(Clipped("abcd", 3), "abc...");
  EXPECT_EQ(Clipped("aä", 2), "a...");
  EXPECT_EQ(Clipped("a\xFF", 10), "a\uFFFD");
}

TEST(MessageText, ParameterNumbers) {
  EXPECT_EQ(ParameterNumberIn("unnamed portal parameter $2 = '...'"), 2);
  EXPECT_EQ(ParameterNumberIn("costs $ 5"), 0);
}

}  // namespace
}  // namespace engine::db::postgres
