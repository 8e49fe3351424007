#include "server/postgres/prepared_statements.h"

#include <utility>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "server/base/text.h"

namespace engine::db::postgres {

PreparedStatements::PreparedStatements(size_t capacity)
    : capacity_(capacity),
      prefix_(absl::StrCat(ToAbsl(kPreparedNames), absl::Hex(absl::Uniform<uint64_t>(absl::BitGen()), absl::kZeroPad16),
                           "_")) {}

PreparedStatements::Entry* PreparedStatements::Find(const sql::BoundText& text) {
  const auto found = index_.find(Key{&text});
  if (found == index_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found->second);
  return &*found->second;
}

PreparedStatements::Entry* PreparedStatements::Add(std::shared_ptr<const sql::BoundText> text) {
  entries_.push_front(Entry{std::move(text), absl::StrCat(prefix_, next_name_++), State::kPreparing});
  index_.emplace(Key{entries_.front().text.get()}, entries_.begin());
  return &entries_.front();
}

void PreparedStatements::Remove(const sql::BoundText& text) {
  const auto found = index_.find(Key{&text});
  if (found == index_.end()) return;
  const auto entry = found->second;
  index_.erase(found);  // before the entry, whose text the key points to
  entries_.erase(entry);
}

std::optional<std::string> PreparedStatements::Evict() {
  if (entries_.size() <= capacity_) return std::nullopt;
  for (auto entry = std::prev(entries_.end()); entry != entries_.begin(); --entry) {
    if (entry->state != State::kPrepared) continue;
    std::string name = entry->name;
    index_.erase(Key{entry->text.get()});
    entries_.erase(entry);
    return name;
  }
  return std::nullopt;
}

void PreparedStatements::Clear() {
  index_.clear();
  entries_.clear();
}

}  // namespace engine::db::postgres
