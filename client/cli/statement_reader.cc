#include "client/cli/statement_reader.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "client/cli/arguments.h"
#include "client/cli/output.h"
#include "sdk/common/limits.h"

namespace engine::db::cli {
namespace {

constexpr size_t kPiece = 64 << 10;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

std::string lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? char(c + ('a' - 'A')) : c; });
  return result;
}

void skip_byte_order_mark(std::istream& in) {
  size_t got = 0;
  while (got < kByteOrderMark.size() && in.peek() == static_cast<unsigned char>(kByteOrderMark[got])) {
    in.get();
    ++got;
  }
  if (got < kByteOrderMark.size()) {
    for (; got > 0; --got) in.unget();
  }
}

// "\connect", or only "\" where more than a word might be shown.
std::string command_at(std::string_view text) {
  constexpr size_t kMaxBytes = 32;
  const size_t end = std::min(text.find_first_of(" \t\r\n;"), text.size());
  return end <= kMaxBytes ? printable(text.substr(0, end)) : "\\";
}

// The words at the beginning of a statement, and where it is in what it has within itself.
class Inside {
 public:
  // Takes the next token but a ";".
  void take(std::string_view token) {
    constexpr size_t kWords = 4;
    constexpr size_t kLongest = 16;  // of the words that are looked for
    const std::string word = token.size() <= kLongest ? lower(token) : std::string();
    if (words_.size() < kWords) words_.push_back(word);
    const std::string before = std::exchange(before_, word);
    if (is_a({"rule"})) {
      if (word == "(") ++depth_;
      if (word == ")" && depth_ > 0) --depth_;
    } else if (depth_ == 0) {
      if (word == "atomic" && before == "begin" && is_a({"function", "procedure"})) depth_ = 1;
    } else if (before != "." && before != "as") {  // which make a name of any word
      if (word == "case") ++depth_;
      if (word == "end") --depth_;
    }
    copies_in_ |= words_.front() == "copy" && before == "from" && word == "stdin";
  }

  [[nodiscard]] bool empty() const { return words_.empty(); }
  // Whether a ";" belongs to it.
  [[nodiscard]] bool has_semicolons() const { return depth_ > 0; }
  [[nodiscard]] bool copies_in() const { return copies_in_; }

 private:
  // CREATE, or CREATE OR REPLACE, one of these.
  [[nodiscard]] bool is_a(std::initializer_list<std::string_view> kinds) const {
    const auto is_kind = [&](size_t at) {
      return at < words_.size() && std::ranges::find(kinds, words_[at]) != kinds.end();
    };
    return words_[0] == "create" && (is_kind(1) || (words_.size() > 2 && words_[1] == "or" && is_kind(3)));
  }

  std::vector<std::string> words_;
  std::string before_;
  int depth_ = 0;
  bool copies_in_ = false;
};

}  // namespace

std::optional<BatchRun> StatementReader::next() {
  while (complete_.empty()) {
    if (fault_) throw UsageError(*fault_);
    if (ended_) return std::nullopt;
    read_more();
    cut();
  }
  BatchRun run = std::move(complete_.front());
  complete_.pop_front();
  return run;
}

// As much again as there is, so that a long statement is not looked through again for every piece of it.
void StatementReader::read_more() {
  const size_t before = text_.size();
  text_.resize(before + std::max(kPiece, before));
  in_.read(text_.data() + before, static_cast<std::streamsize>(text_.size() - before));
  text_.resize(before + static_cast<size_t>(in_.gcount()));
  ended_ = !in_;
  if (!std::exchange(began_, true) && text_.starts_with(kByteOrderMark)) text_.erase(0, kByteOrderMark.size());
}

void StatementReader::cut() {
  if (const size_t nul = text_.find('\0'); nul != std::string::npos) {
    return fail(nul, "there is a NUL byte: the file must be UTF-8 text");
  }
  auto tokens = sql::Scan(text_);
  if (tokens.ok()) return cut_along(*tokens, text_.size());
  // Something is not closed, perhaps only not yet: what is before it is whole.
  const std::string message = tokens.refusal().message;
  const uint32_t position = tokens.refusal().position;
  if (position == 0) return fail(0, message);
  const size_t at = byte_of(text_, position);
  const size_t line = line_at(at);
  tokens = sql::Scan(text_.substr(0, at));
  if (tokens.ok()) cut_along(*tokens, at);
  if (ended_ && !fault_) fault_ = "line " + std::to_string(line) + ": " + message;
}

