#include "server/postgres/digested_result.h"

#include <libpq-fe.h>

#include "absl/hash/hash.h"
#include "absl/strings/string_view.h"

namespace engine::db::postgres {

ResultReceiver::Flow DigestedResult::OnColumns(const PGresult& header) {
  for (int i = 0; i < PQnfields(&header); ++i) {
    digest_ = absl::HashOf(digest_, absl::string_view(PQfname(&header, i)), PQftype(&header, i));
  }
  return receiver_->OnColumns(header);
}

ResultReceiver::Flow DigestedResult::OnRow(const PGresult& result, int row) {
  for (int i = 0; i < PQnfields(&result); ++i) {
    const absl::string_view cell(PQgetvalue(&result, row, i), static_cast<size_t>(PQgetlength(&result, row, i)));
    digest_ = absl::HashOf(digest_, PQgetisnull(&result, row, i), cell);
  }
  return receiver_->OnRow(result, row);
}

void DigestedResult::OnEnd(const absl::StatusOr<Completion>& end) {
  if (end.ok()) on_digest_(absl::HashOf(digest_, absl::string_view(end->command_tag)));
  receiver_->OnEnd(end);  // which may be the end of this object
}

}  // namespace engine::db::postgres
