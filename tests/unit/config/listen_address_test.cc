#include "server/config/listen_address.h"

#include <string>

#include "gtest/gtest.h"

namespace engine::db::config {
namespace {

TEST(ListenAddress, GoesThereAndBack) {
  for (const char* text :
       {"127.0.0.1:50051", "[::1]:0", "0.0.0.0:65535", "localhost:1", "unix:/run/a b.sock", "unix:relative"}) {
    const auto address = ParseListenAddress(text);
    ASSERT_TRUE(address.ok()) << text << ": " << address.status();
    EXPECT_EQ(address->ToString(), text);
  }
  EXPECT_EQ(ParseListenAddress("unix:///run/a.sock")->unix_path, "/run/a.sock");
  EXPECT_EQ(ParseListenAddress("unix://///run/a.sock")->unix_path, "/run/a.sock");
}

TEST(ListenAddress, OnlyLoopbackAndUnixSocketsAreLocal) {
  for (const char* text : {"127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1", "unix:/s"}) {
    EXPECT_TRUE(ParseListenAddress(text)->IsLocal()) << text;
  }
  for (const char* text : {"0.0.0.0:1", "10.0.0.1:1", "[::]:1", "[fe80::1]:1", "[::ffff:10.0.0.1]:1"}) {
    EXPECT_FALSE(ParseListenAddress(text)->IsLocal()) << text;
  }
}

TEST(ListenAddress, AnythingElseSaysWhatWasExpected) {
  for (const char* text : {"", "50051", ":50051", "*:50051", "127.0.0.1", "127.0.0.1:", "127.0.0.1:-1", "127.0.0.1:+1",
                           "127.0.0.1: 1", "127.0.0.1:65536", "127.0.0.1:99999999999", "::1:50051", "[::1]",
                           "[127.0.0.1]:1", "host.example:1", "unix:", "http://127.0.0.1:1"}) {
    const auto address = ParseListenAddress(text);
    ASSERT_FALSE(address.ok()) << text;
    EXPECT_NE(address.status().message().find("must be"), absl::string_view::npos) << address.status();
  }
  EXPECT_FALSE(ParseListenAddress("unix:/" + std::string(200, 'x')).ok()) << "longer than a socket's path may be";
}

}  // namespace
}  // namespace engine::db::config
