#include "server/pool/lease.h"

#include <utility>

#include "server/pool/pool.h"
#include "server/pool/slot.h"

namespace engine::db::pool {

Lease::Lease(Lease&& other) noexcept
    : pool_(std::exchange(other.pool_, nullptr)),
      slot_(std::exchange(other.slot_, nullptr)),
      place_of_(std::exchange(other.place_of_, 0)) {}

Lease& Lease::operator=(Lease&& other) noexcept {
  if (this != &other) {
    Release();
    pool_ = std::exchange(other.pool_, nullptr);
    slot_ = std::exchange(other.slot_, nullptr);
    place_of_ = std::exchange(other.place_of_, 0);
  }
  return *this;
}

Lease::~Lease() { Release(); }

postgres::Backend& Lease::backend() const { return *slot_->backend; }

void Lease::MarkUnknownCode() {
  slot_->session.changed = slot_->session.ran_unknown = true;
  slot_->backend->StopPreparing();
}

void Lease::ShieldSequences(OwnerId owner, bool reads) {
  if (slot_->session.sequences_of == 0 || (slot_->session.sequences_of == owner && !reads)) return;
  pool_->cleaner_.ForgetSequences(*slot_, /*sync=*/true);
}

void Lease::WillRun(std::shared_ptr<const sql::Statement> statement, OwnerId owner) {
  if (statement->changes_session()) slot_->session.changed = true;
  if (statement->calls_unknown_code()) slot_->session.ran_unknown = true;
  if (statement->touches_prepared()) slot_->session.prepared_void = true;
  if (statement->outlasts_reset()) slot_->session.outlasts_reset = true;
  if (statement->statement_class() != sql::StatementClass::kRead) slot_->session.sequences_of = owner;
  slot_->use.statement = std::move(statement);
}

void Lease::HasSent(const sql::Statement& statement) {
  if (!statement.changes_meanings()) return;
  slot_->session.changed = true;
  slot_->backend->StopPreparing();
  // What is temporary is nobody else's.
  if (statement.changes_schema() && !statement.changes_session()) slot_->session.schema_changed = true;
}

void Lease::OnDrained(absl::AnyInvocable<void()> callback) { slot_->use.drained = std::move(callback); }

void Lease::Release() {
  ReleaseBackend();
  if (place_of_ != 0) pool_->GiveBackPlace(std::exchange(place_of_, 0));
}

void Lease::ReleaseBackend() {
  if (slot_ != nullptr) pool_->GiveBack(*std::exchange(slot_, nullptr));
}

void Lease::TakeBackend(Lease other) {
  ReleaseBackend();
  pool_ = other.pool_;
  slot_ = std::exchange(other.slot_, nullptr);
}

}  // namespace engine::db::pool
