#include "tests/support/certificates.h"

#include <sstream>
#include <stdexcept>
#include <vector>

#include "tests/support/process.h"

namespace engine::db::test {

Certificates::Certificates() {
  const std::string key = " -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes ";
  for (const std::string authority : {"ca", "other-ca"}) {
    Run("req -x509 -days 2 -subj /CN=" + authority + key + "-keyout " + authority + ".key -out " + authority + ".crt");
  }
  WriteFile(folder_.path() / "extensions", "subjectAltName=IP:127.0.0.1,DNS:localhost\n");
  for (const std::string name : {"server", "client"}) {
    const std::string subject = name == "server" ? "localhost" : "app";
    Run("req -new -subj /CN=" + subject + key + "-keyout " + name + ".key -out " + name + ".csr");
    Run("x509 -req -days 2 -CA ca.crt -CAkey ca.key -CAcreateserial -extfile extensions -in " + name + ".csr -out " +
        name + ".crt");
  }
  // PostgreSQL wants the key to be its own; libpq the client's, which root may read as well.
  namespace fs = std::filesystem;
  fs::permissions(folder_.path(), fs::perms::owner_all | fs::perms::group_exec | fs::perms::others_exec);
  for (const char* file : {"server.key", "client.key"}) {
    fs::permissions(File(file), fs::perms::owner_read | fs::perms::owner_write);
  }
  if (const auto account = UnprivilegedAccount()) ChangeOwner(File("server.key"), *account);
}

std::map<std::string, std::string> Certificates::ServerSettings() const {
  return {{"ssl", "on"},
          {"ssl_cert_file", File("server.crt")},
          {"ssl_key_file", File("server.key")},
          {"ssl_ca_file", File("ca.crt")}};
}

void Certificates::Run(const std::string& arguments) const {
  ProcessOptions options;
  options.command = {"openssl"};
  std::istringstream words(arguments);
  for (std::string word; words >> word;) options.command.push_back(word);
  options.working_folder = folder_.path();
  const Completed completed = RunProgram(options);
  if (completed.exit_code != 0) throw std::runtime_error("openssl " + arguments + ":\n" + completed.err);
}

}  // namespace engine::db::test
