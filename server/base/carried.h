// Values that ride in an absl::Status within the process: a payload that owns a T, which is shared by the status's
// copies, is never changed, and does not print.
#ifndef ENGINE_DB_SERVER_BASE_CARRIED_H_
#define ENGINE_DB_SERVER_BASE_CARRIED_H_

#include <memory>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "absl/strings/string_view.h"

namespace engine::db {

// What the payload's Cord owns. Its one byte of text is `mark`: all that is printed, and the way back to `value`, since
// a copied Cord shares its memory.
template <typename T>
struct Carried {
  char mark = '.';
  T value;
};

// Puts `value` into a status that is not OK. One url, which nobody else uses, stands for one T.
template <typename T>
void Carry(absl::string_view url, T value, absl::Status& status) {
  static_assert(std::is_standard_layout_v<Carried<T>>, "the address of the first member must be that of the whole");
  auto carried = std::make_unique<const Carried<T>>(Carried<T>{.value = std::move(value)});
  const absl::string_view mark(&carried->mark, 1);
  status.SetPayload(url, absl::MakeCordFromExternal(mark, [owned = carried.release()] { delete owned; }));
}

// The value that was put there, or null; it lives as long as the status or a copy of it.
template <typename T>
[[nodiscard]] const T* FindCarried(absl::string_view url, const absl::Status& status) {
  const auto payload = status.GetPayload(url);
  if (!payload.has_value()) return nullptr;
  const auto mark = payload->TryFlat();
  return &reinterpret_cast<const Carried<T>*>(mark->data())->value;
}

}  // namespace engine::db

#endif  // ENGINE_DB_SERVER_BASE_CARRIED_H_
