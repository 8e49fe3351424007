// Certificates for a test's PostgreSQL, made by OpenSSL's command line.
#ifndef ENGINE_DB_TESTS_SUPPORT_CERTIFICATES_H_
#define ENGINE_DB_TESTS_SUPPORT_CERTIFICATES_H_

#include <filesystem>
#include <map>
#include <string>

#include "tests/support/temporary_folder.h"

namespace engine::db::test {

// An authority, and what it has signed: a certificate for the server at 127.0.0.1 and localhost, and one for the role
// `app`. And an authority that has signed nothing. Failures are std::runtime_error.
class Certificates {
 public:
  Certificates();

  // PEM files: "ca.crt", "server.crt", "server.key", "client.crt", "client.key", "other-ca.crt".
  [[nodiscard]] std::string File(const std::string& name) const { return folder_.path() / name; }
  // PostgresOptions::settings.
  [[nodiscard]] std::map<std::string, std::string> ServerSettings() const;

 private:
  void Run(const std::string& arguments) const;

  TemporaryFolder folder_;
};

}  // namespace engine::db::test

#endif  // ENGINE_DB_TESTS_SUPPORT_CERTIFICATES_H_
