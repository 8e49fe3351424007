// The configuration file: YAML.
//
//   listen: [127.0.0.1:50051, unix:/run/engine-db/gateway.sock]
//   limits: {waiters: 1000, transactionIdle: 30s}
//   dataSources:
//     orders:                                  # what ConnectRequest.data_source names
//       protocol: database
//       url: "${ENV:DB_URL}"                   # postgresql://user:password@host:port/database
//       driver: postgres
//       description: Primary Database Server
//       securitySchemes:
//         dbAuth:                              # wins over the URL's user and password, each unless it is empty
//           - type: basic
//             username: "${ENV:DB_USERNAME}"
//             password: "${FILE:/run/secrets/db}"  # read again whenever it is needed, so that it may rotate
//       maxPoolSize: 20                        # and the other settings of v1::ConnectionConfig, by their JSON names
//       tlsMode: verify-full                   # libpq's words
//       tlsRootCertificate: /etc/engine-db/ca.pem
//
// A block with a `protocol` at the top level is a data source too, so the DSL's own `databaseServer: {…}` works as it
// stands. Every value may hold ${ENV:NAME} and ${FILE:PATH}. The file is one YAML document, in UTF-8.
#ifndef ENGINE_DB_SERVER_CONFIG_SETTINGS_FILE_H_
#define ENGINE_DB_SERVER_CONFIG_SETTINGS_FILE_H_

#include <string>

#include "sdk/common/reference.h"
#include "server/config/setting.h"

namespace engine::db::config {

// Takes over what the file says; adds to draft.faults what is wrong with it, each with path and line. In a path, a key
// that may be a piece of a value (what is no name of letters, digits, "-", "_" and "."; {password: its,secret}) is "?".
void ReadSettingsFile(const std::string& file, const common::Environment& environment, Draft& draft);

}  // namespace engine::db::config

#endif  // ENGINE_DB_SERVER_CONFIG_SETTINGS_FILE_H_
