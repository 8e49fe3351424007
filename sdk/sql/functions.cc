#include "sdk/sql/functions.h"

#include <algorithm>
#include <iterator>

namespace engine::db::sql {
namespace {

// Sorted bytewise; harmless_functions.sql writes it.
constexpr std::string_view kHarmless[] = {
#include "sdk/sql/harmless_functions.inc"
};

// Volatile functions whose effects end with the transaction or lie in the database. nextval and setval are here
// although they set what currval() and lastval() return: so does every INSERT into a table with a serial column, which
// no text shows. The pool sees to that by itself (Lease::ShieldSequences). Sorted.
constexpr std::string_view kWrites[] = {
    "currval",
    "lastval",
    "lo_close",
    "lo_creat",
    "lo_create",
    "lo_from_bytea",
    "lo_get",
    "lo_lseek",
    "lo_lseek64",
    "lo_open",
    "lo_put",
    "lo_tell",
    "lo_tell64",
    "lo_truncate",
    "lo_truncate64",
    "lo_unlink",
    "loread",
    "lowrite",
    "nextval",
    "pg_advisory_xact_lock",
    "pg_advisory_xact_lock_shared",
    "pg_cancel_backend",
    "pg_current_xact_id",
    "pg_export_snapshot",
    "pg_logical_emit_message",
    "pg_notify",
    "pg_reload_conf",
    "pg_stat_clear_snapshot",
    "pg_stat_reset",
    "pg_terminate_backend",
    "pg_try_advisory_xact_lock",
    "pg_try_advisory_xact_lock_shared",
    "setval",
    "txid_current",
};

static_assert(std::is_sorted(std::begin(kHarmless), std::end(kHarmless)));
static_assert(std::is_sorted(std::begin(kWrites), std::end(kWrites)));

}  // namespace

FunctionEffect EffectOf(std::string_view name) {
  if (std::binary_search(std::begin(kHarmless), std::end(kHarmless), name)) return FunctionEffect::kNone;
  if (std::binary_search(std::begin(kWrites), std::end(kWrites), name)) return FunctionEffect::kWrites;
  return FunctionEffect::kUnknown;
}

}  // namespace engine::db::sql
