// The receivers and the encoder, on results made by hand.
#include "server/postgres/results.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/base/failure.h"
#include "server/postgres/digested_result.h"
#include "server/postgres/result_encoder.h"
#include "server/postgres/sqlstate.h"
#include "tests/support/scripted_backend.h"

namespace engine::db::postgres {
namespace {

using test::Answer;
using test::MakeResult;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

using Flow = ResultReceiver::Flow;

constexpr uint32_t kBool = 16;
constexpr uint32_t kBytea = 17;
constexpr uint32_t kInt8 = 20;
constexpr uint32_t kText = 25;
constexpr uint32_t kFloat8 = 701;
constexpr uint32_t kOwnType = 99'999;

Answer OneOfEach() {
  return Answer::Rows({{"n", kInt8}, {"d", kFloat8}, {"b", kBool}, {"x", kBytea}, {"t", kText}},
                      {{"-9007199254740993", "0.1", "t", "\\x00ff", "häh"},
                       {std::nullopt, std::nullopt, std::nullopt, std::nullopt, std::nullopt},
                       {"1", "-Infinity", "f", "", ""}});
}

// --- the encoder

TEST(ResultEncoder, RowsHaveOneTypedValueACell) {
  const ResultPtr result = MakeResult(OneOfEach());
  ResultEncoder encoder(*result, v1::RESULT_FORMAT_ROWS);
  v1::ExecuteResponse response;
  for (int row = 0; row < 3; ++row) encoder.Append(*result, row, response.mutable_rows(), nullptr);
  EXPECT_EQ(encoder.rows(), 3U);
  const v1::Row& first = response.rows(0);
  EXPECT_EQ(first.values(0).int64_value(), -9007199254740993);
  EXPECT_EQ(first.values(1).double_value(), 0.1);
  EXPECT_TRUE(first.values(2).bool_value());
  EXPECT_EQ(first.values(3).bytes_value(), std::string("\0\xff", 2));
  EXPECT_EQ(first.values(4).text_value(), "häh");
  for (const v1::Value& value : response.rows(1).values()) EXPECT_EQ(value.kind_case(), v1::Value::kNullValue);
  EXPECT_EQ(response.rows(2).values(4).kind_case(), v1::Value::kTextValue);  // empty is not NULL
}

TEST(ResultEncoder, ColumnsHaveABitForEveryRowOnceOneIsNull) {
  const ResultPtr result = MakeResult(OneOfEach());
  ResultEncoder encoder(*result, v1::RESULT_FORMAT_COLUMNS);
  v1::ColumnBatch batch;
  for (int row = 0; row < 3; ++row) encoder.Append(*result, row, nullptr, &batch);
  EXPECT_EQ(batch.row_count(), 3U);
  EXPECT_THAT(batch.columns(0).int64_values(), ElementsAre(-9007199254740993, 0, 1));
  EXPECT_EQ(batch.columns(0).null_bitmap(), std::string("\x02"));
  EXPECT_EQ(batch.columns(3).data(), std::string("\0\xff", 2));
  EXPECT_THAT(batch.columns(3).lengths(), ElementsAre(2U, 0U, 0U));
  EXPECT_EQ(batch.columns(4).data(), "häh");
  EXPECT_EQ(batch.columns(4).data_kind(), v1::DATA_KIND_TEXT);
}

TEST(ResultEncoder, TextThatIsNotUtf8GoesAsBytes) {
  const ResultPtr result = MakeResult(Answer::Rows({{"t", kText}}, {{"\xff"}}));
  v1::ExecuteResponse rows;
  ResultEncoder(*result, v1::RESULT_FORMAT_ROWS).Append(*result, 0, rows.mutable_rows(), nullptr);
  EXPECT_EQ(rows.rows(0).values(0).bytes_value(), "\xff");
  v1::ColumnBatch batch;
  ResultEncoder(*result, v1::RESULT_FORMAT_COLUMNS).Append(*result, 0, nullptr, &batch);
  EXPECT_EQ(batch.columns(0).data_kind(), v1::DATA_KIND_BYTES);
}

TEST(ResultEncoder, ByteaIsReadInBothForms) {
  const ResultPtr result = MakeResult(Answer::Rows({{"x", kBytea}}, {{"\\x4142"}, {"A\\\\B\\012"}}));
  v1::ExecuteResponse response;
  ResultEncoder encoder(*result, v1::RESULT_FORMAT_ROWS);
  for (int row = 0; row < 2; ++row) encoder.Append(*result, row, response.mutable_rows(), nullptr);
  EXPECT_EQ(response.rows(0).values(0).bytes_value(), "AB");
  EXPECT_EQ(response.rows(1).values(0).bytes_value(), "A\\B\n");
}

TEST(ResultEncoder, ANewMessageBeginsItsCountsAnew) {
  const ResultPtr result = MakeResult(Answer::Rows({{"n", kInt8}}, {{"1"}, {"2"}, {"3"}}));
  ResultEncoder encoder(*result, v1::RESULT_FORMAT_COLUMNS);
  v1::ColumnBatch first;
  encoder.Append(*result, 0, nullptr, &first);
  encoder.Append(*result, 1, nullptr, &first);
  encoder.Begin();
  EXPECT_EQ(encoder.rows(), 0U);
  v1::ColumnBatch second;
  encoder.Append(*result, 2, nullptr, &second);
  EXPECT_THAT(second.columns(0).int64_values(), ElementsAre(3));
  EXPECT_EQ(encoder.total_rows(), 3U);
  EXPECT_EQ(encoder.total_bytes(), 24U);
}

// --- the receivers

class ResultsTest : public ::testing::Test {
 protected:
  TypeNaming Types() {
    return {[this]() -> const TypeCatalog& { return types_; },
            [this](const std::vector<uint32_t>& oids) {
              looked_up_ = oids;
              return finds_types_;
            }};
  }
  EndCallback End() {
    return [this](const absl::StatusOr<Completion>& end) { end_ = end; };
  }
  static void Feed(ResultReceiver& receiver, const Answer& answer) {
    const ResultPtr result = MakeResult(answer);
    static_cast<void>(receiver.OnColumns(*result));
    for (int row = 0; row < static_cast<int>(answer.rows.size()); ++row) {
      static_cast<void>(receiver.OnRow(*result, row));
    }
    receiver.OnEnd(Completed(answer));
  }
  static Completion Completed(const Answer& answer) {
    Completion completion;
    completion.command_tag = answer.tag;
    completion.rows_affected = answer.rows_affected;
    return completion;
  }

