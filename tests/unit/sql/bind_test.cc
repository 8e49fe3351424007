// Parameters in PostgreSQL's form.
#include "server/sql/bind.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstdlib>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include "sdk/common/limits.h"
#include "server/base/failure.h"

namespace engine::db::sql {
namespace {

using Parameters = google::protobuf::RepeatedPtrField<v1::Value>;

v1::Value Text(std::string text, std::string type = "") {
  v1::Value value;
  value.set_text_value(std::move(text));
  value.set_type_name(std::move(type));
  return value;
}
v1::Value Bytes(std::string bytes, std::string type = "") {
  v1::Value value;
  value.set_bytes_value(std::move(bytes));
  value.set_type_name(std::move(type));
  return value;
}
v1::Value Int(int64_t number) {
  v1::Value value;
  value.set_int64_value(number);
  return value;
}
v1::Value Double(double number) {
  v1::Value value;
  value.set_double_value(number);
  return value;
}
v1::Value Bool(bool truth) {
  v1::Value value;
  value.set_bool_value(truth);
  return value;
}
v1::Value Null(std::string type = "") {
  v1::Value value;
  value.set_null_value(google::protobuf::NULL_VALUE);
  value.set_type_name(std::move(type));
  return value;
}
v1::Value Expression(v1::Expression expression) {
  v1::Value value;
  value.set_expression_value(expression);
  return value;
}

Parameters List(std::initializer_list<v1::Value> values) { return {values.begin(), values.end()}; }

absl::StatusOr<BoundStatement> TryBind(std::string_view sql, const Parameters& parameters) {
  auto statement = Analyze(sql);
  if (!statement.ok()) return statement.status();
  return Bind(*statement, parameters);
}

BoundStatement MustBind(std::string_view sql, const Parameters& parameters) {
  auto bound = TryBind(sql, parameters);
  EXPECT_TRUE(bound.ok()) << bound.status();
  return bound.ok() ? *std::move(bound) : BoundStatement();
}

std::string TextOf(const BoundStatement& bound, int i) {
  EXPECT_LT(i, bound.parameters.size());
  EXPECT_NE(bound.parameters.values()[i], nullptr);
  std::string text(bound.parameters.values()[i], static_cast<size_t>(bound.parameters.lengths()[i]));
  EXPECT_EQ(bound.parameters.values()[i][text.size()], '\0');
  return text;
}

std::string TextOf(const v1::Value& value) {
  const BoundStatement bound = MustBind("SELECT ?", List({value}));
  EXPECT_EQ(bound.parameters.formats()[0], 0);
  return TextOf(bound, 0);
}

Failure Refused(std::string_view sql, const Parameters& parameters) {
  const auto bound = TryBind(sql, parameters);
  EXPECT_FALSE(bound.ok()) << sql;
  EXPECT_EQ(bound.status().code(), absl::StatusCode::kInvalidArgument);
  Failure error = FailureOf(bound.status());
  EXPECT_EQ(error.kind, ErrorKind::kInvalidRequest);
  EXPECT_EQ(error.outcome, Outcome::kNotExecuted);
  return error;
}

TEST(US005ParameterBinding, ValidPlaceholderCountIsBound) {
  const BoundStatement bound = MustBind("SELECT * FROM t WHERE a = ? AND b = ?", List({Int(1), Text("x")}));
  EXPECT_EQ(bound.text->sql, "SELECT * FROM t WHERE a = $1 AND b = $2");
  EXPECT_EQ(bound.parameters.size(), 2);
}

TEST(US005ParameterBinding, ParametersAreBoundInTheOrderGiven) {
  const BoundStatement bound =
      MustBind("INSERT INTO t VALUES (?, ?, ?)", List({Text("first"), Text("second"), Text("third")}));
  EXPECT_EQ(TextOf(bound, 0), "first");
  EXPECT_EQ(TextOf(bound, 1), "second");
  EXPECT_EQ(TextOf(bound, 2), "third");
}

TEST(US005ParameterBinding, TooManyParametersIsAClearError) {
  const Failure error = Refused("SELECT ?, ?", List({Int(1), Int(2), Int(3)}));
  EXPECT_EQ(error.field, "parameters");
  EXPECT_EQ(error.reason, Reason::kParameterCount);
  EXPECT_EQ(error.message, "the statement has 2 placeholders (?) but 3 parameters were given");
}

TEST(US005ParameterBinding, TooFewParametersIsAClearError) {
  EXPECT_EQ(Refused("SELECT ?, ?", List({Int(1)})).message,
            "the statement has 2 placeholders (?) but 1 parameter was given");
  EXPECT_EQ(Refused("SELECT ?", {}).message, "the statement has 1 placeholder (?) but 0 parameters were given");
  EXPECT_EQ(Refused("SELECT $1, $3", List({Int(1)})).message,
            "the statement has parameters up to $3 but 1 parameter was given");
}

TEST(US005ParameterBinding, TheReturnedTextHasItsSubstitutions) {
  const BoundStatement bound = MustBind("UPDATE t SET a = ?, at = ? WHERE id = ?",
                                        List({Text("x"), Expression(v1::EXPRESSION_CURRENT_TIMESTAMP), Int(7)}));
  EXPECT_EQ(bound.text->sql, "UPDATE t SET a = $1, at = CURRENT_TIMESTAMP WHERE id = $2");
}

TEST(US005ParameterBinding, LiteralOnlyParametersConsumeNoPlaceholderSlots) {
  const BoundStatement bound = MustBind("INSERT INTO t VALUES (?, ?,?)", List({Expression(v1::EXPRESSION_DEFAULT),
                                                                               Expression(v1::EXPRESSION_CURRENT_DATE),
                                                                               Expression(v1::EXPRESSION_LOCALTIME)}));
  EXPECT_EQ(bound.text->sql, "INSERT INTO t VALUES (DEFAULT, CURRENT_DATE,LOCALTIME)");
  EXPECT_EQ(bound.parameters.size(), 0);
}

TEST(US005ParameterBinding, LiteralExpressionsMixWithBoundParameters) {
  const BoundStatement bound =
      MustBind("INSERT INTO t VALUES (?, ?, ?, ?, ?)", List({Int(1), Expression(v1::EXPRESSION_CURRENT_TIME), Int(2),
                                                             Expression(v1::EXPRESSION_LOCALTIMESTAMP), Int(3)}));
  EXPECT_EQ(bound.text->sql, "INSERT INTO t VALUES ($1, CURRENT_TIME, $2, LOCALTIMESTAMP, $3)");
  ASSERT_EQ(bound.parameters.size(), 3);
  EXPECT_EQ(TextOf(bound, 2), "3");
}

TEST(US005ParameterBinding, AnExpressionInTextIsText) {
  const BoundStatement bound = MustBind("SELECT ?", List({Text("CURRENT_TIMESTAMP")}));
  EXPECT_EQ(bound.text->sql, "SELECT $1");
  EXPECT_EQ(TextOf(bound, 0), "CURRENT_TIMESTAMP");
}

TEST(CountMismatch, MentionsTheOperatorsWhereTheyMayBeTheCause) {
  for (const std::string_view sql :
       {"SELECT a ? 'k' FROM t", "SELECT a ?| ARRAY['k'] FROM t", "SELECT a ?& b FROM t", "SELECT a @? '$.b' FROM t",
        "SELECT a ? ? FROM t", "SELECT a ? array['k'] FROM t"}) {
    EXPECT_NE(Refused(sql, {}).message.find("??"), std::string::npos) << sql;
  }
  EXPECT_EQ(Refused("SELECT a = ? FROM t LIMIT ?", {}).message.find("??"), std::string::npos);
}

TEST(CountMismatch, SaysWhereOtherQuestionMarksWent) {
  EXPECT_EQ(
      Refused("SELECT a ?\? ? FROM t", List({Text("k"), Int(1)})).message,
      "the statement has 1 placeholder (?) but 2 parameters were given; ?\? is the operator ?, not a placeholder");
  EXPECT_EQ(Refused("SELECT '?', ? -- ?", List({Int(1), Int(2)})).message,
            "the statement has 1 placeholder (?) but 2 parameters were given; a ? in a string, a name or a comment is "
            "not a placeholder");
}

TEST(Expressions, AreKeptApartFromWhatStandsBesideThem) {
  EXPECT_EQ(
      MustBind("SELECT a FROM t WHERE b>?AND?<c", List({Expression(v1::EXPRESSION_CURRENT_DATE), Int(1)})).text->sql,
      "SELECT a FROM t WHERE b>CURRENT_DATE AND $1<c");
  EXPECT_EQ(MustBind("SELECT 6.?", List({Expression(v1::EXPRESSION_CURRENT_DATE)})).text->sql,
            "SELECT 6. CURRENT_DATE");
}

TEST(Expressions, OfWhichThereIsAClosedList) {
  EXPECT_EQ(Refused("SELECT ?", List({Expression(v1::EXPRESSION_UNSPECIFIED)})).reason, Reason::kUnknownExpression);
  const Failure error = Refused("SELECT ?, ?", List({Int(1), Expression(static_cast<v1::Expression>(99))}));
  EXPECT_EQ(error.reason, Reason::kUnknownExpression);
  EXPECT_EQ(error.field, "parameters[1]");
}

TEST(Expressions, NeedAQuestionMarkAndHaveNoType) {
  EXPECT_EQ(Refused("SELECT $1", List({Expression(v1::EXPRESSION_CURRENT_DATE)})).reason,
            Reason::kExpressionWithNumberedParameters);
  v1::Value typed = Expression(v1::EXPRESSION_CURRENT_DATE);
  typed.set_type_name("text");
  EXPECT_EQ(Refused("SELECT ?", List({typed})).reason, Reason::kTypedExpression);
}

TEST(Expressions, PositionsLeadBackToTheCallersText) {
  const BoundStatement bound = MustBind("SELECT ?, ?, x", List({Expression(v1::EXPRESSION_CURRENT_TIMESTAMP), Int(1)}));
  EXPECT_EQ(bound.text->sql, "SELECT CURRENT_TIMESTAMP, $1, x");
  EXPECT_EQ(bound.PositionInCallerText(20), 8U);
  EXPECT_EQ(bound.PositionInCallerText(27), 11U);
  EXPECT_EQ(bound.PositionInCallerText(31), 14U);
}

TEST(Texts, AreSharedUnlessTypesOrExpressionsDiffer) {
  const auto statement = *Analyze("SELECT ?, ?");
  const auto text = [&statement](const Parameters& parameters) { return Bind(statement, parameters)->text; };
  const auto plain = text(List({Text("1"), Text("x")}));
  EXPECT_EQ(plain, statement->text());
  EXPECT_EQ(text(List({Null(), Text("")})), plain);
  const auto typed = text(List({Text("1"), Text("x", "jsonb")}));
  EXPECT_NE(*typed, *plain);
  EXPECT_NE(typed->hash, plain->hash);
  EXPECT_EQ(typed->parameter_types, (std::vector<uint32_t>{0, 3802}));
  EXPECT_EQ(text(List({Null(), Text("y", "jsonb")})), typed);
  const auto spliced = text(List({Expression(v1::EXPRESSION_CURRENT_DATE), Int(1)}));
  EXPECT_EQ(text(List({Expression(v1::EXPRESSION_CURRENT_DATE), Int(2)})), spliced);
  EXPECT_NE(*text(List({Expression(v1::EXPRESSION_CURRENT_TIME), Int(2)})), *spliced);
  for (int i = 0; i < 20; ++i) {  // more variants than are kept
    const auto one = text(List({Text("", i % 2 == 0 ? "int" : "text"), Text("", i % 3 == 0 ? "uuid" : "date")}));
    EXPECT_EQ(one->parameter_types.size(), 2U);
    EXPECT_EQ(one->sql, "SELECT $1, $2");
  }
}

TEST(Texts, NameTextWherePostgresqlWouldInferNone) {
  using Types = std::vector<uint32_t>;
  constexpr char kSql[] = "SELECT concat(?, ?), ? IS NULL, a = ?";
  const BoundStatement usual = MustBind(kSql, List({Text("a"), Null(), Null(), Text("b")}));
  EXPECT_EQ(usual.text->parameter_types, (Types{25, 25, 25, 0}));
  EXPECT_EQ(usual.text, usual.statement->text()) << "what Describe prepares";
  EXPECT_EQ(usual.text->parameter_count, 4U);
  // Values that have a type keep it.
  const BoundStatement typed = MustBind(kSql, List({Int(1), Text("x", "date"), Bool(true), Null()}));
  EXPECT_EQ(typed.text->parameter_types, (Types{23, 1082, 16, 0}));
  const BoundStatement cast = MustBind(kSql, List({Text("x", "my.type"), Text("x"), Null(), Null()}));
  EXPECT_EQ(cast.text->parameter_types, (Types{0, 25, 25, 0}));
  // Expressions take no place.
  const BoundStatement spliced = MustBind(kSql, List({Expression(v1::EXPRESSION_CURRENT_DATE), Text("x"),
                                                      Expression(v1::EXPRESSION_CURRENT_DATE), Text("y")}));
  EXPECT_EQ(spliced.text->parameter_types, (Types{25, 0}));
  EXPECT_EQ(spliced.text->parameter_count, 2U);
}

TEST(Encoding, Integers) {
  EXPECT_EQ(TextOf(Int(0)), "0");
  EXPECT_EQ(TextOf(Int(-7)), "-7");
  EXPECT_EQ(TextOf(Int(std::numeric_limits<int64_t>::min())), "-9223372036854775808");
  EXPECT_EQ(TextOf(Int(std::numeric_limits<int64_t>::max())), "9223372036854775807");
}

TEST(Encoding, DoublesAsPostgreSqlSpellsThem) {
  using Limits = std::numeric_limits<double>;
  EXPECT_EQ(TextOf(Double(0)), "0");
  EXPECT_EQ(TextOf(Double(-0.0)), "-0");
  EXPECT_EQ(TextOf(Double(0.1)), "0.1");
  EXPECT_EQ(TextOf(Double(100'000)), "100000");  // an integer column would refuse 1e+05
  EXPECT_EQ(TextOf(Double(-9007199254740992.0)), "-9007199254740992");
  EXPECT_EQ(TextOf(Double(Limits::quiet_NaN())), "NaN");
  EXPECT_EQ(TextOf(Double(-Limits::quiet_NaN())), "NaN");
  EXPECT_EQ(TextOf(Double(Limits::infinity())), "Infinity");
  EXPECT_EQ(TextOf(Double(-Limits::infinity())), "-Infinity");
}

TEST(Encoding, DoublesComeBackBitByBit) {
  uint64_t random = 42;
  for (int i = 0; i < 20'000; ++i) {
    random = random * 6'364'136'223'846'793'005U + 1'442'695'040'888'963'407U;
    const auto number = std::bit_cast<double>(random);
    if (number != number) continue;
    const std::string text = TextOf(Double(number));
    if (text.ends_with("Infinity")) continue;
    EXPECT_EQ(std::bit_cast<uint64_t>(std::strtod(text.c_str(), nullptr)), random) << text;
  }
}

TEST(Encoding, BooleansTextAndNull) {
  EXPECT_EQ(TextOf(Bool(true)), "true");
  EXPECT_EQ(TextOf(Bool(false)), "false");
  EXPECT_EQ(TextOf(Text("")), "");
  EXPECT_EQ(TextOf(Text("grüße 🦣 'x' ?")), "grüße 🦣 'x' ?");
  const BoundStatement bound = MustBind("SELECT ?, ?", List({Null(), Text("")}));
  EXPECT_EQ(bound.parameters.values()[0], nullptr);
  EXPECT_NE(bound.parameters.values()[1], nullptr);  // NULL is never the empty string
}

TEST(Encoding, BytesAreBinaryByteaUnlessAnotherTypeIsNamed) {
  const std::string bytes("\0\x01\xff'\\", 5);
  for (const std::string type : {"", "bytea"}) {
    const BoundStatement bound = MustBind("SELECT ?", List({Bytes(bytes, type)}));
    EXPECT_EQ(bound.text->parameter_types, std::vector<uint32_t>{17});
    EXPECT_EQ(bound.parameters.formats()[0], 1);
    EXPECT_EQ(TextOf(bound, 0), bytes);
  }
  const BoundStatement bound = MustBind("SELECT ?", List({Bytes(bytes, "text")}));
  EXPECT_EQ(bound.text->parameter_types, std::vector<uint32_t>{25});
  EXPECT_EQ(bound.parameters.formats()[0], 0);
  EXPECT_EQ(TextOf(bound, 0), "\\x0001ff275c");
  const BoundStatement empty = MustBind("SELECT ?", List({Bytes("")}));
  EXPECT_NE(empty.parameters.values()[0], nullptr);
  EXPECT_EQ(empty.parameters.lengths()[0], 0);
}

TEST(Encoding, ManyParametersKeepTheirPlaces) {
  Parameters parameters;
  std::string sql = "SELECT ?";
  for (int i = 0; i < 5'000; ++i) {
    *parameters.Add() = i % 3 == 0 ? Null() : i % 3 == 1 ? Int(i) : Text(std::string(static_cast<size_t>(i % 50), 'x'));
    if (i > 0) sql += ", ?";
  }
  const BoundStatement bound = MustBind(sql, parameters);
  ASSERT_EQ(bound.parameters.size(), 5'000);
  for (int i = 0; i < 5'000; ++i) {
    if (i % 3 == 0) {
      EXPECT_EQ(bound.parameters.values()[i], nullptr);
    } else {
      EXPECT_EQ(TextOf(bound, i), i % 3 == 1 ? std::to_string(i) : std::string(static_cast<size_t>(i % 50), 'x'));
    }
  }
}

TEST(Encoding, ParametersMayBeMovedAndOutliveTheRequest) {
  BoundStatement bound;
  {
    Parameters parameters = List({Text("short"), Text(std::string(1'000, 'y'))});
    BoundStatement first = MustBind("SELECT ?, ?", parameters);
    bound = std::move(first);
  }
  EXPECT_EQ(TextOf(bound, 0), "short");
  EXPECT_EQ(TextOf(bound, 1), std::string(1'000, 'y'));
}

TEST(Types, AreThoseOfTheKindUnlessOneIsNamed) {
  constexpr int64_t kMaxInt = std::numeric_limits<int32_t>::max();
  const BoundStatement bound = MustBind(
      "SELECT ?, ?, ?, ?, ?, ?, ?, ?",
      List({Bool(true), Int(kMaxInt), Int(-kMaxInt - 1), Int(kMaxInt + 1), Double(1), Text("x"), Null(), Bytes("")}));
  EXPECT_EQ(bound.text->parameter_types, (std::vector<uint32_t>{16, 23, 23, 20, 701, 0, 0, 17}));
  v1::Value number = Int(5);
  number.set_type_name("numeric");
  EXPECT_EQ(MustBind("SELECT ?", List({number})).text->parameter_types, std::vector<uint32_t>{1700});
}

TEST(Types, ThatAreNotBuiltInAreCastTo) {
  const BoundStatement bound =
      MustBind("SELECT ?, ?[1], ?, ?::text",
               List({Text("1", "int"), Text("{}", "public.mood[]"), Null("uuid[]"), Text("1.5", "numeric(10,2)")}));
  EXPECT_EQ(bound.text->sql, "SELECT $1, ($2::public.mood[])[1], $3, ($4::numeric(10, 2))::text");
  EXPECT_EQ(bound.text->parameter_types, (std::vector<uint32_t>{23, 0, 2951, 0}));
  EXPECT_EQ(bound.PositionInCallerText(16), 11U);  // somewhere in the cast: where the ? stands
  EXPECT_EQ(bound.PositionInCallerText(36), 17U);
  const Failure numbered = Refused("SELECT $1", List({Text("x", "mood")}));
  EXPECT_EQ(numbered.reason, Reason::kTypeWithNumberedParameters);
  EXPECT_EQ(numbered.field, "parameters[0].type_name");
  EXPECT_NE(numbered.message.find("$1::mood"), std::string::npos);
  EXPECT_EQ(MustBind("SELECT $1", List({Text("x", "date")})).text->parameter_types, std::vector<uint32_t>{1082});
}

TEST(Types, CastsOutliveTheMoveOfTheirStatement) {
  BoundStatement bound;
  {
    BoundStatement first = MustBind("SELECT ?, ?", List({Text("x", "a"), Text("x", "quite_a_long_name_of_a_type")}));
    bound = std::move(first);
  }
  EXPECT_EQ(bound.expressions[0], "::a");
  EXPECT_EQ(bound.expressions[1], "::quite_a_long_name_of_a_type");
}

TEST(Types, UnknownOnesAreRefusedByName) {
  const Failure error = Refused("SELECT ?, ?", List({Int(1), Text("secret", "no\nsuch")}));
  EXPECT_EQ(error.field, "parameters[1].type_name");
  EXPECT_EQ(error.reason, Reason::kUnknownType);
  EXPECT_NE(error.message.find("no\\nsuch"), std::string::npos);
  EXPECT_EQ(error.message.find("secret"), std::string::npos);
  EXPECT_EQ(Refused("SELECT ?", List({Text("x", std::string(129, 'x'))})).reason, Reason::kTypeNameTooLong);
}

TEST(Refusals, ValuesThatPostgreSqlCannotHold) {
  const Failure nul = Refused("SELECT ?, ?", List({Int(1), Text(std::string("secret\0x", 8))}));
  EXPECT_EQ(nul.field, "parameters[1]");
  EXPECT_EQ(nul.reason, Reason::kNulByte);
  EXPECT_EQ(nul.message.find("secret"), std::string::npos);
  const Failure none = Refused("SELECT ?", List({v1::Value()}));
  EXPECT_EQ(none.field, "parameters[0]");
  EXPECT_EQ(none.reason, Reason::kNoValue);
  EXPECT_NE(none.message.find("null_value"), std::string::npos);
}

TEST(Refusals, MoreParametersThanTheProtocolCounts) {
  Parameters parameters;
  for (int i = 0; i <= limits::kMaxParameters; ++i) *parameters.Add() = Int(i);
  EXPECT_EQ(Refused("SELECT ?", parameters).reason, Reason::kTooManyParameters);
}

}  // namespace
}  // namespace engine::db::sql
