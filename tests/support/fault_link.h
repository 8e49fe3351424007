// One connection through FaultProxy.
#ifndef ENGINE_DB_TESTS_SUPPORT_FAULT_LINK_H_
#define ENGINE_DB_TESTS_SUPPORT_FAULT_LINK_H_

#include <netinet/in.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "tests/support/fault_rules.h"

namespace engine::db::test {

// Has a thread of its own, which passes messages on from the constructor's call until both sides have ended. The
// public functions may be called by any other thread.
class FaultLink {
 public:
  // Owns the socket `client`. `rules` must outlive it.
  FaultLink(int number, FaultRules& rules, int client, const sockaddr_in& server);
  // Resets what is open.
  ~FaultLink();
  FaultLink(const FaultLink&) = delete;
  FaultLink& operator=(const FaultLink&) = delete;

  void Cut() { Command(Order::kCut); }
  void BlackHole(bool server_learns) { Command(server_learns ? Order::kBlackHole : Order::kSilentBlackHole); }

  bool client_open() const { return client_open_; }
  bool in_black_hole() const { return in_black_hole_; }
  bool finished() const { return finished_; }

 private:
  using Clock = std::chrono::steady_clock;

  enum class Order : uint8_t { kNone, kCut, kBlackHole, kSilentBlackHole };
  enum class Ending : uint8_t { kReset, kOrderly };

  // A fault that has a statement to its name.
  struct Due {
    Fault fault;
    std::string statement;
  };

  // One direction.
  struct Flow {
    std::string in;  // read, and not looked at yet
    size_t in_begin = 0;
    std::string out;  // to be written
    size_t out_begin = 0;
    uint64_t message_left = 0;  // of the message that is being passed on, or dropped
    bool passing = true;
    bool ended = false;              // its writer has finished
    Clock::time_point held_until;    // kDelay
    Clock::time_point next_write;    // kSlow
    std::optional<uint64_t> budget;  // so many bytes may pass, then `at_budget` happens
    std::optional<Due> at_budget;
    std::optional<Due> at_message_end;

    std::string_view Unread() const { return std::string_view(in).substr(in_begin); }
    std::string_view Unwritten() const { return std::string_view(out).substr(out_begin); }
  };

  // A request that the server has not answered yet.
  struct Expected {
    char request = 0;
    std::optional<Due> due = {};  // a fault of the reply
    bool begun = false;           // its first answer has come
    bool replaced = false;        // the server got something else, which fails
  };

  enum class Mode : uint8_t { kStartup, kLoggingIn, kStatements, kRaw };

  void Command(Order order);
  void Run();
  bool ConnectToServer(const sockaddr_in& server);
  void Obey();
  void Serve();
  void Drain();
  void WaitInBlackHole();

  void Advance(Flow& flow);
  bool BeginMessage(Flow& flow);
  void Pass(Flow& flow, std::string_view bytes);
  void Read(Flow& flow, int from);
  void Write(Flow& flow, int to);
  void Finish();

  // Each tells whether the message is to be passed on.
  bool OnStartupMessage(std::string_view message);
  bool OnClientMessage(std::string_view message, uint64_t size);
  bool OnServerMessage(char type);
  bool OnRequestFault(const Due& due, char type, uint64_t size);
  bool OnReplyFault(const Due& due);
  bool OnWithheld(char type);
  // An answer has come: takes off what it answers. Tells whether it ends an implicit transaction (ReadyForQuery).
  bool Settle(char type);

  void Happen(const Due& due);
  void SlowDown(const Due& due);
  void Flush();
  void End(Ending how);
  void HangUpOnClient(Ending how);

  const int number_;
  FaultRules& rules_;
  const sockaddr_in server_address_;
  int client_;
  int server_ = -1;
  int wake_ = -1;
  std::atomic<Order> order_ = Order::kNone;
  std::atomic<bool> client_open_ = true;
  std::atomic<bool> in_black_hole_ = false;
  std::atomic<bool> finished_ = false;

  // The thread's own.
  enum class State : uint8_t { kServing, kDraining, kBlackHole, kFinished } state_ = State::kServing;
  Mode mode_ = Mode::kStartup;
  bool server_learns_ = true;
  Flow to_server_;
  Flow to_client_;
  size_t bytes_per_second_ = 0;
  size_t slice_bytes_ = 0;
  std::string application_name_;
  std::map<std::string, std::string, std::less<>> statements_;  // by name: the beginning of the text
  std::map<std::string, std::string, std::less<>> portals_;
  std::deque<Expected> expected_;
  std::optional<Due> after_sync_;   // happens once the next Sync was sent
  std::optional<Due> withheld_;     // the reply is dropped to its end; then this happens
  std::optional<Due> after_reply_;  // happens once the reply was passed on

  std::thread thread_;
};

}  // namespace engine::db::test

#endif  // ENGINE_DB_TESTS_SUPPORT_FAULT_LINK_H_
