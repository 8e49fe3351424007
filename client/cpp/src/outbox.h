// What a session has to send.
#ifndef ENGINE_DB_CLIENT_CPP_SRC_OUTBOX_H_
#define ENGINE_DB_CLIENT_CPP_SRC_OUTBOX_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/db/v1/connector.pb.h"

namespace engine::db::internal {

// Gathers calls into messages while one is being written: the busier, the fewer messages. Calls that can't be sent yet,
// since the session is not connected, are parked. Not thread-safe.
class Outbox {
 public:
  using Parked = std::vector<std::pair<uint64_t, v1::SessionCall>>;

  // Adds a call, serialized but for its correlation id. Returns the number of its message, for has_begun().
  uint64_t add(uint64_t id, std::string_view body);

  void park(uint64_t id, const v1::SessionCall& call);
  // Drops a parked call. Returns whether there was one.
  bool drop_parked(uint64_t id);
  [[nodiscard]] Parked take_parked() { return std::exchange(parked_, {}); }

  // Drops what is not being written.
  void clear();

  // The next message, serialized, if one may be written now; end_write() when that is done.
  [[nodiscard]] std::optional<std::string> begin_write();
  void end_write() { writing_ = false; }
  [[nodiscard]] bool writing() const { return writing_; }
  // No write may begin any more.
  void close() { closed_ = true; }
  [[nodiscard]] bool closed() const { return closed_; }
  // Whether message `number` is being written, or was.
  [[nodiscard]] bool has_begun(uint64_t number) const { return number < begun_; }

 private:
  struct Message {
    std::string bytes;  // a SessionRequest, serialized
    size_t calls = 0;
  };

  std::deque<Message> messages_;
  uint64_t begun_ = 0;
  Parked parked_;
  bool writing_ = false;
  bool closed_ = false;
};

}  // namespace engine::db::internal

#endif  // ENGINE_DB_CLIENT_CPP_SRC_OUTBOX_H_
