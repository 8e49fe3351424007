// A real PostgreSQL behind a link that fails on command.
//
// FaultProxy listens on a port of 127.0.0.1 and passes everything on to a PostgreSQL server and back. It knows the
// messages of the protocol (PostgreSQL manual, chapter 55), pipelines and prepared statements included, so a fault can
// be told to happen to one statement, before or after the server has run it:
//
//   FaultProxy proxy(cluster.host(), cluster.port());
//   // The server commits, and nobody hears of it.
//   const auto rule = proxy.Add({.statement = "^COMMIT", .point = FaultPoint::kBeforeReply, .act = FaultAct::kCut});
//   … run a transaction against proxy.host(), proxy.port() …
//   EXPECT_EQ(proxy.Fired(rule), 1);
//
// Cancel requests pass through too: the process ids and secrets that clients see are the server's own. There is no TLS
// (a request for it is answered with "no"), since nothing could be read in it.
#ifndef ENGINE_DB_TESTS_SUPPORT_FAULT_PROXY_H_
#define ENGINE_DB_TESTS_SUPPORT_FAULT_PROXY_H_

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace engine::db::test {

class FaultLink;
class FaultRules;

// What a fault waits for.
enum class FaultTrigger {
  kConnect,    // a client has connected and said nothing yet
  kStartup,    // its first message, which names user and database
  kPassword,   // its answer to the server's question for a password
  kStatement,  // it asks for a statement to be run: the Execute message of a prepared or unprepared one, or a Query
  kParse,      // it asks for a statement to be prepared: the Parse message
  kCancel,     // it asks for another connection's statement to be cancelled
};

// When, relative to what triggered it. "The reply" of a statement is all that the server says from the statement's
// first result to the end of its implicit transaction (ReadyForQuery). Triggers other than kStatement and kParse know
// the first three only.
enum class FaultPoint {
  kBeforeRequest,  // the server never sees the request
  kInRequest,      // the server sees the first `bytes` of it, but never all
  kAfterRequest,   // the server has got it and runs it; no byte of the reply has been passed on
  kBeforeReply,    // the server has run it to the end and answered; no byte of the reply has been passed on
  kInReply,        // `bytes` of the reply have been passed on, or all that there were
  kAfterReply,     // all of the reply has been passed on
};

// What happens.
enum class FaultAct {
  // The client's connection is reset (RST). The server's ends in order, after what was passed on to it: like a client
  // that went away.
  kCut,
  // The same, but the client sees an orderly end (FIN).
  kClose,
  // From here on nothing passes in either direction, and nobody is told, until the client hangs up, which the server
  // learns unless `server_learns` is false, or until Heal().
  kBlackHole,
  // The client gets `error` in place of the reply, the server has not run the statement and its transaction has failed.
  // With kBeforeReply the server has run it, and the client does not know. If the severity is FATAL or PANIC the
  // connection ends too. Points: kBeforeRequest and kBeforeReply.
  kError,
  // Everything waits for `delay`, then goes on. Points: kBeforeRequest, kBeforeReply.
  kDelay,
  // From here on both directions are slow: `bytes_per_second` in all (0: as fast as it can), `slice_bytes` at a time.
  // Points: kBeforeRequest, kBeforeReply.
  kSlow,
};

// An ErrorResponse. Empty fields are left out.
struct ServerError {
  std::string severity = "ERROR";
  std::string sqlstate = "XX000";
  std::string message = "injected fault";
  std::string detail = {};
  std::string hint = {};
  std::string position = {};
  std::string context = {};
  std::string schema_name = {};
  std::string table_name = {};
  std::string column_name = {};
  std::string data_type_name = {};
  std::string constraint_name = {};
  std::string source_file = {};
  std::string source_function = {};
};

struct FaultRule {
  FaultTrigger trigger = FaultTrigger::kStatement;
  // For kStatement and kParse: a regular expression (ECMAScript, case ignored) to be found in the first 1,000 bytes of
  // the statement as the server gets it ("$1" rather than "?"). Empty: any.
  std::string statement = {};
  // Only on connections with this application_name; not for kConnect and kCancel, which don't have one. Empty: any.
  std::string application_name = {};
  // So many matches are let pass first; then it happens so many times.
  int skip = 0;
  int times = 1;

  FaultPoint point = FaultPoint::kBeforeRequest;
  FaultAct act = FaultAct::kCut;

  // See FaultPoint and FaultAct for who needs them.
  size_t bytes = 0;
  ServerError error = {};
  std::chrono::milliseconds delay{0};
  size_t bytes_per_second = 0;
  size_t slice_bytes = 65536;
  bool server_learns = true;
};

// Any number of times: the value of FaultRule::times.
inline constexpr int kAlways = 1'000'000'000;

// Any thread may call. Each connection has a thread of the proxy's and at most 1 MiB of memory: what the reader does
// not take stays with the writer, as on a real link. Failures to listen are std::system_error.
class FaultProxy {
 public:
  using RuleId = int;

  // In front of the server at `host` (an IPv4 address) and `port`, which need not be there yet.
  FaultProxy(const std::string& host, int port);
  // Resets what is still open.
  ~FaultProxy();
  FaultProxy(const FaultProxy&) = delete;
  FaultProxy& operator=(const FaultProxy&) = delete;

  // Where clients connect to; the port stays the same for ever.
  const std::string& host() const { return host_; }
  int port() const { return port_; }

  // The rules are asked in the order in which they were added; the first that matches and has something left to do is
  // taken. Throws std::invalid_argument when the rule makes no sense.
  RuleId Add(const FaultRule& rule);
  void Remove(RuleId id);
  // How many times the rule's fault has happened. Rules that were removed are remembered.
  int Fired(RuleId id) const;
  [[nodiscard]] bool WaitForFired(RuleId id, int times = 1,
                                  std::chrono::milliseconds timeout = std::chrono::seconds(15)) const;

  // Resets all connections there are.
  void CutAll();
  // A network that is gone: all connections there are, and all new ones, become black holes.
  void BlackHoleAll(bool server_learns = true);
  // New connections go to another server from now on: an address that has moved. Connections there are stay.
  void PointTo(const std::string& host, int port);
  // Connecting is refused, or no longer. Connections there are stay.
  void Refuse(bool refuse);
  // Removes all rules, resets the connections that have fallen into a black hole, and lets new ones in.
  void Heal();

  // Connections that a client holds open now, and all there have been.
  int open_links() const;
  int accepted_links() const { return accepted_; }

  // What has happened, a line a fault, the last 1,000: "link 3: cut before the reply of: COMMIT". Statements show as
  // the server gets them, without their parameters.
  std::vector<std::string> Journal() const;

 private:
  void Listen();
  void StopListening();
  void Accept(int listener);
  void Reap();

  const std::string host_ = "127.0.0.1";
  int port_ = 0;
  const std::unique_ptr<FaultRules> rules_;
  std::atomic<int> accepted_ = 0;

  mutable std::mutex mutex_;
  std::string server_host_;                      // guarded by mutex_
  int server_port_;                              // guarded by mutex_
  std::list<std::unique_ptr<FaultLink>> links_;  // guarded by mutex_
  std::mutex listen_mutex_;                      // held while the listener changes
  int stop_event_ = -1;
  std::thread acceptor_;  // runs while it listens
};

}  // namespace engine::db::test

#endif  // ENGINE_DB_TESTS_SUPPORT_FAULT_PROXY_H_
