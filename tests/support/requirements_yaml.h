// The requirements' own text, indented as YAML needs it.
#ifndef ENGINE_DB_TESTS_SUPPORT_REQUIREMENTS_YAML_H_
#define ENGINE_DB_TESTS_SUPPORT_REQUIREMENTS_YAML_H_

namespace engine::db::test {

inline constexpr char kDatabaseServer[] = R"(databaseServer:
  protocol: database
  url: "${ENV:DB_URL}" # e.g. postgresql://user:pass@$host:port/db_name
  driver: "postgres"
  description: Primary Database Server
  securitySchemes:
    dbAuth:
      - type: basic
        description: Database Authentication
        username: "${ENV:DB_USERNAME}"
        password: "${ENV:DB_PASSWORD}"
)";

}  // namespace engine::db::test

#endif  // ENGINE_DB_TESTS_SUPPORT_REQUIREMENTS_YAML_H_
