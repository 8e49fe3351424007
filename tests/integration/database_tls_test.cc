// TLS to PostgreSQL: whose certificates are trusted, and with which the gateway logs in.
#include "tests/integration/gateway_calls.h"
#include "tests/support/certificates.h"

namespace engine::db::test {
namespace {

using testing::HasSubstr;

class DatabaseTls : public IntegrationTest {
 protected:
  static const Certificates& Files() {
    static const auto& certificates = *new Certificates;
    return certificates;
  }
  static PostgresCluster& Tls() {
    static PostgresCluster cluster({.settings = Files().ServerSettings()});
    return cluster;
  }
  [[nodiscard]] ConnectionConfig With(TlsMode mode, const std::string& host = "127.0.0.1") const {
    ConnectionConfig config = Config(1);
    config.host = host;
    config.port = Tls().port();
    config.tls_mode = mode;
    return config;
  }
  // Who the server says that the client is, by its certificate, and with what TLS.
  static std::string Link(const ConnectTarget& target, const GatewayProcess& gateway) {
    PostgresSyncConnector connector(target, At(gateway));
    connector.connect();
    std::string link =
        connector.execute("SELECT ssl || ' ' || coalesce(client_dn, '') FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            .rows()[0][0]
            .to_string();
    connector.close();
    return link;
  }
  static std::string Refusal(const ConnectTarget& target, const GatewayProcess& gateway) {
    PostgresSyncConnector connector(target, At(gateway));
    const auto error = Catch<DatabaseConnectionError>([&] { connector.connect(); });
    return std::string(error.what()) + " " + error.hint();
  }
};

TEST_F(DatabaseTls, TheConfigurationNamesTheAuthority) {
  const auto gateway = StartGateway({{"ENGINE_DB_DATABASE_ROOT_CERTIFICATE", Files().File("ca.crt")}});
  for (const TlsMode mode : {TlsMode::kVerifyCa, TlsMode::kVerifyFull}) {
    EXPECT_EQ(Link(With(mode), *gateway), "true ");
    EXPECT_EQ(Link(With(mode, "localhost"), *gateway), "true ");
  }
  const auto other = StartGateway({{"ENGINE_DB_DATABASE_ROOT_CERTIFICATE", Files().File("other-ca.crt")}});
  EXPECT_THAT(Refusal(With(TlsMode::kVerifyFull), *other), HasSubstr("certificate verify failed"));
  // Without a look at the certificate, as the contract says.
  EXPECT_EQ(Link(With(TlsMode::kRequire), *other), "true ");
}

// Neither the home directory's authority, nor a revocation list or key of its own.
TEST_F(DatabaseTls, TheHomeDirectoryHasNoSay) {
  TemporaryFolder home;
  std::filesystem::create_directory(home.path() / ".postgresql");
  WriteFile(home.path() / ".postgresql/root.crt", ReadFile(Files().File("ca.crt")));
  WriteFile(home.path() / ".postgresql/postgresql.crt", ReadFile(Files().File("client.crt")));
  WriteFile(home.path() / ".postgresql/postgresql.key", ReadFile(Files().File("client.key")));
  std::filesystem::permissions(home.path() / ".postgresql/postgresql.key", std::filesystem::perms::owner_read);
  const auto gateway = StartGateway({{"HOME", home.path()}});
  EXPECT_EQ(Link(With(TlsMode::kRequire), *gateway), "true ");
  // The machine's own authorities are asked, who don't know this one.
  const std::string refusal = Refusal(With(TlsMode::kVerifyFull), *gateway);
  EXPECT_THAT(refusal, HasSubstr("certificate verify failed"));
  EXPECT_THAT(refusal, HasSubstr("databaseRootCertificate"));
}

TEST_F(DatabaseTls, ADataSourceHasItsOwnAuthorityAndCertificate) {
  TemporaryFolder folder;
  const std::string url = "postgresql://app:" + Tls().password() + "@127.0.0.1:" + std::to_string(Tls().port()) +
                          "/app?sslmode=verify-full&application_name=" + name();
  const std::string file = folder.path() / "gateway.yaml";
  WriteFile(file, "databaseRootCertificate: " + Files().File("other-ca.crt") + "\ndataSources:\n  keys:\n    url: " +
                      url + "\n    tlsRootCertificate: " + Files().File("ca.crt") +
                      "\n    tlsCertificate: " + Files().File("client.crt") +
                      "\n    tlsKey: " + Files().File("client.key") + "\n  url:\n    url: " + url +
                      "&sslrootcert=" + Files().File("ca.crt") + "&sslcert=" + Files().File("client.crt") +
                      "&sslkey=" + Files().File("client.key") + "\n  wrong:\n    url: " + url + "\n");
  GatewayOptions options;
  options.arguments = {"--config", file};
  const GatewayProcess gateway(options);
  EXPECT_EQ(Link(DataSource{"keys"}, gateway), "true /CN=app");
  EXPECT_EQ(Link(DataSource{"url"}, gateway), "true /CN=app");
  EXPECT_THAT(Refusal(DataSource{"wrong"}, gateway), HasSubstr("certificate verify failed"));
}

TEST_F(DatabaseTls, ChannelBindingIsWhatWasAskedFor) {
  ConnectionConfig config = With(TlsMode::kRequire);
  config.channel_binding = ChannelBinding::kRequire;
  EXPECT_EQ(Link(config, Gateway()), "true ");
  config.tls_mode = TlsMode::kDisable;
  EXPECT_THAT(Refusal(config, Gateway()), HasSubstr("channel binding"));
  config.channel_binding = ChannelBinding::kDisable;
  EXPECT_EQ(Link(config, Gateway()), "false ");
  // What Neon hands out.
  const std::string url = "postgresql://app:" + Tls().password() + "@127.0.0.1:" + std::to_string(Tls().port()) +
                          "/app?sslmode=require&channel_binding=require&application_name=" + name();
  EXPECT_EQ(Link(ConnectionConfig::from_url(url), Gateway()), "true ");
}

}  // namespace
}  // namespace engine::db::test
