// What is wrong with a configuration is told whole, with its place, and never with a value.
#include <string>

#include "absl/strings/str_cat.h"
#include "server/base/failure.h"
#include "tests/support/requirements_yaml.h"
#include "tests/unit/config/settings_test.h"

namespace engine::db::config {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class SettingsFaultsTest : public SettingsTest {};

TEST_F(SettingsFaultsTest, AnUnsetVariableIsNamedWithThePathAndTheLine) {
  variables_ = {{"DB_URL", "postgresql://h/d"}, {"DB_USERNAME", "app"}};
  const auto settings = LoadFile(test::kDatabaseServer);
  ASSERT_FALSE(settings.ok());
  EXPECT_EQ(FailureOf(settings.status()).field, "databaseServer.securitySchemes.dbAuth[0].password (line 11)");
  EXPECT_THAT(std::string(settings.status().message()), HasSubstr("environment variable DB_PASSWORD is not set"));
}

TEST_F(SettingsFaultsTest, AFileThatIsMissingIsNamed) {
  EXPECT_THAT(Faults("dataSources: {a: {url: 'postgresql://u:${FILE:/nonexistent/pw}@h/d'}}"),
              AllOf(HasSubstr("dataSources.a.url (line 1)"), HasSubstr("/nonexistent/pw"), HasSubstr("No such file")));
}

TEST_F(SettingsFaultsTest, ReferencesThatAreNoneAreRefused) {
  EXPECT_THAT(Faults("logLevel: ${LEVEL}"), HasSubstr("${ENV:NAME} or ${FILE:PATH}"));
  EXPECT_THAT(Faults("logLevel: '${ENV:LEVEL'"), HasSubstr("has no \"}\""));
}

TEST_F(SettingsFaultsTest, AllFaultsAreReportedAtOnceWithTheirLines) {
  const std::string message = Faults(R"(
lisen: 127.0.0.1:1
eventLoops: 65
drainGrace: 20
limits:
  waiters: many
  waters: 5
dataSources:
  orders:
    protocol: kafka
    url: postgresql://app:canary-pa55word@h:70000/orders
    driver: mysql
    maxPoolSize: many
  audit:
    url: postgresql://app:canary-pa55word@h:70000/orders
    minPoolSize: 30
)");
  EXPECT_THAT(
      message,
      AllOf(
          HasSubstr("lisen (line 2): is unknown (did you mean listen?); known here: allowInlineTargets, dataSources,"),
          HasSubstr("eventLoops (line 3): must be a whole number, 1 to 64"),
          HasSubstr("drainGrace (line 4): must be a time with its unit"), HasSubstr("limits.waiters (line 6)"),
          HasSubstr("limits.waters (line 7): is unknown")));
  EXPECT_THAT(message, AllOf(HasSubstr("dataSources.orders.protocol (line 10): must be database"),
                             HasSubstr("dataSources.orders.driver (line 12): must be postgres"),
                             HasSubstr("dataSources.orders.maxPoolSize (line 13): must be a whole number"),
                             HasSubstr("dataSources.audit.url (line 15): port must be 1 to 65535\n"),
                             HasSubstr("dataSources.audit.minPoolSize (line 16): must be at most max_pool_size")));
}

TEST_F(SettingsFaultsTest, ALostIndentationIsExplained) {
  EXPECT_THAT(Faults("dataSources:\n  a:\n  url: postgresql://h/d\n"),
              HasSubstr("dataSources.a (line 2): has no value (is what belongs to it not indented?)"));
}

TEST_F(SettingsFaultsTest, ASlipOfThePenGetsASuggestion) {
  const std::string message = Faults(
      "dataSources: {a: {url: 'postgresql://u@h/d', max_pool_size: 3, minPoolsize: 1, aplicationName: x, colour: y, "
      "retry: {attempts: 1, maxAttempt: 1}}}");
  EXPECT_THAT(message, AllOf(HasSubstr("max_pool_size (line 1): is unknown (did you mean maxPoolSize?)"),
                             HasSubstr("minPoolsize (line 1): is unknown (did you mean minPoolSize?)"),
                             HasSubstr("aplicationName (line 1): is unknown (did you mean applicationName?)"),
                             HasSubstr("colour (line 1): is unknown; known here"),
                             HasSubstr("retry.maxAttempt (line 1): is unknown (did you mean maxAttempts?)")));
}

TEST_F(SettingsFaultsTest, NoFaultIsLeftOutHoweverManyThereAre) {
  std::string yaml = "dataSources:\n";
  for (int i = 0; i < 100; ++i) yaml += "  s" + std::to_string(i) + ": {url: 'postgresql://u@h:0/d'}\n";
  const std::string message = Faults(yaml);
  EXPECT_THAT(message, HasSubstr(file_ + " has 100 faults:\n"));
  for (int i = 0; i < 100; ++i) {
    EXPECT_THAT(message, HasSubstr("\n  dataSources.s" + std::to_string(i) + ".url (line " + std::to_string(i + 2) +
                                   "): port must be 1 to 65535"));
  }
}

TEST_F(SettingsFaultsTest, EveryReferenceThatDoesNotResolveIsNamed) {
  EXPECT_THAT(
      Faults("dataSources: {a: {url: 'postgresql://${ENV:ONE}:${FILE:/nonexistent/two}@${ENV:THREE}/d'}}"),
      AllOf(HasSubstr("dataSources.a.url (line 1)"), HasSubstr("environment variable ONE is not set"),
            HasSubstr("cannot read file /nonexistent/two"), HasSubstr("environment variable THREE is not set")));
}

TEST_F(SettingsFaultsTest, SeveralHostsAreRefusedAsSuch) {
  for (const char* host : {"a,b", "a:5432,b:5433", "a,b:5432"}) {
    EXPECT_THAT(Faults(std::string("dataSources: {a: {url: 'postgresql://u@") + host + "/d'}}"),
                HasSubstr("host must be one host name"))
        << host;
  }
}

// yaml-cpp's own words quote what it stumbled over.
TEST_F(SettingsFaultsTest, APasswordThatIsNoYamlIsNotQuoted) {
  for (const char* password :
       {"*canary-pa55word",       "\"canary-pa55word\\q\"", "!canary-pa55word x",    "&canary-pa55word x",
        "[canary-pa55word",       "{canary-pa55word",       "\"canary-pa55word",     "'canary-pa55word",
        "@canary-pa55word",       "`canary-pa55word",       "%canary-pa55word",      "canary-pa55word: x",
        "|canary-pa55word",       ">canary-pa55word",       "- canary-pa55word",     "? canary-pa55word",
        "\"\\ucanary-pa55word\"", "<<canary-pa55word: x",   "x: canary-pa55word: y", "[canary-pa55word]",
        "{canary-pa55word: x}"}) {
    const auto settings =
        LoadFile(std::string("databaseServer:\n  protocol: database\n  url: postgresql://u@h/d\n  "
                             "securitySchemes:\n    dbAuth:\n      - type: basic\n        username: u\n"
                             "        password: ") +
                 password + "\n");
    if (settings.ok()) continue;  // a text after all
    EXPECT_THAT(std::string(settings.status().message()), Not(HasSubstr("canary"))) << password;
  }
}

// yaml-cpp would take each of these for whole.
TEST_F(SettingsFaultsTest, AQuoteThatIsNotClosedIsAFault) {
  const std::string head = "a:\n  url: postgresql://u@h/d\n  securitySchemes: {b: [{username: u, password: p}]}\n";
  ASSERT_TRUE(LoadFile(head + "  description: \"whole\"\n").ok());
  for (const char* open : {"\"canary-pa55word", "'canary-pa55word", "\"canary-pa55word\\"}) {
    for (const char* end : {"", "\n", "\n\n", "\r\n", " \n \n", "\n# a comment\n"}) {
      EXPECT_THAT(Faults(absl::StrCat(head, "  description: ", open, end)), HasSubstr("is not YAML")) << open << end;
    }
  }
  for (const char* whole : {"|\n    text\n", "|+\n    text\n\n", ">-\n    text", "text", "text # comment",
                            "'text'\n...\n", "{a: b}", "[a]"}) {
    EXPECT_THAT(std::string(LoadFile(absl::StrCat(head, "  applicationName: ", whole)).status().message()),
                Not(HasSubstr("is not YAML")))
        << whole;
  }
}

TEST_F(SettingsFaultsTest, ASecondDocumentIsAFault) {
  const std::string first = "logLevel: info\n";
  for (const char* second :
       {"---\nlogLevel: debug\n", "...\n---\nlogLevel: debug\n", "...\nx\n", "---\n- canary-pa55word\n"}) {
    EXPECT_THAT(Faults(first + second), AllOf(HasSubstr("must hold one YAML document"), HasSubstr("(line "))) << second;
  }
  EXPECT_THAT(Faults("---\n---\nlogLevel: debug\n"), HasSubstr("must hold one YAML document"));
  for (const char* rest : {"...\n", "---\n", "# ---\n", "...\n# the end"})
    EXPECT_TRUE(LoadFile(first + rest).ok()) << rest;
  EXPECT_TRUE(LoadFile("---\n" + first).ok());
  // In which yaml-cpp finds documents for ever.
  for (const char* endless : {", a", ",", "# a\n, logLevel: info\n"}) {
    EXPECT_THAT(Faults(endless), HasSubstr("must hold one YAML document")) << endless;
  }
}

TEST_F(SettingsFaultsTest, TextThatIsNotUtf8IsAFault) {
  const auto faults = [this](const std::string& url, const std::string& password) {
    return Faults(
        absl::StrCat("a:\n  url: ", url, "\n  securitySchemes: {b: [{username: u, password: ", password, "}]}\n"));
  };
  variables_["BYTES"] = "canary-pa55word\xff";
  for (const char* password : {"canary-pa55word\xff", "\"canary-pa55word\xff\"", "'\xc3'", "\"${ENV:BYTES}\""}) {
    EXPECT_THAT(faults("postgresql://u@h/d", password), HasSubstr("password (line 3): must be UTF-8")) << password;
  }
  EXPECT_THAT(Faults("a: {url: 'postgresql://u:canary-pa55word%ff@h/d'}"), HasSubstr("must be UTF-8"));
  EXPECT_TRUE(LoadFile("a: {url: 'postgresql://u:p%c3%bc@h/d'}").ok());
}

TEST_F(SettingsFaultsTest, DepthAndCyclesAreFaults) {
  const auto repeated = [](const std::string& text, int times) {
    std::string all;
    for (int i = 0; i < times; ++i) all += text;
    return all;
  };
  for (const std::string& yaml :
       {std::string("a: &a {b: *a}"), std::string("a: &a {url: *a, securitySchemes: *a}"),
        std::string("dataSources: &a {b: *a}"), std::string("a: &a {url: 'postgresql://u@h/d', retry: *a}"),
        std::string("a: &a [*a]"), std::string("listen: &a [*a]"),
        std::string("a: &a {url: x, securitySchemes: {b: &b [*b]}}"), std::string("&a ? *a\n: *a"),
        "a: " + repeated("[", 100'000), "a: " + repeated("{a: ", 100'000), repeated("- ", 100'000),
        repeated("? ", 100'000), "listen: " + repeated("[", 400) + repeated("]", 400), "a: " + repeated("!x ", 100'000),
        repeated("a:\n ", 50'000)}) {
    EXPECT_FALSE(LoadFile(yaml).ok()) << yaml.substr(0, 40);
  }
}

// A "${FILE:" or "${ENV:" that lacks its "}" goes on to the next one there is, over whatever stands between.
TEST_F(SettingsFaultsTest, AReferenceWithoutItsEndDoesNotQuoteWhatFollows) {
  for (const char* reference : {"${FILE:/run/secrets/db", "${ENV:DB_HOST", "${FILE:", "${ENV:"}) {
    const std::string message = Faults(absl::StrCat("a:\n  url: \"postgresql://u@", reference, "/d\n",
                                                    "  securitySchemes: {b: [{password: canary-pa55word}]}\"\n"));
    EXPECT_THAT(message, AllOf(HasSubstr("a.url (line 2)"), HasSubstr("is its \"}\" missing?"))) << reference;
  }
  // Within one line, as the user of a URL whose password follows.
  Faults("a: {url: 'postgresql://${FILE:/run/user:canary-pa55word@h/${ENV:DATABASE}'}");
  Faults("a: {url: 'postgresql://${ENV:USER:canary-pa55word@h/${ENV:DATABASE}'}");
}

// Keys are named where they are plainly keys: a broken quote or a comma too many makes keys of values.
TEST_F(SettingsFaultsTest, AKeyThatMayBeAPieceOfAValueIsNotQuoted) {
  const char* const unknown = ".? (line 1): is unknown (not shown, since it may be a piece of a value)";
  EXPECT_THAT(
      Faults("a: {url: 'postgresql://u@h/d', securitySchemes: {b: [{username: u, password: its,canary-pa55word}]}}"),
      HasSubstr(absl::StrCat("a.securitySchemes.b[0]", unknown)));
  EXPECT_THAT(Faults("a: {description: 'it', url, \"postgresql://u:canary-pa55word@h/d\": x}"),
              HasSubstr(absl::StrCat("a", unknown, "; known here")));
  EXPECT_THAT(Faults("'password: canary-pa55word': {url: 'postgresql://u@h/d'}"),
              AllOf(HasSubstr("? (line 1): must have a name of 1 to 63"), Not(HasSubstr("known here"))));
  EXPECT_THAT(Faults("dataSources: {'password: canary-pa55word': {url: 'postgresql://u@h/d'}}"),
              HasSubstr("dataSources.? (line 1): must have a name of 1 to 63"));
  EXPECT_THAT(Faults("dataSources: {'password: canary-pa55word': }"),
              HasSubstr("dataSources.? (line 1): has no value"));
  EXPECT_THAT(Faults("a: {url: 'postgresql://u@h/d', securitySchemes: {'password: canary-pa55word': [{type: x}]}}"),
              HasSubstr("a.securitySchemes.?[0].type (line 1): must be basic"));
  EXPECT_THAT(Faults("dataSources: {url: postgresql://u:its,canary-pa55word}"),
              HasSubstr("dataSources.? (line 1): has no value"));
  // Other faults list what is known, the data sources' names among it.
  Faults("colour: red\n'password: canary-pa55word': {url: 'postgresql://u@h/d'}\n");
  // One that is no piece of a value: in a block, a key has its colon.
  EXPECT_THAT(Faults("limts:\nwaiters: 5\n"), HasSubstr("limts (line 1): is unknown (did you mean limits?)"));
}

// Bytes that a terminal obeys, or that are no UTF-8, which no error can carry.
TEST_F(SettingsFaultsTest, AKeyIsNotQuotedWithItsControlCharacters) {
  for (const char* key : {"\"log\\eLevel\"", "\"log\\nLevel\"", "log\xa1Level"}) {
    EXPECT_THAT(Faults(absl::StrCat(key, ": info\n")), HasSubstr("? (line 1): is unknown (not shown")) << key;
  }
}

TEST_F(SettingsFaultsTest, AFaultOfAUrlsParameterNamesIt) {
  EXPECT_THAT(Faults("a: {url: 'postgresql://u@h/d?max_pool_size=0'}"), HasSubstr("max_pool_size must be 1 to 1000"));
  EXPECT_THAT(Faults("a: {url: 'postgresql://u@h/d?sslcert=/c'}"), HasSubstr("both tlsCertificate and tlsKey"));
}

// "postgresql://u:1234/5@h/d" has the host "u" and the port 1234.
TEST_F(SettingsFaultsTest, APortThatMayBeAPieceOfAPasswordIsNotQuoted) {
  EXPECT_THAT(Faults("a: {url: 'postgresql://u:47114711/5@h/d'}"),
              AllOf(HasSubstr("a.url (line 1): has a \"/\" in front of an \"@\""), Not(HasSubstr("4711"))));
}

TEST_F(SettingsFaultsTest, AKeyGivenTwiceIsRefused) {
  EXPECT_THAT(Faults("logLevel: info\nlogLevel: debug\n"), HasSubstr("logLevel (line 2): is given twice"));
  EXPECT_THAT(Faults("dataSources:\n  a: {url: 'postgresql://u@h/d'}\n  a: {url: 'postgresql://u@h/d'}\n"),
              HasSubstr("dataSources.a (line 3): is given twice"));
}

TEST_F(SettingsFaultsTest, OnlyOneBasicSchemeIsAccepted) {
  EXPECT_THAT(Faults("dataSources: {a: {url: 'postgresql://h/d', securitySchemes: {x: [{type: oauth, username: u}]}}}"),
              HasSubstr("securitySchemes.x[0].type (line 1): must be basic"));
  EXPECT_THAT(Faults("dataSources: {a: {url: 'postgresql://h/d', securitySchemes: {x: []}}}"),
              HasSubstr("must hold one scheme"));
}

TEST_F(SettingsFaultsTest, WhatIsNotYamlSaysWhere) {
  EXPECT_THAT(Faults("listen: [1\n"), AllOf(HasSubstr("(line "), HasSubstr("is not YAML")));
  EXPECT_THAT(Faults("just text"), HasSubstr("must be a map"));
  CommandLine command_line;
  command_line.config_file = "/nonexistent/gateway.yaml";
  EXPECT_THAT(std::string(Load(command_line).status().message()),
              HasSubstr("/nonexistent/gateway.yaml: cannot be read"));
}

TEST_F(SettingsFaultsTest, FaultsOfTheEnvironmentAndTheCommandLineAreNamedAsSuch) {
  variables_ = {{"ENGINE_DB_LISTEN", "50051"}, {"ENGINE_DB_EVENT_LOOPS", "0"}};
  CommandLine command_line;
  command_line.metrics_listen = "localhost";
  command_line.log_level = "loud";
  EXPECT_THAT(std::string(Load(command_line).status().message()),
              AllOf(HasSubstr("ENGINE_DB_LISTEN: must be HOST:PORT"),
                    HasSubstr("ENGINE_DB_EVENT_LOOPS: must be a whole number"),
                    HasSubstr("--metrics-listen: must be HOST:PORT"), HasSubstr("--log-level: must be debug")));
}

TEST_F(SettingsFaultsTest, SecretsAreInNoError) {
  variables_ = {{"DB_URL", "postgresql://app:canary-pa55word@h:port/d?canary-pa55word"},
                {"DB_USERNAME", kCanary},
                {"DB_PASSWORD", kCanary},
                {"ENGINE_DB_LOG_LEVEL", kCanary},
                {"ENGINE_DB_LISTEN", kCanary}};
  Faults(test::kDatabaseServer);
  Faults(
      "dataSources: {a: {url: '${ENV:DB_PASSWORD}', tlsMode: '${ENV:DB_PASSWORD}', maxPoolSize: "
      "'${ENV:DB_PASSWORD}'}}");
}

}  // namespace
}  // namespace engine::db::config
