#include "client/cli/batch.h"

#include <cstdint>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "client/cli/failure.h"
#include "client/cli/progress.h"
#include "engine_db/postgres_connector.h"

namespace engine::db::cli {
namespace {

// Well below the gateway's bounds of 10,000 runs and 4 MiB a call.
constexpr size_t kRunsPerCall = 1000;
constexpr size_t kBytesPerCall = 1 << 20;

// What goes into one call. Every run is a statement of its own, also where the text repeats, so that an error says
// which one it was.
struct Chunk {
  Batch batch;
  std::vector<size_t> lines;
};

struct Totals {
  uint64_t runs = 0;
  uint64_t failed = 0;
  uint64_t rows_affected = 0;
};

Chunk read_chunk(RunReader& reader, Interrupt& interrupt) {
  Chunk chunk;
  interrupt.listening(false);  // the input may let us wait for ever
  size_t bytes = 0;
  while (chunk.batch.size() < kRunsPerCall && bytes < kBytesPerCall) {
    std::optional<BatchRun> run = reader.next();
    if (!run) break;
    bytes += run->sql.size();
    for (const Value& value : run->parameters) {
      if (const auto* text = std::get_if<std::string>(&value.content())) bytes += text->size();
    }
    chunk.lines.push_back(run->line);
    BatchStatement statement{std::move(run->sql), {}};
    if (!run->parameters.empty()) statement.parameter_lists.push_back(std::move(run->parameters));
    chunk.batch.push_back(std::move(statement));
  }
  interrupt.listening();
  return chunk;
}

void print_failed(const DatabaseError& error, const Chunk& chunk, size_t index, const Context& context) {
  if (index < chunk.batch.size()) {
    context.err << "line " << chunk.lines[index] << ": ";
    print_error(error, chunk.batch[index].sql, context.err);
  } else {
    print_error(error, {}, context.err);
  }
}

void count_results(const BatchResults& results, Totals& totals) {
  for (const BatchEntry& entry : results) {
    ++totals.runs;
    totals.rows_affected += static_cast<uint64_t>(entry.result().rowcount());
  }
}

void write_totals(const Totals& totals, const Context& context) {
  switch (context.format) {
    case Format::kTable:
      context.out << count(totals.runs, "statement") << ", " << count(totals.rows_affected, "row") << " affected";
      if (totals.failed != 0) context.out << ", " << totals.failed << " failed";
      context.out << '\n';
      break;
    case Format::kCsv:
      context.out << "statements,failed,rows_affected\n"
                  << totals.runs << ',' << totals.failed << ',' << totals.rows_affected << '\n';
      break;
    case Format::kJson:
      context.out << "{\"statements\":" << totals.runs << ",\"failed\":" << totals.failed
                  << ",\"rows_affected\":" << totals.rows_affected << "}\n";
  }
  context.out.flush();
  require_written(context.out);
}

// One call where everything fits into one, else one transaction over many calls.
int run_atomic(RunReader& reader, PostgresSyncConnector& connector, bool exactly_once, const Context& context,
               Progress& progress) {
  Totals totals;
  Chunk chunk;
  try {
    chunk = read_chunk(reader, context.interrupt);
    Chunk following = read_chunk(reader, context.interrupt);
    if (chunk.batch.empty()) {
      // Nothing to do, which is done.
    } else if (following.batch.empty()) {
      BatchOptions options{.call = context.call_options(), .atomic = true};
      options.call.exactly_once = exactly_once;
      count_results(connector.execute_batch(chunk.batch, options), totals);
    } else {
      Transaction transaction =
          connector.begin_transaction({.timeout = context.timeout, .stop = context.interrupt.token()});
      while (!chunk.batch.empty()) {
        count_results(transaction.execute_batch(chunk.batch, context.call_options()), totals);
        progress.add(chunk.batch.size());
        chunk = std::exchange(following, read_chunk(reader, context.interrupt));
      }
      transaction.commit();
    }
  } catch (const DatabaseError& error) {
    progress.stop();
    if (context.interrupt.requested() && error.outcome() != Outcome::kUnknown) return kInterrupted;
    const bool is_run = error.phase() != Phase::kCommitting && error.phase() != Phase::kConnecting;
    print_failed(error, chunk, is_run ? error.info().statement_index : chunk.batch.size(), context);
    if (error.outcome() != Outcome::kUnknown && error.outcome() != Outcome::kCommitted) {
      context.err << "Nothing was changed.\n";
    }
    return exit_code_of(error);
  }
  progress.stop();
  write_totals(totals, context);
  return kSuccess;
}

int run_each(RunReader& reader, PostgresSyncConnector& connector, const Context& context, Progress& progress) {
  Totals totals;
  int exit_code = kSuccess;
  for (Chunk chunk = read_chunk(reader, context.interrupt); !chunk.batch.empty();
       chunk = read_chunk(reader, context.interrupt)) {
    for (const BatchEntry& entry : connector.execute_batch(chunk.batch, {.call = context.call_options()})) {
      ++totals.runs;
      if (entry.ok()) {
        totals.rows_affected += static_cast<uint64_t>(entry.result().rowcount());
        continue;
      }
      ++totals.failed;
      try {
        std::rethrow_exception(entry.completion.error());
      } catch (const DatabaseError& error) {
        print_failed(error, chunk, entry.statement_index, context);
        // The first failure's kind, unless one of them may have happened nevertheless.
        if (exit_code == kSuccess || exit_code_of(error) == kOutcomeUnknown) exit_code = exit_code_of(error);
      }
    }
    progress.add(chunk.batch.size());
  }
  progress.stop();
  write_totals(totals, context);
  return exit_code;
}

}  // namespace

int run_batch(RunReader& reader, const BatchArguments& arguments, const Context& context) {
  try {
    PostgresSyncConnector connector(make_target(context.connection),
                                    {.address = context.connection.gateway, .wait = false});
    context.interrupt.listening();
    connector.connect(context.call_options());
    Progress progress(context.err_is_terminal, "statement", context.err);
    const int exit_code = arguments.atomic ? run_atomic(reader, connector, arguments.exactly_once, context, progress)
                                           : run_each(reader, connector, context, progress);
    connector.close();
    return exit_code;
  } catch (const DatabaseError& error) {
    if (context.interrupt.requested() && error.outcome() != Outcome::kUnknown) return kInterrupted;
    print_error(error, {}, context.err);
    return exit_code_of(error);
  }
}

}  // namespace engine::db::cli
