// Where a statement may take effect beside this server's own transaction, and how PostgreSQL is asked about it.
#ifndef ENGINE_DB_SERVER_POSTGRES_ELSEWHERE_H_
#define ENGINE_DB_SERVER_POSTGRES_ELSEWHERE_H_

#include <cstdint>
#include <string>

namespace engine::db::postgres {

// When effects outside of this server come about. In the order of what they leave open.
enum class Elsewhere : uint8_t {
  // There are none.
  kNothing,
  // With COMMIT, just before this server's own, and not undone if that fails then: postgres_fdw (manual, F.38.4),
  // Citus.
  kAtCommit,
  // While the statement runs, and not undone by a rollback: other foreign tables, dblink, functions in languages that
  // may do anything.
  kAtOnce,
};

// What a database has by which its statements may act elsewhere.
struct Surroundings {
  Elsewhere foreign = Elsewhere::kNothing;    // by foreign tables, whatever their kind; or Citus's distributed ones
  Elsewhere functions = Elsewhere::kNothing;  // by functions

  [[nodiscard]] bool any() const { return foreign != Elsewhere::kNothing || functions != Elsewhere::kNothing; }
};

// SQL expressions of type integer, an Elsewhere each; NULL for kNothing. They stand in any search_path.

// Of the database: Surroundings::foreign and Surroundings::functions. Three catalogues of a few rows each.
[[nodiscard]] const std::string& ForeignSurroundingsSql();
[[nodiscard]] const std::string& FunctionSurroundingsSql();
// Of the open transaction, by the locks that it holds on what it has used (held until it ends): by foreign tables.
[[nodiscard]] const std::string& ForeignPartSql();
// Boolean, and of the open transaction likewise: whether a view, trigger, policy, default, check or index expression of
// a table that it has used calls a function that is not PostgreSQL's own.
[[nodiscard]] const std::string& CallsFunctionsSql();

// The cell of one of these integers.
[[nodiscard]] Elsewhere ElsewhereOf(int level);

}  // namespace engine::db::postgres

#endif  // ENGINE_DB_SERVER_POSTGRES_ELSEWHERE_H_
