// The calls that a session has in flight, by id.
#ifndef ENGINE_DB_CLIENT_CPP_SRC_CALL_TABLE_H_
#define ENGINE_DB_CLIENT_CPP_SRC_CALL_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "client/cpp/src/call.h"

namespace engine::db::internal {

// An id is generation << 32 | place: a late answer to an earlier call of the same place finds nothing. No id is 0. Not
// thread-safe.
class CallTable {
 public:
  // Returns the call's id.
  uint64_t add(std::shared_ptr<Call> call) {
    if (free_.empty()) {
      free_.push_back(static_cast<uint32_t>(places_.size()));
      places_.emplace_back();
    }
    const uint32_t index = free_.back();
    free_.pop_back();
    places_[index].call = std::move(call);
    return id_of(index);
  }

  // Null for a call that has been released, or never was.
  [[nodiscard]] const std::shared_ptr<Call>& find(uint64_t id) const {
    static const std::shared_ptr<Call> none;
    const size_t index = id & UINT32_MAX;
    return index < places_.size() && places_[index].generation == id >> 32 ? places_[index].call : none;
  }

  // Takes the call out; null like find().
  [[nodiscard]] std::shared_ptr<Call> release(uint64_t id) {
    if (!find(id)) return nullptr;
    const auto index = static_cast<uint32_t>(id & UINT32_MAX);
    ++places_[index].generation;
    free_.push_back(index);
    return std::move(places_[index].call);
  }

  [[nodiscard]] size_t size() const { return places_.size() - free_.size(); }

  // Of all calls.
  [[nodiscard]] std::vector<uint64_t> ids() const {
    std::vector<uint64_t> ids;
    ids.reserve(size());
    for (uint32_t i = 0; i < places_.size(); ++i) {
      if (places_[i].call) ids.push_back(id_of(i));
    }
    return ids;
  }

 private:
  struct Place {
    uint32_t generation = 1;
    std::shared_ptr<Call> call;
  };

  [[nodiscard]] uint64_t id_of(uint32_t index) const { return uint64_t{places_[index].generation} << 32 | index; }

  std::vector<Place> places_;
  std::vector<uint32_t> free_;
};

}  // namespace engine::db::internal

#endif  // ENGINE_DB_CLIENT_CPP_SRC_CALL_TABLE_H_
