// Which statements one backend has prepared, under which names. Bounded: the least recently used one makes room.
#ifndef ENGINE_DB_SERVER_POSTGRES_PREPARED_STATEMENTS_H_
#define ENGINE_DB_SERVER_POSTGRES_PREPARED_STATEMENTS_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "server/sql/bind.h"

namespace engine::db::postgres {

// How the names of all of them begin.
inline constexpr std::string_view kPreparedNames = "engine_db_";

// Loop thread only.
class PreparedStatements {
 public:
  enum class State {
    kPreparing,  // Parse was sent, its answer has not come: nobody else may rely on it yet
    kPrepared,
  };
  struct Entry {
    std::shared_ptr<const sql::BoundText> text;
    std::string name;
    State state = State::kPreparing;
  };

  explicit PreparedStatements(size_t capacity);

  // The entry of `text`, most recently used from now on; null if there is none.
  [[nodiscard]] Entry* Find(const sql::BoundText& text);
  // Adds one under a new name.
  Entry* Add(std::shared_ptr<const sql::BoundText> text);
  void Remove(const sql::BoundText& text);
  // If there are too many: takes out the least recently used one that is prepared, and gives its name, to be
  // deallocated.
  [[nodiscard]] std::optional<std::string> Evict();
  // They may be out of date, or gone.
  void Clear();
  // Whether they may be used, and others added: for whoever would call Find() and Add(). What is there stays meanwhile.
  void SetEnabled(bool enabled) { enabled_ = enabled; }
  [[nodiscard]] bool enabled() const { return enabled_; }
  [[nodiscard]] size_t size() const { return entries_.size(); }

 private:
  struct Key {
    const sql::BoundText* text;
    friend bool operator==(const Key& a, const Key& b) {
      return a.text == b.text || (a.text->hash == b.text->hash && a.text->sql == b.text->sql &&
                                  a.text->parameter_types == b.text->parameter_types);
    }
    template <typename H>
    friend H AbslHashValue(H h, const Key& key) {
      return H::combine(std::move(h), key.text->hash);
    }
  };

  const size_t capacity_;
  bool enabled_ = true;
  // Begins the names. No two backends have the same: behind a pooler that swaps servers under them, one would run the
  // other's statement.
  const std::string prefix_;
  uint64_t next_name_ = 1;
  std::list<Entry> entries_;  // most recently used first
  absl::flat_hash_map<Key, std::list<Entry>::iterator> index_;
};

}  // namespace engine::db::postgres

#endif  // ENGINE_DB_SERVER_POSTGRES_PREPARED_STATEMENTS_H_
