#include "client/cli/statement_reader.h"

#include <string_view>
#include <utility>

#include "client/cli/arguments.h"

namespace engine::db::cli {
namespace {

bool is_word(char letter) {
  return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') || (letter >= '0' && letter <= '9') ||
         letter == '_' || static_cast<unsigned char>(letter) >= 0x80;
}

bool is_space(char letter) { return letter == ' ' || (letter >= '\t' && letter <= '\r'); }

}  // namespace

std::optional<char> StatementReader::take() {
  const int got = in_.get();
  if (got == std::istream::traits_type::eof()) return std::nullopt;
  const char letter = std::istream::traits_type::to_char_type(got);
  if (letter == '\n') ++line_;
  text_.push_back(letter);
  return letter;
}

bool StatementReader::take_if(char expected) {
  if (in_.peek() != std::istream::traits_type::to_int_type(expected)) return false;
  take();
  return true;
}

// Whether the text before its last letter ends within a word, so that a "$" belongs to it.
bool StatementReader::after_word() const {
  return text_.size() >= 2 && (is_word(text_[text_.size() - 2]) || text_[text_.size() - 2] == '$');
}

// Whether the quote just read is the one of E'…', in which a backslash hides a quote.
bool StatementReader::after_escape_mark() const {
  const size_t size = text_.size();
  return size >= 2 && (text_[size - 2] == 'E' || text_[size - 2] == 'e') && (size == 2 || !is_word(text_[size - 3]));
}

void StatementReader::skip_line_comment() {
  while (const std::optional<char> letter = take()) {
    if (*letter == '\n') return;
  }
}

void StatementReader::skip_block_comment() {
  const size_t begin = line_;
  for (int depth = 1; depth > 0;) {
    const std::optional<char> letter = take();
    if (!letter) throw UsageError("line " + std::to_string(begin) + ": a comment is not closed");
    if (*letter == '*' && take_if('/')) --depth;
    if (*letter == '/' && take_if('*')) ++depth;
  }
}

// A doubled quote inside ends one string and begins the next, which comes to the same.
void StatementReader::take_quoted(char quote, bool backslashes) {
  const size_t begin = line_;
  while (const std::optional<char> letter = take()) {
    if (*letter == quote) return;
    if (*letter == '\\' && backslashes) take();
  }
  throw UsageError("line " + std::to_string(begin) + ": a quote is not closed");
}

void StatementReader::take_dollar_quoted() {
  const size_t begin = text_.size() - 1;
  const size_t begin_line = line_;
  const auto next_is_word = [this] {
    const int next = in_.peek();
    return next != std::istream::traits_type::eof() && is_word(std::istream::traits_type::to_char_type(next));
  };
  if (in_.peek() >= '0' && in_.peek() <= '9') return;  // a parameter: $1
  while (next_is_word()) take();
  if (!take_if('$')) return;
  const std::string tag = text_.substr(begin);
  const size_t content = text_.size();
  while (take()) {
    if (text_.size() >= content + tag.size() && std::string_view(text_).ends_with(tag)) return;
  }
  throw UsageError("line " + std::to_string(begin_line) + ": a dollar quote is not closed");
}

std::optional<BatchRun> StatementReader::next() {
  text_.clear();
  size_t begin_line = 0;  // of the statement itself; 0 while there are only spaces and comments
  while (const std::optional<char> letter = take()) {
    if (is_space(*letter)) continue;
    if (*letter == '-' && take_if('-')) {
      skip_line_comment();
      continue;
    }
    if (*letter == '/' && take_if('*')) {
      skip_block_comment();
      continue;
    }
    if (*letter == ';') {
      if (begin_line != 0) {
        text_.pop_back();
        return BatchRun{std::move(text_), {}, begin_line};
      }
      text_.clear();
      continue;
    }
    if (begin_line == 0) {
      begin_line = line_;
      text_.erase(0, text_.size() - 1);  // comments before it are not worth sending
    }
    if (*letter == '\'') take_quoted('\'', after_escape_mark());
    if (*letter == '"') take_quoted('"', false);
    if (*letter == '$' && !after_word()) take_dollar_quoted();
  }
  if (begin_line == 0) return std::nullopt;
  text_.erase(text_.find_last_not_of(" \t\r\n") + 1);
  return BatchRun{std::move(text_), {}, begin_line};
}

CsvReader::CsvReader(std::istream& in, std::string sql, bool header) : in_(in), sql_(std::move(sql)) {
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
