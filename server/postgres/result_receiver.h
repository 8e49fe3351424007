// Who gets a statement's result from a backend, piece by piece.
#ifndef ENGINE_DB_SERVER_POSTGRES_RESULT_RECEIVER_H_
#define ENGINE_DB_SERVER_POSTGRES_RESULT_RECEIVER_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "server/postgres/libpq_types.h"
#include "server/postgres/type_catalog.h"

namespace engine::db::postgres {

// How a statement ended that worked.
struct Completion {
  std::string command_tag;    // "INSERT 0 1"
  int64_t rows_affected = 0;  // as the tag counts them; 0 when it does not
  uint64_t rows_received = 0;
  uint64_t bytes_received = 0;  // of their values, about
};

// All calls come on the backend's loop. A receiver must live until OnEnd, or until it is detached from its operation.
class ResultReceiver {
 public:
  enum class Flow : uint8_t {
    kContinue,
    kPause,  // no more rows until Backend::ResumeReading(): its socket is not read meanwhile
  };

  virtual ~ResultReceiver() = default;
  // Before the first row; not at all for a statement that returns no rows. After kPause, what libpq has of the result
  // already still comes.
  [[nodiscard]] virtual Flow OnColumns(const PGresult& header) = 0;
  [[nodiscard]] virtual Flow OnRow(const PGresult& result, int row) = 0;
  // Once, last. The receiver may be destroyed within.
  virtual void OnEnd(const absl::StatusOr<Completion>& end) = 0;
  // A newer catalogue than the one the receiver began with, which it had asked for.
  virtual void SetTypes(const TypeCatalog&) {}
};

}  // namespace engine::db::postgres

#endif  // ENGINE_DB_SERVER_POSTGRES_RESULT_RECEIVER_H_
