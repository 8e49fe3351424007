// What libpq would take from the gateway's surroundings: its environment, and the files of its home directory. None of
// it has a say in where a login goes, with what, or what it comes to.
#include <arpa/inet.h>
#include <libpq-fe.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <set>

#include "tests/integration/control_session.h"
#include "tests/integration/gateway_calls.h"
#include "tests/support/certificates.h"

namespace engine::db::test {
namespace {

namespace fs = std::filesystem;
using Variables = std::map<std::string, std::string>;

// Where the variables would lead.
class ElsewhereListener {
 public:
  explicit ElsewhereListener(int port) : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    inet_pton(AF_INET, "127.0.0.2", &address.sin_addr);
    EXPECT_EQ(bind(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(listen(socket_, 16), 0);
  }
  ~ElsewhereListener() { close(socket_); }
  ElsewhereListener(const ElsewhereListener&) = delete;
  ElsewhereListener& operator=(const ElsewhereListener&) = delete;

  [[nodiscard]] bool WasAsked() const {
    pollfd wanted = {.fd = socket_, .events = POLLIN, .revents = 0};
    return poll(&wanted, 1, 0) > 0;
  }

 private:
  int socket_;
};

class LibpqEnvironment : public GatewayCallsTest {
 protected:
  LibpqEnvironment() {
    // What a home directory may hold.
    fs::create_directory(Home() + "/.postgresql");
    for (const char* file : {"root.crt", "root.crl", "postgresql.crt", "postgresql.key"}) {
      WriteFile(Home() + "/.postgresql/" + file, "no PEM\n");
      fs::permissions(Home() + "/.postgresql/" + file, fs::perms::owner_read);
    }
    WriteFile(Home() + "/.pgpass", "*:*:*:*:" + Postgres().password() + "\n");
    fs::permissions(Home() + "/.pgpass", fs::perms::owner_read);
    const std::string service = "[elsewhere]\nhostaddr=127.0.0.2\noptions=-c search_path=elsewhere\n";
    WriteFile(Home() + "/.pg_service.conf", service);
    WriteFile(Home() + "/pg_service.conf", service);
  }

  static PostgresCluster& Tls() {
    static auto& certificates = *new Certificates;
    static PostgresCluster cluster({.settings = certificates.ServerSettings()});
    return cluster;
  }
  [[nodiscard]] std::string Home() const { return home_.path(); }

  // Each would make libpq fail, or go elsewhere, or the session another one.
  [[nodiscard]] std::vector<Variables> Cases() const {
    const std::string bad = Home() + "/.postgresql/root.crt";
    return {{{"PGHOSTADDR", "127.0.0.2"}},
            {{"PGHOST", "127.0.0.2"}},
            {{"PGPORT", "1"}},
            {{"PGUSER", "postgres"}},
            {{"PGPASSWORD", "wrong"}},
            {{"PGDATABASE", "postgres"}},
            {{"PGSERVICE", "elsewhere"}, {"PGSERVICEFILE", Home() + "/pg_service.conf"}},
            {{"PGSERVICE", "elsewhere"}, {"PGSYSCONFDIR", Home()}},
            {{"PGSERVICE", "elsewhere"}},
            {{"PGSERVICE", "missing"}},
            {{"PGPASSFILE", bad}},
            {{"PGOPTIONS", "-c search_path=elsewhere -c default_transaction_read_only=on"}},
            {{"PGAPPNAME", "elsewhere"}},
            {{"PGCLIENTENCODING", "LATIN1"}},
            {{"PGTZ", "Asia/Tokyo"}},
            {{"PGDATESTYLE", "German"}},
            {{"PGGEQO", "off"}},
            {{"PGTARGETSESSIONATTRS", "standby"}},
            {{"PGCHANNELBINDING", "require"}, {"PGSSLMODE", "disable"}},
            {{"PGREQUIREPEER", "nobody"}},
            {{"PGREQUIREAUTH", "none"}},
            {{"PGCONNECT_TIMEOUT", "none"}},
            {{"PGSSLMODE", "disable"}},
            {{"PGSSLMODE", "none"}},
            {{"PGREQUIRESSL", "1"}},
            {{"PGSSLCERT", bad}, {"PGSSLKEY", bad}},
            {{"PGSSLCERTMODE", "require"}},
            {{"PGSSLROOTCERT", bad}},
            {{"PGSSLROOTCERT", "system"}},
            {{"PGSSLCRL", bad}},
            {{"PGSSLCRLDIR", "/nowhere"}},
            {{"PGSSLSNI", "no"}},
            {{"PGSSLCOMPRESSION", "no"}},
            {{"PGSSLNEGOTIATION", "none"}},
            {{"PGSSLMINPROTOCOLVERSION", "TLSv1.9"}},
            {{"PGSSLMAXPROTOCOLVERSION", "TLSv1"}},
            {{"PGGSSENCMODE", "require"}},
            {{"PGKRBSRVNAME", "elsewhere"}},
            {{"PGGSSLIB", "none"}},
            {{"PGGSSDELEGATION", "2"}},
            {{"PGLOADBALANCEHOSTS", "none"}},
            {{"PGMINPROTOCOLVERSION", "9.9"}},
            {{"PGMAXPROTOCOLVERSION", "1.0"}},
            {{"PGLOCALEDIR", "/nowhere"}},
            {{"HOME", Home()}}};
  }

  // What a session is like, and where.
  static constexpr char kSession[] =
      "SELECT concat_ws(' ', session_user, current_database(), inet_server_addr(), inet_server_port(), "
      "current_setting('search_path'), current_setting('TimeZone'), current_setting('DateStyle'), "
      "current_setting('geqo'), current_setting('client_encoding'), current_setting('application_name'), "
      "current_setting('transaction_read_only'), (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()))";

