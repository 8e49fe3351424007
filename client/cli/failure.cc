#include "client/cli/failure.h"

#include <algorithm>

#include "client/cli/output.h"

namespace engine::db::cli {
namespace {

void print_place(std::string_view sql, uint32_t position, std::ostream& err) {
  const size_t at = byte_of(sql, position);
  const size_t line_end = std::min(sql.find('\n', at), sql.size());
  const size_t before = at == 0 ? std::string_view::npos : sql.rfind('\n', at - 1);
  const size_t line_begin = before == std::string_view::npos ? 0 : before + 1;
  const auto number = std::count(sql.begin(), sql.begin() + static_cast<std::ptrdiff_t>(line_begin), '\n') + 1;
  const std::string label = "line " + std::to_string(number) + ": ";
  const std::string left = printable(sql.substr(line_begin, at - line_begin));
  err << label << left << printable(sql.substr(at, line_end - at)) << '\n'
      << std::string(label.size() + display_width(left), ' ') << "^\n";
}

}  // namespace

ExitCode exit_code_of(const DatabaseError& error) {
  if (error.outcome() == Outcome::kUnknown) return kOutcomeUnknown;
  switch (error.kind()) {
    case ErrorKind::kExecution:
      return kExecutionFailed;
    case ErrorKind::kInvalidRequest:
      return kWrongUsage;
    case ErrorKind::kConnection:
      return kNoConnection;
    case ErrorKind::kTimeout:
      return kTimedOut;
    case ErrorKind::kTransaction:
      return kTransactionFailed;
  }
  return kExecutionFailed;
}

void print_error(const DatabaseError& error, std::string_view sql, std::ostream& err) {
  const ErrorInfo& info = error.info();
  err << "error: " << info.message;
  if (!info.sqlstate.empty()) err << " [" << info.sqlstate << ']';
  err << '\n';
  if (info.position != 0 && !sql.empty()) print_place(sql, info.position, err);
  if (!info.hint.empty()) err << "hint: " << info.hint << '\n';
  if (info.rows_delivered != 0) err << count(info.rows_delivered, "row") << " had come before.\n";
  if (info.outcome == Outcome::kUnknown) {
    err << "It is unknown whether the statement took effect: look before repeating it.\n";
  }
  if (info.outcome == Outcome::kCommitted) err << "It took effect all the same.\n";
}

}  // namespace engine::db::cli
