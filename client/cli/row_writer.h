// Writes a result's rows as they come.
#ifndef ENGINE_DB_CLIENT_CLI_ROW_WRITER_H_
#define ENGINE_DB_CLIENT_CLI_ROW_WRITER_H_

#include <memory>
#include <ostream>
#include <vector>

#include "client/cli/output.h"
#include "engine_db/row_batch.h"

namespace engine::db::cli {

// Keeps a bounded number of rows at most. Failures to write show in the stream's state: see require_written().
class RowWriter {
 public:
  virtual ~RowWriter() = default;
  virtual void write(const RowBatch& rows) = 0;
  // After the last row.
  virtual void finish() = 0;
};

// `out` and `columns` must outlive it.
[[nodiscard]] std::unique_ptr<RowWriter> make_row_writer(Format format, const std::vector<Column>& columns,
                                                         std::ostream& out);

}  // namespace engine::db::cli

#endif  // ENGINE_DB_CLIENT_CLI_ROW_WRITER_H_