  TypeCatalog types_{{{kInt8, "bigint"}, {kText, "text"}}};
  bool finds_types_ = false;
  std::vector<uint32_t> looked_up_;
  std::optional<absl::StatusOr<Completion>> end_;
};

TEST_F(ResultsTest, ACollectedResultIsTheWholeOfIt) {
  v1::ExecuteResponse response;
  CollectedResult receiver(
      v1::RESULT_FORMAT_ROWS, {}, Types(), response, [] { FAIL(); }, End());
  Feed(receiver, Answer::Rows({{"n", kInt8}, {"t", kText}}, {{"1", "one"}, {"2", "two"}}));
  EXPECT_EQ(response.columns(0).type_name(), "bigint");
  EXPECT_EQ(response.columns(1).name(), "t");
  EXPECT_EQ(response.rows_size(), 2);
  EXPECT_EQ(response.command_tag(), "SELECT 2");
  ASSERT_TRUE(end_.has_value() && end_->ok());
  EXPECT_EQ((*end_)->rows_received, 2U);
}

TEST_F(ResultsTest, AResultBeyondItsRowsIsAnErrorAndKeepsNone) {
  v1::ExecuteResponse response;
  int overflows = 0;
  CollectedResult receiver(
      v1::RESULT_FORMAT_ROWS, {.rows = 1}, Types(), response, [&] { ++overflows; }, End());
  Feed(receiver, Answer::Rows({{"n", kInt8}}, {{"1"}, {"2"}, {"3"}}));
  EXPECT_EQ(overflows, 1);
  EXPECT_THAT(response.rows(), IsEmpty());
  ASSERT_TRUE(end_.has_value() && !end_->ok());
  EXPECT_EQ(end_->status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(end_->status()), Reason::kResultTooLarge);
  EXPECT_EQ(FailureOf(end_->status()).outcome, Outcome::kCommitted);
}

TEST_F(ResultsTest, ALostLinkIsMoreInDoubtThanASizeIs) {
  v1::ExecuteResponse response;
  CollectedResult receiver(
      v1::RESULT_FORMAT_ROWS, {.rows = 1}, Types(), response, [] {}, End());
  const Answer answer = Answer::Rows({{"n", kInt8}}, {{"1"}, {"2"}});
  const ResultPtr result = MakeResult(answer);
  static_cast<void>(receiver.OnColumns(*result));
  for (int row = 0; row < 2; ++row) static_cast<void>(receiver.OnRow(*result, row));
  receiver.OnEnd(LinkLost(absl::OkStatus()));
  EXPECT_EQ(ReasonOf(end_->status()), Reason::kLinkLost);
}

TEST_F(ResultsTest, ATypeThatNobodyKnowsYetIsWaitedForOrGoesByItsNumber) {
  const Answer answer = Answer::Rows({{"o", kOwnType}}, {{"x"}});
  const ResultPtr result = MakeResult(answer);
  v1::ExecuteResponse response;
  CollectedResult by_number(
      v1::RESULT_FORMAT_ROWS, {}, Types(), response, [] {}, End());
  EXPECT_EQ(by_number.OnColumns(*result), Flow::kContinue);
  EXPECT_EQ(response.columns(0).type_name(), "oid:99999");
  EXPECT_THAT(looked_up_, ElementsAre(kOwnType));

  finds_types_ = true;
  v1::ExecuteResponse later;
  CollectedResult by_name(
      v1::RESULT_FORMAT_ROWS, {}, Types(), later, [] {}, End());
  EXPECT_EQ(by_name.OnColumns(*result), Flow::kPause);
  by_name.SetTypes(TypeCatalog({{kOwnType, "mood"}}));
  EXPECT_EQ(later.columns(0).type_name(), "mood");
}

class StreamedResultTest : public ResultsTest {
 protected:
  StreamedResult::Write Writes() {
    return [this](std::unique_ptr<v1::ExecuteStreamResponse> message) {
      messages_.push_back(std::move(message));
      return full_ ? Flow::kPause : Flow::kContinue;
    };
  }
  std::vector<int> RowsOfMessages() const {
    std::vector<int> rows;
    for (const auto& message : messages_) rows.push_back(message->rows_size());
    return rows;
  }

