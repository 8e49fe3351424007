// The other end of a PostgreSQL connection, in the hands of a test: it says what the test says, and shows what it got.
// Everything happens on the test's own thread, between rounds of the loop.
#ifndef ENGINE_DB_TESTS_UNIT_POSTGRES_WIRE_SERVER_H_
#define ENGINE_DB_TESTS_UNIT_POSTGRES_WIRE_SERVER_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace engine::db::test {

// A listener on 127.0.0.1 whose kernel takes connections, which nobody answers until the test does.
class WireServer {
 public:
  WireServer();
  ~WireServer();
  WireServer(const WireServer&) = delete;
  WireServer& operator=(const WireServer&) = delete;

  [[nodiscard]] uint16_t port() const { return port_; }
  // The next connection that has come; -1 for none. The caller closes it.
  [[nodiscard]] int Accept() const;

 private:
  int listener_ = -1;
  uint16_t port_ = 0;
};

// One accepted connection.
class WirePeer {
 public:
  explicit WirePeer(int fd) : fd_(fd) {}
  ~WirePeer() { HangUp(); }
  WirePeer(const WirePeer&) = delete;
  WirePeer& operator=(const WirePeer&) = delete;

  // What has come and was not taken yet, waiting for none.
  [[nodiscard]] std::string Take();
  // The types of the messages that have come since: "PBDES" for Parse, Bind, Describe, Execute, Sync.
  [[nodiscard]] std::string TakeTypes();
  void Send(std::string_view bytes) const;
  void HangUp();
  // The same with a reset: whoever reads gets what was sent, and then an error.
  void Reset();

 private:
  int fd_;
  std::string unread_;
};

// Messages of the server. `status` of ReadyForQuery: 'I', 'T' or 'E'.
[[nodiscard]] std::string Parameter(std::string_view name, std::string_view value);
[[nodiscard]] std::string Ready(char status = 'I');
// Everything up to the first ReadyForQuery, of a server that needs no password.
[[nodiscard]] std::string Login(uint32_t pid);
[[nodiscard]] std::string ParseComplete();
// The answer to Bind, Describe and Execute of a statement without rows.
[[nodiscard]] std::string CommandDone(std::string_view tag);
// BindComplete and the description of one column of type text; then its rows; then CommandComplete.
[[nodiscard]] std::string TextColumn(std::string_view name);
[[nodiscard]] std::string TextRow(std::string_view value);
[[nodiscard]] std::string RowsDone(std::string_view tag);

}  // namespace engine::db::test

#endif  // ENGINE_DB_TESTS_UNIT_POSTGRES_WIRE_SERVER_H_
