// The names that PostgreSQL gives its SQLSTATEs (manual, appendix A).
#ifndef ENGINE_DB_SERVER_POSTGRES_CONDITION_NAME_H_
#define ENGINE_DB_SERVER_POSTGRES_CONDITION_NAME_H_

#include <string>
#include <string_view>

namespace engine::db::postgres {

// "unique_violation" for 23505; the class's name for a code that is not PostgreSQL's own; "an error" for any other
// text.
[[nodiscard]] std::string ConditionName(std::string_view sqlstate);

}  // namespace engine::db::postgres

#endif  // ENGINE_DB_SERVER_POSTGRES_CONDITION_NAME_H_
