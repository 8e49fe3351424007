// Handles that callers are given: unguessable, and telling which run of the gateway made them.
#ifndef ENGINE_DB_SERVER_CALL_HANDLE_H_
#define ENGINE_DB_SERVER_CALL_HANDLE_H_

#include <string>
#include <string_view>

namespace engine::db::call {

// Makes the handles of one run of the gateway. Any thread.
class HandleMaker {
 public:
  HandleMaker();

  // "KIND-INSTANCE-SECRET": the secret is 128 random bits of the kernel's.
  [[nodiscard]] std::string Make(std::string_view kind) const;
  // Whether the handle has this form but is of another run: the gateway was restarted.
  [[nodiscard]] bool IsOfAnotherInstance(std::string_view handle) const;
  [[nodiscard]] const std::string& instance() const { return instance_; }

 private:
  const std::string instance_;
};

// What of a handle may be shown: enough to recognise it, not to use it.
[[nodiscard]] std::string HandlePrefix(std::string_view handle);

}  // namespace engine::db::call

#endif  // ENGINE_DB_SERVER_CALL_HANDLE_H_
