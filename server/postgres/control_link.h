// A libpqxx connection on a link that was opened as the gateway opens its own: within a time, with what PostgreSQL
// remarks in the log rather than on stderr, and never silently opened again.
#ifndef ENGINE_DB_SERVER_POSTGRES_CONTROL_LINK_H_
#define ENGINE_DB_SERVER_POSTGRES_CONTROL_LINK_H_

#include <memory>
#include <pqxx/pqxx>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/loop/clock.h"
#include "server/postgres/connect_parameters.h"
#include "server/postgres/libpq_types.h"

namespace engine::db::postgres {

// Logs in. Blocks until `deadline` at most, but for looking the host's name up. Errors are those of ConnectFailed().
// `parameters` must live as long as the link.
[[nodiscard]] absl::StatusOr<ConnectionPtr> OpenLink(const ConnectParameters& parameters, const loop::Clock& clock,
                                                     absl::Time deadline);

// The message of ConnectFailed() for a server that is silent.
inline constexpr char kNoAnswer[] = "no answer within the time allowed for a question";

#if PQXX_VERSION_MAJOR >= 7

class ControlLink {
 public:
  explicit ControlLink(ConnectionPtr link) : connection_(pqxx::connection::seize_raw_connection(link.release())) {}
  [[nodiscard]] pqxx::connection& connection() { return connection_; }

 private:
  pqxx::connection connection_;
};

#else

// libpqxx 6 opens its connections by a policy, and again when they break.
class ControlLink {
 public:
  explicit ControlLink(ConnectionPtr link) : connection_(std::move(link)) {}
  [[nodiscard]] pqxx::connection_base& connection() { return connection_; }

 private:
  class HandOver : public pqxx::connectionpolicy {
   public:
    explicit HandOver(ConnectionPtr link) : connectionpolicy(""), link_(std::move(link)) {}
    handle do_startconnect(handle open) override {
      if (open != nullptr) return open;
      if (link_ == nullptr) throw pqxx::broken_connection("the link broke");
      return link_.release();
    }

   private:
    ConnectionPtr link_;
  };
  class Connection : public pqxx::connection_base {
   public:
    explicit Connection(ConnectionPtr link) : connection_base(policy_), policy_(std::move(link)) { init(); }
    ~Connection() noexcept { close(); }
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

   private:
    HandOver policy_;
  };

  Connection connection_;
};

#endif

}  // namespace engine::db::postgres

#endif  // ENGINE_DB_SERVER_POSTGRES_CONTROL_LINK_H_
