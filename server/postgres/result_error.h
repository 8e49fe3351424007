// What the caller hears of an error that PostgreSQL reports.
#ifndef ENGINE_DB_SERVER_POSTGRES_RESULT_ERROR_H_
#define ENGINE_DB_SERVER_POSTGRES_RESULT_ERROR_H_

#include <string_view>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "server/postgres/error_texts.h"
#include "server/postgres/libpq_types.h"

namespace engine::db::postgres {

// The error of a result whose status is PGRES_FATAL_ERROR, with as much of its texts as can hold no data; `sql` is what
// was sent: names that stand in it may be shown. DETAIL and CONTEXT are left out. A message that may hold data by its
// kind (see message_sources.h), or that is about a statement which a function made, gives way to its condition's name.
// What a function raised is kept aside for WithoutValues(). `field` gets the number of the parameter that PostgreSQL
// speaks of, as "$2". Its phase is VALIDATING where a command was refused for what it names, before it did anything,
// and COMMITTING where PostgreSQL failed to commit. An error that ends the session, or is libpq's own, comes as
// LinkLost().
[[nodiscard]] absl::Status StatusOfResult(const PGresult& result, std::string_view sql, const ErrorTexts& texts);

// The error with what a function raised in it, and without `values`: those of the parameters of its call. Values that
// `sql`, the caller's text, holds too stay.
[[nodiscard]] absl::Status WithoutValues(const absl::Status& status, absl::Span<const std::string_view> values,
                                         std::string_view sql);

}  // namespace engine::db::postgres

#endif  // ENGINE_DB_SERVER_POSTGRES_RESULT_ERROR_H_
