// Statements of the gateway's own, such as BEGIN.
#ifndef ENGINE_DB_SERVER_POSTGRES_COMMAND_TEXT_H_
#define ENGINE_DB_SERVER_POSTGRES_COMMAND_TEXT_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/hash/hash.h"
#include "server/sql/statement.h"

namespace engine::db::postgres {

// `sql` as an Operation takes it. It must be the gateway's own text: it is not analysed.
[[nodiscard]] inline std::shared_ptr<const sql::BoundText> CommandText(std::string sql) {
  auto text = std::make_shared<sql::BoundText>();
  text->hash = absl::HashOf(sql);
  text->sql = std::move(sql);
  return text;
}

}  // namespace engine::db::postgres

#endif  // ENGINE_DB_SERVER_POSTGRES_COMMAND_TEXT_H_
