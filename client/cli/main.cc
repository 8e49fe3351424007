// engine-db: PostgreSQL through the gateway, from the command line.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <clocale>
#include <exception>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "client/cli/arguments.h"
#include "client/cli/batch.h"
#include "client/cli/context.h"
#include "client/cli/failure.h"
#include "client/cli/interrupt.h"
#include "client/cli/output.h"
#include "client/cli/pipeline.h"
#include "client/cli/statement.h"
#include "client/cli/statement_reader.h"
#include "client/cli/status.h"
#include "engine_db/gateway_options.h"

namespace engine::db::cli {
namespace {

constexpr char kFooter[] =
    R"(The database is --data-source, --url, or --host with --user and --dbname; without any of them, DB_URL in the environment
(postgresql://user:password@host:port/dbname, with DB_USERNAME in the place of its user). The password is never an argument:
it comes from --ask-password, --password-file, or the environment's ENGINE_DB_PASSWORD, DB_PASSWORD or PGPASSWORD.

Parameters stand for the "?" of the statement, in their order ("??" is a plain "?"):
  --param C-1001                 text; PostgreSQL gives it the type that its place wants
  --param int:5                  also float:1.5, bool:true, bytes:00ff, text:int:5 (the text "int:5")
  --param null:                  NULL
  --param expr:current_timestamp the database's clock; also current_date, current_time, localtimestamp, localtime, default
  --param 'cast:jsonb:{"a": 1}'  where PostgreSQL can't tell the type

Output: --format table (the default on a terminal), csv (elsewhere), or json (one object a line).

Exit codes: 0 done · 1 PostgreSQL refused the statement · 2 wrong usage or request · 3 gateway or database not reached, or
not serving · 4 timed out · 5 the transaction failed as a whole; repeat it · 6 unknown whether a write took effect: look
before repeating · 130 interrupted (the statement is cancelled))";

constexpr char kRunFooter[] =
    R"(The steps of type database run: dbConnection, executeSql, commitSql and rollbackSql. What the others gave comes from --input,
by their names. A step that fails rolls its transaction back and ends the run. sdk/builtins/README.md describes the file.

Where the file has no server block (a bare list of steps), --data-source, --url, --host and the like, or DB_URL, say where the
server is that its steps name.

Output: --format table (the default on a terminal) or json (elsewhere): an object a step, with response and milliseconds.

Exit codes: 0 done, or no fault · 1 a statement was refused · 2 the file, its input or the usage is wrong · 3 gateway or database
not reached · 4 timed out · 5 the transaction failed as a whole; repeat it · 6 unknown whether a write took effect: look before
repeating · 130 interrupted (and rolled back))";

// The command line, as CLI11 fills it in.
struct Arguments {
  ConnectionArguments connection;
  std::string format;
  std::string timeout;
  std::string sql;
  std::string file;
  std::vector<std::string> parameters;
  std::string batch_file;
  std::string batch_sql;
  std::string csv_file;
  bool header = false;
  bool each = false;
  PipelineArguments pipeline;
  bool exactly_once = false;
};

void add_common(CLI::App& command, Arguments& arguments) {
  // No envname(): CLI11 would let the variable of one command replace the option of another.
  command.add_option("--gateway", arguments.connection.gateway,
                     "HOST:PORT or unix:PATH (default: the environment's ENGINE_DB_GATEWAY, or 127.0.0.1:50051)");
  command.add_option("--format", arguments.format, "table, csv or json");
  command.add_option("--timeout", arguments.timeout,
                     "For connecting, and for each call: 500ms, 30s, 5m (default: the connection's)");
}

void add_connection(CLI::App& command, Arguments& arguments) {
  ConnectionArguments& connection = arguments.connection;
  command.add_option("--data-source", connection.data_source, "A target named in the gateway's configuration");
  command.add_option("--url", connection.url, "postgresql://user@host:port/dbname, without a password");
  command.add_option("--host", connection.host, "Host, or the folder of a unix socket");
  command.add_option("--port", connection.port, "Port (default: 5432)");
  command.add_option("--user", connection.user, "Role");
  command.add_option("--dbname", connection.dbname, "Database");
  command.add_option("--tls-mode", connection.tls_mode, "disable, prefer (default), require, verify-ca, verify-full");
  command.add_option("--password-file", connection.password_file, "File whose first line is the password");
  command.add_flag("--ask-password", connection.ask_password, "Ask for the password on the terminal");
}

CLI::App* add_statement_command(CLI::App& app, const char* name, const char* description, Arguments& arguments) {
  CLI::App* command = app.add_subcommand(name, description);
  command->add_option("SQL", arguments.sql, "The statement; - reads it from the standard input");
  command->add_option("--file", arguments.file, "File with the statement");
  // allow_extra_args(false): one value each, or a list would swallow the statement.
  command->add_option("--param,-p", arguments.parameters, "A parameter, repeatable; see below")
      ->allow_extra_args(false);
  add_connection(*command, arguments);
  add_common(*command, arguments);
  command->footer(kFooter);
  return command;
}

void add_exactly_once(CLI::App& command, Arguments& arguments) {
  command.add_flag("--exactly-once", arguments.exactly_once,
                   "Never in doubt: know what took effect even if PostgreSQL's link breaks (PostgreSQL 13, one more "
                   "round trip)");
}

CLI::App* add_batch_command(CLI::App& app, Arguments& arguments) {
  CLI::App* command = app.add_subcommand("batch", "Runs many statements, in one transaction unless --each");
  command->add_option("FILE", arguments.batch_file,
                      "Statements that end with \";\"; - or nothing reads the standard input");
  command->add_option("--sql", arguments.batch_sql, "One statement instead, run once for each row of --csv");
  command->add_option("--csv", arguments.csv_file,
                      "Its parameters; - is the standard input; an empty field is NULL, a quoted one is not");
  command->add_flag("--header", arguments.header, "Leave out the first row of --csv");
  command->add_flag("--each", arguments.each, "Commit each statement by itself, and go on after a failure");
  add_exactly_once(*command, arguments);
  add_connection(*command, arguments);
  add_common(*command, arguments);
  command->footer(kFooter);
  return command;
}

CLI::App* add_run_command(CLI::App& app, Arguments& arguments) {
  CLI::App* command = app.add_subcommand("run", "Runs the database steps of a pipeline file, in their order");
  command->add_option("PIPELINE", arguments.pipeline.file, "The pipeline's YAML; - reads the standard input")
      ->required();
  command->add_option(
      "--input", arguments.pipeline.input,
      "JSON with the outputs of its other steps, {\"step\": {\"field\": 1}}; - reads the standard input");
  command->add_flag("--check", arguments.pipeline.check, "Only look whether all is right; asks no database");
  command->add_flag("--dry-run", arguments.pipeline.dry_run, "Only show what would be sent; asks no database");
  add_connection(*command, arguments);
  add_common(*command, arguments);
  command->footer(kRunFooter);
  return command;
}

int run_batch_command(const Arguments& arguments, const Context& context) {
  if (arguments.exactly_once && arguments.each) throw UsageError("--exactly-once is not for --each");
  if (arguments.batch_sql.empty() != arguments.csv_file.empty()) throw UsageError("--sql and --csv go together");
  if (!arguments.batch_sql.empty() && !arguments.batch_file.empty())
    throw UsageError("either FILE, or --sql with --csv");
  const std::string& name = arguments.batch_sql.empty() ? arguments.batch_file : arguments.csv_file;
  std::ifstream opened;
  const bool standard_input = name.empty() || name == "-";
  if (!standard_input) {
    opened.open(name, std::ios::binary);
    if (!opened) throw UsageError("cannot read " + name);
  }
  std::istream& in = standard_input ? std::cin : opened;
  std::unique_ptr<RunReader> reader;
  if (arguments.batch_sql.empty()) {
    reader = std::make_unique<StatementReader>(in);
  } else {
    reader = std::make_unique<CsvReader>(in, arguments.batch_sql, arguments.header);
  }
  return run_batch(*reader, {.atomic = !arguments.each, .exactly_once = arguments.exactly_once}, context);
}

// A step's response is no table.
Format choose_pipeline_format(const std::string& name, bool terminal) {
  if (name == "csv") throw UsageError("--format of run is table or json");
  return choose_format(name.empty() && !terminal ? "json" : name, terminal);
}

int run(int argc, char** argv) {
  Arguments arguments;
  CLI::App app("PostgreSQL through the engine-db gateway", "engine-db");
  app.require_subcommand(1);
  app.set_version_flag("--version", ENGINE_DB_VERSION);
  const CLI::App* query = add_statement_command(app, "query", "Runs a statement and shows its rows", arguments);
  CLI::App* exec = add_statement_command(app, "exec", "Runs a statement and says what it affected", arguments);
  add_exactly_once(*exec, arguments);
  const CLI::App* batch = add_batch_command(app, arguments);
  const CLI::App* pipeline = add_run_command(app, arguments);
  CLI::App* status = app.add_subcommand("status", "Shows whether the gateway serves, and its pools");
  add_common(*status, arguments);
  app.footer(kFooter);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kSuccess : kWrongUsage;  // --help is a "parse error" too
  }