  bool full_ = false;
  std::vector<std::unique_ptr<v1::ExecuteStreamResponse>> messages_;
};

TEST_F(StreamedResultTest, TheFirstRowLeavesAtOnceLaterOnesInBatches) {
  StreamedResult receiver(v1::RESULT_FORMAT_ROWS, 2, Types(), Writes(), End());
  Feed(receiver, Answer::Rows({{"n", kInt8}}, {{"1"}, {"2"}, {"3"}, {"4"}}));
  EXPECT_THAT(RowsOfMessages(), ElementsAre(1, 2, 1));
  EXPECT_EQ(messages_[0]->columns_size(), 1);
  EXPECT_EQ(messages_[1]->columns_size(), 0);
  EXPECT_EQ((*end_)->rows_received, 4U);
}

TEST_F(StreamedResultTest, AnEmptyResultStillHasItsColumns) {
  StreamedResult receiver(v1::RESULT_FORMAT_ROWS, 2, Types(), Writes(), End());
  Feed(receiver, Answer::Rows({{"n", kInt8}}, {}));
  EXPECT_THAT(RowsOfMessages(), ElementsAre(0));
  EXPECT_EQ(messages_[0]->columns_size(), 1);
}

TEST_F(StreamedResultTest, AMessageEndsAtItsSizeToo) {
  StreamedResult receiver(v1::RESULT_FORMAT_COLUMNS, 1'000, Types(), Writes(), End());
  const std::string large(70'000, 'x');
  Feed(receiver, Answer::Rows({{"t", kText}}, {{large}, {large}, {large}, {large}}));
  EXPECT_EQ(messages_.size(), 3U);
  EXPECT_EQ(messages_[1]->column_batch().row_count(), 2U);
}

TEST_F(StreamedResultTest, AReaderThatIsFullPausesTheBackend) {
  full_ = true;
  StreamedResult receiver(v1::RESULT_FORMAT_ROWS, 2, Types(), Writes(), End());
  const ResultPtr result = MakeResult(Answer::Rows({{"n", kInt8}}, {{"1"}}));
  EXPECT_EQ(receiver.OnColumns(*result), Flow::kContinue);
  EXPECT_EQ(receiver.OnRow(*result, 0), Flow::kPause);
}

TEST_F(StreamedResultTest, AnErrorSaysHowManyRowsWereHandedOn) {
  StreamedResult receiver(v1::RESULT_FORMAT_ROWS, 10, Types(), Writes(), End());
  const ResultPtr result = MakeResult(Answer::Rows({{"n", kInt8}}, {{"1"}, {"2"}}));
  static_cast<void>(receiver.OnColumns(*result));
  for (int row = 0; row < 2; ++row) static_cast<void>(receiver.OnRow(*result, row));
  receiver.OnEnd(test::SqlError("22012"));
  const Failure detail = FailureOf(end_->status());
  EXPECT_EQ(detail.rows_delivered, 1U);  // the second one had not left
  EXPECT_EQ(detail.phase, Phase::kStreaming);
}

TEST_F(StreamedResultTest, NothingLeavesBeforeItsTypesHaveNames) {
  finds_types_ = true;
  StreamedResult receiver(v1::RESULT_FORMAT_ROWS, 10, Types(), Writes(), End());
  const ResultPtr result = MakeResult(Answer::Rows({{"o", kOwnType}}, {{"x"}}));
  EXPECT_EQ(receiver.OnColumns(*result), Flow::kPause);
  EXPECT_EQ(receiver.OnRow(*result, 0), Flow::kPause);
  EXPECT_THAT(messages_, IsEmpty());
  receiver.SetTypes(TypeCatalog({{kOwnType, "mood"}}));
  receiver.OnEnd(Completion());
  ASSERT_EQ(messages_.size(), 1U);
  EXPECT_EQ(messages_[0]->columns(0).type_name(), "mood");
}

TEST_F(ResultsTest, ADescriptionIsTheColumnsWithoutRows) {
  v1::DescribeResponse response;
  DescribedStatement receiver(Types(), response, End());
  Feed(receiver, Answer::Rows({{"n", kInt8}}, {}));
  EXPECT_EQ(response.columns(0).type_name(), "bigint");
  EXPECT_TRUE(end_->ok());
}

TEST_F(ResultsTest, EqualResultsHaveEqualDigestsAndOthersHaveOthers) {
  const auto digest = [this](const Answer& answer) {
    uint64_t found = 0;
    DigestedResult receiver(std::make_unique<CommandResult>(End()), [&](uint64_t value) { found = value; });
    Feed(receiver, answer);
    EXPECT_TRUE(end_->ok());
    return found;
  };
  const Answer answer = Answer::Rows({{"n", kInt8}}, {{"1"}, {std::nullopt}});
  EXPECT_EQ(digest(answer), digest(answer));
  EXPECT_NE(digest(answer), digest(Answer::Rows({{"n", kInt8}}, {{"1"}, {""}})));
  EXPECT_NE(digest(answer), digest(Answer::Rows({{"m", kInt8}}, {{"1"}, {std::nullopt}})));
  EXPECT_NE(digest(Answer::Command("INSERT 0 1", 1)), digest(Answer::Command("INSERT 0 2", 2)));
}

}  // namespace
}  // namespace engine::db::postgres