  std::string SessionBy(const GatewayProcess& gateway, const std::string& host) {
    ConnectionConfig config = Config(1);
    config.host = host;
    config.port = Tls().port();
    config.tls_mode = host[0] == '/' ? TlsMode::kPrefer : TlsMode::kRequire;
    PostgresSyncConnector connector(config, At(gateway));
    connector.connect();
    std::string session = connector.execute(kSession).rows()[0][0].to_string();
    connector.close();
    return session;
  }

  TemporaryFolder home_;
};

std::string Shown(const Variables& variables) {
  std::string shown;
  for (const auto& [name, value] : variables) shown += name + "=" + value + " ";
  return shown;
}

TEST_F(LibpqEnvironment, EveryVariableThatLibpqKnowsIsTried) {
  std::set<std::string> tried;
  for (const Variables& variables : Cases()) {
    for (const auto& [variable, value] : variables) tried.insert(variable);
  }
  PQconninfoOption* options = PQconninfoParse("", nullptr);
  for (const PQconninfoOption* option = options; option->keyword != nullptr; ++option) {
    const std::string variable = option->envvar == nullptr ? "" : option->envvar;
    EXPECT_TRUE(variable.empty() || tried.contains(variable)) << variable;
  }
  PQconninfoFree(options);
}

TEST_F(LibpqEnvironment, HasNoSayInTheGateway) {
  const std::string usual = SessionBy(Gateway(), "127.0.0.1");
  const std::string usual_on_socket = SessionBy(Gateway(), Tls().socket_dir());
  const ElsewhereListener elsewhere(Tls().port());
  for (const Variables& variables : Cases()) {
    SCOPED_TRACE(Shown(variables));
    const auto gateway = StartGateway(variables);
    try {
      EXPECT_EQ(SessionBy(*gateway, "127.0.0.1"), usual);
      EXPECT_EQ(SessionBy(*gateway, Tls().socket_dir()), usual_on_socket);
    } catch (const DatabaseError& error) {
      ADD_FAILURE() << error.what();
    }
    EXPECT_FALSE(elsewhere.WasAsked());
  }
}

TEST_F(LibpqEnvironment, LendsNobodyAPassword) {
  for (const Variables& variables : std::vector<Variables>{
           {{"PGPASSWORD", Postgres().password()}}, {{"PGPASSFILE", Home() + "/.pgpass"}}, {{"HOME", Home()}}}) {
    SCOPED_TRACE(Shown(variables));
    const auto gateway = StartGateway(variables);
    ConnectionConfig config = Config(1);
    config.password.clear();
    PostgresSyncConnector connector(config, At(*gateway));
    const auto error = Catch<DatabaseConnectionError>([&] { connector.connect(); });
    EXPECT_THAT(error.what(), testing::HasSubstr("no password supplied"));
    EXPECT_THAT(gateway->Log(), testing::HasSubstr("can't open a backend")) << "the first login had a password";
  }
}

TEST_F(LibpqEnvironment, TheConfigurationMayNameAVariable) {
  GatewayOptions options;
  const std::string file = Home() + "/gateway.yaml";
  WriteFile(file, "dataSources:\n  by-variable:\n    url: postgresql://app:${ENV:PGPASSWORD}@127.0.0.1:" +
                      std::to_string(Postgres().port()) + "/app?application_name=" + name() + "\n");
  options.arguments = {"--config", file};
  options.environment = {{"PGPASSWORD", Postgres().password()}};
  GatewayProcess gateway(options);
  PostgresSyncConnector connector(DataSource{"by-variable"}, At(gateway));
  connector.connect();
  EXPECT_EQ(connector.execute("SELECT 1").rows()[0][0].as<int>(), 1);
  connector.close();
}

// The second wall: what a process that does not forget its variables comes to.
TEST_F(LibpqEnvironment, HasNoSayInTheParameters) {
  const auto session = [&](const std::string& password) {
    return AskControlSession({Tls().user(), Tls().dbname(), name(), Tls().port()}, password, kSession);
  };
  const std::optional<std::string> usual = session(Tls().password());
  ASSERT_TRUE(usual.has_value());
  const ElsewhereListener elsewhere(Tls().port());
  // Of these libpq has no parameter that says that there is none.
  const std::set<std::string> beyond = {
      "PGSERVICE", "PGTZ", "PGDATESTYLE", "PGGEQO", "PGMINPROTOCOLVERSION", "PGMAXPROTOCOLVERSION", "PGREQUIRESSL"};
  for (const Variables& variables : Cases()) {
    if (beyond.contains(variables.begin()->first)) continue;
    SCOPED_TRACE(Shown(variables));
    Variables before;
    for (const auto& [variable, value] : variables) {
      if (const char* old = std::getenv(variable.c_str())) before[variable] = old;
      setenv(variable.c_str(), value.c_str(), 1);
    }
    EXPECT_EQ(session(Tls().password()), usual);
    setenv("PGPASSWORD", Tls().password().c_str(), 1);
    EXPECT_EQ(session(""), std::nullopt);
    unsetenv("PGPASSWORD");
    for (const auto& [variable, value] : variables) unsetenv(variable.c_str());
    for (const auto& [variable, value] : before) setenv(variable.c_str(), value.c_str(), 1);
    EXPECT_FALSE(elsewhere.WasAsked());
  }
}

}  // namespace
}  // namespace engine::db::test