  if (arguments.connection.gateway.empty()) arguments.connection.gateway = default_gateway_address();
  Interrupt interrupt;
  const bool out_is_terminal = isatty(STDOUT_FILENO) == 1;
  const Context context{
      .connection = arguments.connection,
      // The status is for people, also where a container's log is all they see.
      .format = *pipeline ? choose_pipeline_format(arguments.format, out_is_terminal)
                          : choose_format(arguments.format, out_is_terminal || static_cast<bool>(*status)),
      .timeout = arguments.timeout.empty() ? std::chrono::milliseconds(0) : parse_duration(arguments.timeout),
      .out_is_terminal = out_is_terminal,
      .err_is_terminal = isatty(STDERR_FILENO) == 1,
      .out = std::cout,
      .err = std::cerr,
      .interrupt = interrupt,
  };
  if (*status) return run_status(context);
  if (*pipeline) return run_pipeline(arguments.pipeline, context);
  if (*batch) return run_batch_command(arguments, context);
  if (!*query && !*exec) return kWrongUsage;
  return run_statement({.sql = read_sql(arguments.sql, arguments.file),
                        .parameters = parse_parameters(arguments.parameters),
                        .say_affected = static_cast<bool>(*exec),
                        .exactly_once = arguments.exactly_once},
                       context);
}

}  // namespace
}  // namespace engine::db::cli

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  // So that wcwidth() knows the characters of the tables, whatever the user's locale is.
  if (std::setlocale(LC_CTYPE, "C.UTF-8") == nullptr) std::setlocale(LC_CTYPE, "");
  using namespace engine::db;
  try {
    return cli::run(argc, argv);
  } catch (const DatabaseError& error) {
    cli::print_error(error, {}, std::cerr);
    return cli::exit_code_of(error);
  } catch (const cli::UsageError& error) {
    std::cerr << "error: " << error.what() << '\n';
    return cli::kWrongUsage;
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << '\n';
    return cli::kExecutionFailed;
  }
}
