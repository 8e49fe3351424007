// What is known of a target's server, and how it is asked.
#ifndef ENGINE_DB_SERVER_CALL_TARGET_SERVER_H_
#define ENGINE_DB_SERVER_CALL_TARGET_SERVER_H_

#include <cstdint>
#include <list>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/config/target.h"
#include "server/loop/event_loop.h"
#include "server/loop/weak_self.h"
#include "server/pool/pool.h"
#include "server/postgres/server_probe.h"
#include "server/postgres/transaction_mark.h"

namespace engine::db::call {

class Target;

// Loop thread only. Part of its target.
class TargetServer {
 public:
  using InfoCallback = absl::AnyInvocable<void(const absl::StatusOr<postgres::ServerInfo>&)>;

  // All must outlive it.
  TargetServer(Target& target, const config::TargetSettings& settings);
  ~TargetServer();
  TargetServer(const TargetServer&) = delete;
  TargetServer& operator=(const TargetServer&) = delete;

  // Proves that the server can be reached, and tells what it says of itself. Calls back once, at `deadline` at the
  // latest.
  void Connect(absl::Time deadline, InfoCallback callback);
  // The gateway stops: answers whoever waits for Connect().
  void GiveUp();

  // As the server said last.
  [[nodiscard]] const postgres::ServerInfo& info() const { return info_; }
  // Never null.
  [[nodiscard]] const std::shared_ptr<const postgres::TypeCatalog>& types() const { return info_.types; }
  // What the database has by which its statements may act elsewhere.
  [[nodiscard]] const postgres::Surroundings& surroundings() const { return info_.surroundings; }
  void NoteSurroundings(const postgres::Surroundings& surroundings) { info_.surroundings = surroundings; }
  // Whether the server can be asked for the fate of a transaction.
  [[nodiscard]] bool HasMarks() const {
    return info_.version_number >= postgres::kFirstVersionWithMarks && info_.system_identifier != 0;
  }

  // Reads the catalogue again because it lacks these types, and calls back when it has been read, by this look or by
  // one that is under way. False, and no callback, when that was tried just now: they are of a transaction that has not
  // committed.
  [[nodiscard]] bool LookUpTypes(const std::vector<uint32_t>& oids, absl::AnyInvocable<void()> callback);

 private:
  struct Connecting;
  using TypeLookup = std::vector<absl::AnyInvocable<void()>>;  // who waits for it

  void OnConnected(Connecting& connecting, absl::StatusOr<pool::Lease> lease);
  void AnswerConnect(Connecting& connecting, const absl::StatusOr<postgres::ServerInfo>& info);
  void ProbeForConnects();
  // Of those that wait, all or who has connected.
  void AnswerAll(bool connected_only, const absl::StatusOr<postgres::ServerInfo>& info);
  // `callback` comes once, not from within.
  void Probe(absl::Duration timeout, InfoCallback callback);

  Target& target_;
  const config::TargetSettings& settings_;
  postgres::ServerInfo info_;
  absl::flat_hash_set<std::unique_ptr<Connecting>> connecting_;  // not answered yet
  bool probing_for_connects_ = false;
  absl::flat_hash_map<uint32_t, absl::Time> looked_up_;  // types, and when, that the catalogue turned out not to have
  std::list<TypeLookup> type_lookups_;                   // under way; the last one is the latest
  loop::WeakSelf<TargetServer> weak_;
};

}  // namespace engine::db::call

#endif  // ENGINE_DB_SERVER_CALL_TARGET_SERVER_H_
