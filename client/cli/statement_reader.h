// Reads what a batch is made of: statements with ";" between them, or parameters as CSV.
#ifndef ENGINE_DB_CLIENT_CLI_STATEMENT_READER_H_
#define ENGINE_DB_CLIENT_CLI_STATEMENT_READER_H_

#include <cstddef>
#include <istream>
#include <optional>
#include <string>
#include <vector>

#include "engine_db/value.h"

namespace engine::db::cli {

// One run of a batch, and where it begins in its file.
struct BatchRun {
  std::string sql;
  Parameters parameters;
  size_t line = 0;
};

// Reads runs one after the other, in bounded memory.
class RunReader {
 public:
  virtual ~RunReader() = default;
  // Nothing at the end. Throws UsageError, with the line, when the text is broken.
  virtual std::optional<BatchRun> next() = 0;
};

// Statements that end with ";". It only looks for where one ends, which no ";" within strings, quoted names, comments
// or dollar quotes does; what they mean is the gateway's to say. A text without anything but comments is no statement.
class StatementReader final : public RunReader {
 public:
  // `in` must outlive it.
  explicit StatementReader(std::istream& in) : in_(in) {}
  std::optional<BatchRun> next() override;

 private:
  std::optional<char> take();
  bool take_if(char expected);
  void skip_line_comment();
  void skip_block_comment();
  void take_quoted(char quote, bool backslashes);
  void take_dollar_quoted();
  bool after_word() const;
  bool after_escape_mark() const;

  std::istream& in_;
  size_t line_ = 1;
  std::string text_;  // the statement so far
};

// A statement's parameters, a row each: CSV as PostgreSQL writes it (RFC 4180; an empty field is NULL, a quoted empty
// one is an empty text).
class CsvReader final : public RunReader {
 public:
  // `in` must outlive it. With `header` the first row is left out.
  CsvReader(std::istream& in, std::string sql, bool header);
  std::optional<BatchRun> next() override;

 private:
  std::optional<Parameters> read_row();
  Value read_field(bool& row_ends);

  std::istream& in_;
  std::string sql_;
  size_t line_ = 1;
};

}  // namespace engine::db::cli

#endif  // ENGINE_DB_CLIENT_CLI_STATEMENT_READER_H_
