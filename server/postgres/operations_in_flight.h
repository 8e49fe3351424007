// What stands in a backend's pipeline, in the order of its answers.
#ifndef ENGINE_DB_SERVER_POSTGRES_OPERATIONS_IN_FLIGHT_H_
#define ENGINE_DB_SERVER_POSTGRES_OPERATIONS_IN_FLIGHT_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/postgres/backend.h"
#include "server/postgres/result_receiver.h"
#include "server/sql/bind.h"

namespace engine::db::postgres {

// An operation whose end has not come.
struct InFlight {
  // What of it is awaited next.
  enum class Stage : uint8_t { kPrepare, kResult, kSync };

  Backend::OperationId id = 0;
  std::shared_ptr<const sql::BoundText> text;  // null: the caller asked for a Sync only, or it is the backend's own
  ResultReceiver* receiver = nullptr;          // null: nobody wants to hear of it
  Stage stage = Stage::kResult;
  bool sync = true;
  bool sent = false;  // libpq has it: the server may have seen it
  bool single_row_set = false;
  bool columns_told = false;
  absl::Status error;
  Completion completion;
};

// Loop thread only.
class OperationsInFlight {
 public:
  [[nodiscard]] static InFlight Make(const Operation& operation) {
    InFlight entry;
    entry.text = operation.text;
    entry.receiver = operation.receiver;
    entry.sync = operation.sync;
    return entry;
  }

  Backend::OperationId Add(InFlight&& entry, absl::Time now) {
    if (entries_.empty()) front_since_ = now;
    entry.id = next_id_++;
    entries_.push_back(std::move(entry));
    return entries_.back().id;
  }
  [[nodiscard]] InFlight TakeFront(absl::Time now) {
    InFlight front = std::move(entries_.front());
    entries_.pop_front();
    front_took_ = now - front_since_;
    front_since_ = now;
    if (front.text != nullptr) last_failed_ = !front.error.ok();
    return front;
  }
  [[nodiscard]] std::deque<InFlight> TakeAll() { return std::exchange(entries_, {}); }
  void Detach(Backend::OperationId id) {
    for (InFlight& entry : entries_) {
      if (entry.id == id) entry.receiver = nullptr;
    }
  }

  [[nodiscard]] bool empty() const { return entries_.empty(); }
  [[nodiscard]] size_t size() const { return entries_.size(); }
  // Unless empty.
  [[nodiscard]] InFlight& front() { return entries_.front(); }
  [[nodiscard]] const InFlight& front() const { return entries_.front(); }
  [[nodiscard]] absl::Time front_since() const { return front_since_; }
  // How long the one that TakeFront() gave last was the front one.
  [[nodiscard]] absl::Duration front_took() const { return front_took_; }
  // Whether that one, of those that somebody asked for, has failed.
  [[nodiscard]] bool last_failed() const { return last_failed_; }

 private:
  Backend::OperationId next_id_ = 1;
  std::deque<InFlight> entries_;
  absl::Time front_since_;
  absl::Duration front_took_;
  bool last_failed_ = false;
};

}  // namespace engine::db::postgres

#endif  // ENGINE_DB_SERVER_POSTGRES_OPERATIONS_IN_FLIGHT_H_
