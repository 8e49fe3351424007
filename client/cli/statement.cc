#include "client/cli/statement.h"

#include <memory>
#include <optional>

#include "client/cli/failure.h"
#include "client/cli/progress.h"
#include "client/cli/row_writer.h"
#include "engine_db/postgres_connector.h"

namespace engine::db::cli {
namespace {

void write_summary(const Result::Summary& summary, Format format, std::ostream& out) {
  switch (format) {
    case Format::kTable:
      // A command that touches no rows has no number in its tag: CREATE TABLE.
      if (summary.command_tag.find_first_of("0123456789") == std::string::npos) {
        out << summary.command_tag << '\n';
      } else {
        out << count(static_cast<uint64_t>(summary.rowcount), "row") << " affected\n";
      }
      return;
    case Format::kCsv:
      out << "command_tag,rows_affected\n" << csv_text(summary.command_tag) << ',' << summary.rowcount << '\n';
      return;
    case Format::kJson:
      out << "{\"command_tag\":" << json_text(summary.command_tag) << ",\"rows_affected\":" << summary.rowcount
          << "}\n";
  }
}

// Where rows go to the output, what is affected must not get among them.
void end_result(RowWriter* writer, const Result::Summary& summary, bool say_affected, const Context& context) {
  if (writer != nullptr) writer->finish();
  if (say_affected) {
    if (writer == nullptr) {
      write_summary(summary, context.format, context.out);
    } else if (context.format == Format::kTable) {
      write_summary(summary, context.format, context.err);
    }
  } else if (writer == nullptr) {
    context.err << summary.command_tag << '\n';
  }
  context.out.flush();
  require_written(context.out);
}

void execute(PostgresSyncConnector& connector, const StatementArguments& arguments, const Context& context) {
  CallOptions options = context.call_options();
  options.exactly_once = true;
  const Result result = connector.execute(arguments.sql, arguments.parameters, options);
  std::unique_ptr<RowWriter> writer;
  if (!result.columns().empty() || !result.rows().empty()) {
    writer = make_row_writer(context.format, result.columns(), context.out);
    writer->write(result.rows());
  }
  end_result(writer.get(), {result.rowcount(), result.command_tag(), result.bound_sql(), result.attempts()},
             arguments.say_affected, context);
}

void stream(PostgresSyncConnector& connector, const StatementArguments& arguments, const Context& context) {
  RowStream rows = connector.execute_stream(arguments.sql, arguments.parameters, context.call_options());
  Progress progress(context.err_is_terminal, "row", context.err);
  const std::vector<Column> columns = rows.columns();
  if (context.out_is_terminal) progress.stop();  // rows and the line would get in each other's way
  std::unique_ptr<RowWriter> writer;
  if (!columns.empty()) writer = make_row_writer(context.format, columns, context.out);
  while (const std::optional<RowBatch> batch = rows.next_batch()) {
    if (!writer) writer = make_row_writer(context.format, columns, context.out);  // rows without columns
    writer->write(*batch);
    require_written(context.out);
    progress.add(batch->size());
  }
  progress.stop();
  const Result::Summary* summary = rows.summary();
  if (summary != nullptr) end_result(writer.get(), *summary, arguments.say_affected, context);
}

}  // namespace

int run_statement(const StatementArguments& arguments, const Context& context) {
  try {
    PostgresSyncConnector connector(make_target(context.connection),
                                    {.address = context.connection.gateway, .wait = false});
    context.interrupt.listening();
    connector.connect(context.call_options());
    if (arguments.exactly_once) {
      execute(connector, arguments, context);
    } else {
      stream(connector, arguments, context);
    }
    connector.close();
    return kSuccess;
  } catch (const DatabaseError& error) {
    context.out.flush();
    if (context.interrupt.requested() && error.outcome() != Outcome::kUnknown) return kInterrupted;
    print_error(error, arguments.sql, context.err);
    return exit_code_of(error);
  }
}

}  // namespace engine::db::cli
