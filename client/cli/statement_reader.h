// Reads what a batch is made of: statements with ";" between them, or parameters as CSV.
#ifndef ENGINE_DB_CLIENT_CLI_STATEMENT_READER_H_
#define ENGINE_DB_CLIENT_CLI_STATEMENT_READER_H_

#include <cstddef>
#include <deque>
#include <istream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine_db/value.h"
#include "sdk/sql/scanner.h"

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

// Statements that end with ";", told apart by PostgreSQL's own scanner. A ";" ends none within a string, a name, a
// comment, the body of a function (BEGIN ATOMIC … END) or the commands of a rule (DO (a; b)): there is no other place
// in PostgreSQL's grammar. What a statement means is the gateway's to say. A text without anything but comments is no
// statement. What only psql understands is refused by its name: \connect, and COPY … FROM stdin with its data.
class StatementReader final : public RunReader {
 public:
  // `in` must outlive it.
  explicit StatementReader(std::istream& in) : in_(in) {}
  std::optional<BatchRun> next() override;

 private:
  void read_more();
  // Cuts off the statements that are complete.
  void cut();
  // `tokens` are those of the first `scanned` bytes.
  void cut_along(const std::vector<sql::Token>& tokens, size_t scanned);
  void add(size_t begin, size_t end, bool copies_in);
  // The rest of the text is not read.
  void fail(size_t at, const std::string& message);
  void drop(size_t bytes);
  [[nodiscard]] size_t line_at(size_t at);

  std::istream& in_;
  std::string text_;  // from the first statement on that is not complete
  size_t line_ = 1;   // in which text_ begins
  // Up to where lines were counted, and how many there were.
  size_t counted_to_ = 0;
  size_t counted_lines_ = 0;
  bool began_ = false;
  bool ended_ = false;
  std::deque<BatchRun> complete_;
  std::optional<std::string> fault_;  // behind them
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
