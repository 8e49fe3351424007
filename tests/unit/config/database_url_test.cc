#include "server/config/database_url.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace engine::db::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

DatabaseUrl Parsed(const std::string& url) {
  std::vector<std::string> faults;
  DatabaseUrl result = ParseDatabaseUrl(url, faults);
  EXPECT_THAT(faults, IsEmpty()) << url;
  return result;
}

std::vector<std::string> Faults(const std::string& url) {
  std::vector<std::string> faults;
  (void)ParseDatabaseUrl(url, faults);
  return faults;
}

TEST(DatabaseUrl, TheRequirementsForm) {
  const v1::ConnectionConfig config = Parsed("postgresql://user:pass@host:5433/db_name").config;
  EXPECT_EQ(config.user(), "user");
  EXPECT_EQ(config.password(), "pass");
  EXPECT_EQ(config.host(), "host");
  EXPECT_EQ(config.port(), 5433);
  EXPECT_EQ(config.dbname(), "db_name");
}

TEST(DatabaseUrl, PartsMayBeLeftOut) {
  const v1::ConnectionConfig config = Parsed("postgres://host").config;
  EXPECT_EQ(config.host(), "host");
  EXPECT_FALSE(config.has_port());
  EXPECT_EQ(config.user(), "");
  EXPECT_EQ(config.dbname(), "");
}

TEST(DatabaseUrl, PercentEncodingIsDecodedEverywhere) {
  const v1::ConnectionConfig config =
      Parsed("postgresql://a%40b:p%2F%3A%25%3F@%2Fvar%2Frun/d%20b?application_name=x%26y").config;
  EXPECT_EQ(config.user(), "a@b");
  EXPECT_EQ(config.password(), "p/:%?");
  EXPECT_EQ(config.host(), "/var/run");
  EXPECT_EQ(config.dbname(), "d b");
  EXPECT_EQ(config.application_name(), "x&y");
}

TEST(DatabaseUrl, APasswordMayHoldAtAndColon) {
  const v1::ConnectionConfig config = Parsed("postgresql://u:a@b:c@host/d").config;
  EXPECT_EQ(config.user(), "u");
  EXPECT_EQ(config.password(), "a@b:c");
  EXPECT_EQ(config.host(), "host");
}

TEST(DatabaseUrl, Ipv6AndParameters) {
  const DatabaseUrl url = Parsed("postgresql://u@[::1]:5/d?sslmode=verify-full&sslrootcert=/ca.pem&connect_timeout=3");
  EXPECT_EQ(url.config.host(), "::1");
  EXPECT_EQ(url.config.port(), 5);
  EXPECT_EQ(url.config.tls_mode(), v1::TLS_MODE_VERIFY_FULL);
  EXPECT_EQ(url.tls_root_certificate, "/ca.pem");
  EXPECT_EQ(url.config.connect_timeout_ms(), 3000);
}

TEST(DatabaseUrl, FaultsSayWhatWasExpected) {
  EXPECT_THAT(Faults("mysql://u:p@h/d"), ElementsAre(HasSubstr("must be postgresql://")));
  EXPECT_THAT(Faults(""), ElementsAre(HasSubstr("must be postgresql://")));
  EXPECT_THAT(Faults("postgresql://u@h:abc/d"), ElementsAre("port must be a whole number"));
  EXPECT_THAT(Faults("postgresql://u@h/d%2"), ElementsAre(HasSubstr("hexadecimal")));
  EXPECT_THAT(Faults("postgresql://u@h/d?sslmode=on"), ElementsAre(HasSubstr("verify-full")));
  EXPECT_THAT(Faults("postgresql://u@[::1/d"), ElementsAre(HasSubstr("without \"]\"")));
}

TEST(DatabaseUrl, FaultsNeverQuoteWhatMayBeAPassword) {
  for (const char* url :
       {"postgresql://u:canary@h:canary/d", "postgresql://u:x?canary=1@h/d", "postgresql://u:x#canary@h/d",
        "postgresql://u:%canary@h/d", "canary", "postgresql://u:canary/x@h:/d?canary"}) {
    for (const std::string& fault : Faults(url)) EXPECT_THAT(fault, Not(HasSubstr("canary"))) << url;
  }
}

}  // namespace
}  // namespace engine::db::config
