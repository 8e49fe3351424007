// What a transaction may have done beside its own server.
#ifndef ENGINE_DB_SERVER_CALL_REACH_H_
#define ENGINE_DB_SERVER_CALL_REACH_H_

#include <algorithm>

#include "server/postgres/elsewhere.h"

namespace engine::db::call {

// A value: copied from a transaction into its calls, and back.
class Reach {
 public:
  // Something is under way that may reach as far as this; the server has not said yet how far it does.
  void Presume(postgres::Elsewhere level) { presumed_ = std::max(presumed_, level); }
  // The server has said how far everything so far reaches.
  void Learn(postgres::Elsewhere level) {
    known_ = std::max(known_, level);
    presumed_ = postgres::Elsewhere::kNothing;
  }

  [[nodiscard]] postgres::Elsewhere known() const { return known_; }
  [[nodiscard]] postgres::Elsewhere at_most() const { return std::max(known_, presumed_); }

 private:
  postgres::Elsewhere known_ = postgres::Elsewhere::kNothing;
  postgres::Elsewhere presumed_ = postgres::Elsewhere::kNothing;
};

}  // namespace engine::db::call

#endif  // ENGINE_DB_SERVER_CALL_REACH_H_
