#include "server/postgres/type_catalog.h"

#include "server/base/text.h"

namespace engine::db::postgres {

TypeCatalog::TypeCatalog(const std::vector<std::pair<uint32_t, std::string>>& types) {
  for (const auto& [oid, name] : types) {
    names_.emplace(oid, name);
    oids_.emplace(name, oid);
  }
}

std::string_view TypeCatalog::NameOf(uint32_t oid) const {
  const auto found = names_.find(oid);
  return found == names_.end() ? std::string_view() : std::string_view(found->second);
}

uint32_t TypeCatalog::OidOf(std::string_view name) const {
  const auto found = oids_.find(ToAbsl(name));
  return found == oids_.end() ? 0 : found->second;
}

}  // namespace engine::db::postgres
