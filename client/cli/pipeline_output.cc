#include "client/cli/pipeline_output.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <string_view>
#include <variant>

#include "client/cli/output.h"
#include "client/cli/pipeline_query.h"
#include "engine_db/builtins/json.h"

namespace engine::db::cli {
namespace {

using builtins::Json;

std::string milliseconds(std::chrono::microseconds duration) {
  std::array<char, 32> buffer{};
  const double number = static_cast<double>(duration.count()) / 1000.0;
  return {buffer.data(),
          std::to_chars(buffer.data(), buffer.data() + buffer.size(), number, std::chars_format::fixed, 1).ptr};
}

std::string_view operation_of(const builtins::Step& step) { return step.database->operation->name(); }

// Texts as they are, everything else as JSON.
std::string shown(const Json& value) { return printable(value.text() != nullptr ? *value.text() : value.dump()); }

// Rows as they come when a step names no response.
void write_rows(const Json& response, std::ostream& out) {
  constexpr size_t kShown = 20;
  const Json::List& rows = *response.object()->find("rows")->list();
  for (size_t i = 0; i < std::min(rows.size(), kShown); ++i) out << "  " << printable(rows[i].dump()) << '\n';
  if (rows.size() > kShown) out << "  … and " << count(rows.size() - kShown, "row") << " more\n";
}

void write_table(const builtins::Step& step, const builtins::StepOutput& output, std::chrono::microseconds took,
                 std::ostream& out) {
  out << printable(step.name) << ": " << operation_of(step);
  if (!output.command_tag.empty()) {
    const bool returned = output.command_tag.starts_with("SELECT") || output.command_tag.starts_with("SHOW") ||
                          output.command_tag.starts_with("EXPLAIN");
    out << ", " << count(static_cast<uint64_t>(output.rowcount), "row") << (returned ? "" : " affected");
  }
  out << ", " << milliseconds(took) << " ms\n";
  if (!step.database->operation->has_query()) return;
  if (step.database->response.empty()) return write_rows(output.response, out);
  const Json::Object& response = *output.response.object();
  for (size_t i = 0; i < response.names.size(); ++i) {
    out << "  " << printable(response.names[i]) << ": " << shown(response.values[i]) << '\n';
  }
}

// Where a parameter comes from.
std::string source_of(const builtins::StepParameter& parameter) {
  if (const auto* path = std::get_if<builtins::JsonPath>(&parameter.source)) {
    return path->text() + (parameter.as_json ? " as JSON" : "");
  }
  if (std::holds_alternative<Expression>(parameter.source)) return "an expression, written into the text";
  return std::string(std::get<Json>(parameter.source).kind()) + " of line " + std::to_string(parameter.line);
}

// "$1", "$2"…; nothing for expressions, which take no slot.
std::vector<std::string> slots_of(const builtins::DatabaseStep& step) {
  std::vector<std::string> slots;
  int slot = 0;
  for (const builtins::StepParameter& parameter : step.parameters) {
    const bool expression = std::holds_alternative<Expression>(parameter.source);
    slots.push_back(expression ? std::string() : "$" + std::to_string(++slot));
  }
  return slots;
}

std::string_view transaction_of(const builtins::DatabaseStep& step) {
  if (step.begins_transaction) return "begins";
  if (step.operation->ends_transaction()) return "ends";
  return step.in_transaction ? "inside" : "none";
}

void write_indented(std::string_view text, std::ostream& out) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    out << "  " << printable(text.substr(0, end)) << '\n';
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

void write_dry_run_table(const builtins::Step& step, std::ostream& out) {
  const builtins::DatabaseStep& database = *step.database;
  const std::string_view transaction = transaction_of(database);
  out << printable(step.name) << ": " << operation_of(step) << " on " << printable(database.server);
  if (transaction == "begins") out << ", begins a transaction";
  if (transaction == "inside") out << ", in the transaction";
  if (transaction == "ends") out << ", ends the transaction";
  out << '\n';
  if (!database.operation->has_query()) return;
  write_indented(bind_query(database).sql, out);
  const std::vector<std::string> slots = slots_of(database);
  for (size_t i = 0; i < slots.size(); ++i) {
    out << "  " << (slots[i].empty() ? "?" : slots[i]) << ": " << printable(source_of(database.parameters[i])) << '\n';
  }
}

Json dry_run_json(const builtins::Step& step) {
  const builtins::DatabaseStep& database = *step.database;
  Json::Object line{{"step", "operation", "server", "transaction"},
                    {step.name, operation_of(step), database.server, transaction_of(database)}};
  if (!database.operation->has_query()) return line;
  Json::List parameters;
  const std::vector<std::string> slots = slots_of(database);
  for (size_t i = 0; i < slots.size(); ++i) {
    parameters.push_back(Json::Object{{"slot", "from"},
                                      {slots[i].empty() ? Json() : Json(slots[i]), source_of(database.parameters[i])}});
  }
  line.add("sql", bind_query(database).sql);
  line.add("parameters", std::move(parameters));
  return line;
}

}  // namespace

void write_step(const builtins::Step& step, const builtins::StepOutput& output, std::chrono::microseconds took,
                const Context& context) {
  if (context.format == Format::kTable) {
    write_table(step, output, took, context.out);
  } else {
    Json::Object line{{"step", "operation", "server"}, {step.name, operation_of(step), step.database->server}};
    if (step.database->operation->has_query()) {
      line.add("rowcount", output.rowcount);
      line.add("response", output.response);
    }
    line.add("ms", Json::number(milliseconds(took)));
    context.out << Json(std::move(line)).dump() << '\n';
  }
  context.out.flush();
  require_written(context.out);
}

void write_skipped(const builtins::Step& step, bool in_input, const Context& context) {
  if (context.format != Format::kTable) return;
  context.out << printable(step.name) << ": " << printable(step.type)
              << (in_input ? ", from the input\n" : ", not run here\n");
}

void write_dry_run(const builtins::Step& step, const Context& context) {
  if (context.format == Format::kTable) {
    write_dry_run_table(step, context.out);
  } else {
    context.out << dry_run_json(step).dump() << '\n';
  }
}

}  // namespace engine::db::cli