void StatementReader::cut_along(const std::vector<sql::Token>& tokens, size_t scanned) {
  Inside inside;
  size_t begin = 0;   // of the statement
  size_t behind = 0;  // the last one that is complete
  for (size_t i = 0; i < tokens.size() && !fault_; ++i) {
    const size_t at = tokens[i].begin;
    const std::string_view token =
        std::string_view(text_).substr(at, std::max(tokens[i].end, tokens[i].begin + 1) - at);
    if (token == "\\") {
      fail(at, command_at(std::string_view(text_).substr(at)) +
                   " is a command of psql, which only psql understands: take its line out, or run the file with psql");
    } else if (token != ";") {
      if (inside.empty()) begin = at;
      inside.take(token);
    } else if (!inside.has_semicolons()) {
      if (!inside.empty()) add(begin, at, inside.copies_in());
      inside = Inside();
      behind = at + 1;
    }
  }
  if (fault_) return;
  const bool is_all = scanned == text_.size();
  if (ended_ && is_all && !inside.empty()) {
    return add(begin, text_.find_last_not_of(" \t\r\n") + 1, inside.copies_in());
  }
  // Comments are passed over; one of a line may go on behind what has been read.
  if (inside.empty()) behind = std::max(behind, is_all ? text_.rfind('\n') + 1 : scanned);
  drop(behind);
  if (text_.size() > limits::kMaxStatementBytes && !ended_) {
    fail(inside.empty() ? 0 : begin - behind, "a statement or a comment has more than " +
                                                  std::to_string(limits::kMaxStatementBytes) +
                                                  " bytes (data go as parameters: --sql with --csv)");
  }
}

void StatementReader::add(size_t begin, size_t end, bool copies_in) {
  if (copies_in) {
    return fail(begin,
                "COPY … FROM stdin takes the data from the lines below it, which only psql can do: run the file "
                "with psql, or make it with pg_dump --inserts");
  }
  complete_.push_back({text_.substr(begin, end - begin), {}, line_at(begin)});
}

void StatementReader::fail(size_t at, const std::string& message) {
  if (!fault_) fault_ = "line " + std::to_string(line_at(at)) + ": " + message;
}

void StatementReader::drop(size_t bytes) {
  line_ = line_at(bytes);
  text_.erase(0, bytes);
  counted_to_ = counted_lines_ = 0;
}

size_t StatementReader::line_at(size_t at) {
  if (at < counted_to_) counted_to_ = counted_lines_ = 0;
  const std::string_view more = std::string_view(text_).substr(counted_to_, at - counted_to_);
  counted_lines_ += static_cast<size_t>(std::ranges::count(more, '\n'));
  counted_to_ = at;
  return line_ + counted_lines_;
}

CsvReader::CsvReader(std::istream& in, std::string sql, bool header) : in_(in), sql_(std::move(sql)) {
  skip_byte_order_mark(in_);
  if (header) read_row();
}

std::optional<BatchRun> CsvReader::next() {
  const size_t line = line_;
  std::optional<Parameters> row = read_row();
  if (!row) return std::nullopt;
  return BatchRun{sql_, *std::move(row), line};
}

std::optional<Parameters> CsvReader::read_row() {
  if (in_.peek() == std::istream::traits_type::eof()) return std::nullopt;
  Parameters row;
  for (bool row_ends = false; !row_ends;) row.push_back(read_field(row_ends));
  return row;
}

// Reads up to and with the "," or the line's end.
Value CsvReader::read_field(bool& row_ends) {
  const size_t begin_line = line_;
  std::string text;
  bool quoted = false;  // it has a quoted part
  bool inside = false;  // the quotes are open
  for (int got = in_.get(); got != std::istream::traits_type::eof(); got = in_.get()) {
    const char letter = std::istream::traits_type::to_char_type(got);
    if (letter == '\n') ++line_;
    if (inside) {
      if (letter != '"') {
        text.push_back(letter);
      } else if (in_.peek() == '"') {
        text.push_back(std::istream::traits_type::to_char_type(in_.get()));
      } else {
        inside = false;
      }
    } else if (letter == '"') {
      quoted = inside = true;
    } else if (letter == ',' || letter == '\n') {
      row_ends = letter == '\n';
      return text.empty() && !quoted ? Value() : Value(std::move(text));
    } else if (letter != '\r' || in_.peek() != '\n') {
      text.push_back(letter);
    }
  }
  if (inside) throw UsageError("line " + std::to_string(begin_line) + ": a quote is not closed");
  row_ends = true;
  return text.empty() && !quoted ? Value() : Value(std::move(text));
}

}  // namespace engine::db::cli
