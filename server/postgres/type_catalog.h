// The types of one database: what they are called.
#ifndef ENGINE_DB_SERVER_POSTGRES_TYPE_CATALOG_H_
#define ENGINE_DB_SERVER_POSTGRES_TYPE_CATALOG_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"

namespace engine::db::postgres {

// Immutable once made. Any thread.
class TypeCatalog {
 public:
  TypeCatalog() = default;
  // Pairs of pg_type.oid and format_type(oid, NULL).
  explicit TypeCatalog(const std::vector<std::pair<uint32_t, std::string>>& types);

  // format_type()'s name; empty for an OID that was not there when the catalogue was read.
  [[nodiscard]] std::string_view NameOf(uint32_t oid) const;
  [[nodiscard]] size_t size() const { return names_.size(); }

 private:
  absl::flat_hash_map<uint32_t, std::string> names_;
};

}  // namespace engine::db::postgres

#endif  // ENGINE_DB_SERVER_POSTGRES_TYPE_CATALOG_H_
