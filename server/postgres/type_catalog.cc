#include "server/postgres/type_catalog.h"

#include "sdk/common/utf8.h"

namespace engine::db::postgres {

TypeCatalog::TypeCatalog(const std::vector<std::pair<uint32_t, std::string>>& types) {
  for (const auto& [oid, name] : types) names_.emplace(oid, common::to_utf8(name));
}

std::string_view TypeCatalog::NameOf(uint32_t oid) const {
  const auto found = names_.find(oid);
  return found == names_.end() ? std::string_view() : std::string_view(found->second);
}

}  // namespace engine::db::postgres
