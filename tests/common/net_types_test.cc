#include "common/net_types.h"

#include <gtest/gtest.h>

namespace portsentry {
namespace {

Address addr(std::string_view text) {
  const auto a = Address::parse(text);
  EXPECT_TRUE(a) << text;
  return a.value_or(Address::v4(0, 0, 0, 0));
}

Prefix net(std::string_view text) {
  const auto p = Prefix::parse(text);
  EXPECT_TRUE(p) << text;
  return p.value_or(Prefix::host(Address::v4(0, 0, 0, 0)));
}

TEST(Address, PrintsTheCanonicalText) {
  EXPECT_EQ(addr("192.0.2.1").text(), "192.0.2.1");
  EXPECT_EQ(addr("2001:DB8:0:0:0:0:0:1").text(), "2001:db8::1");
}

TEST(Address, MappedFormIsTheSameHostAsItsIPv4Address) {
  EXPECT_EQ(addr("::ffff:192.0.2.1"), addr("192.0.2.1"));
  EXPECT_TRUE(addr("::ffff:127.0.0.1").is_loopback());
  EXPECT_TRUE(addr("::ffff:192.0.2.1").is_v4());
}

TEST(Address, RefusesWhatIsNoAddress) {
  for (const char* text : {"", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "host",
                           "fe80::1%eth0", "[::1]", " 1.2.3.4", "1.2.3.4 ", "::1::", "12345::"}) {
    EXPECT_FALSE(Address::parse(text)) << text;
  }
  EXPECT_FALSE(Address::parse(std::string_view("1.2.3.4\0x", 9)));
  const std::array<std::byte, 17> raw{};
  for (const std::size_t size : {0U, 3U, 5U, 15U, 17U})
    EXPECT_FALSE(Address::from_bytes(Bytes(raw).first(size)));
}

TEST(Address, KnowsWhatCannotCrossANetwork) {
  for (const char* text :
       {"0.0.0.0", "0.1.2.3", "127.0.0.1", "127.9.9.9", "169.254.1.1", "224.0.0.5", "239.1.1.1",
        "240.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "febf::1", "ff02::1"}) {
    EXPECT_FALSE(addr(text).is_routable_unicast()) << text;
  }
  for (const char* text : {"1.0.0.1", "10.0.0.1", "192.168.1.1", "223.255.255.255", "2001:db8::1",
                           "fd00::1", "fec0::1"}) {
    EXPECT_TRUE(addr(text).is_routable_unicast()) << text;
  }
}

TEST(Prefix, ClearsHostBits) {
  EXPECT_EQ(net("10.9.0.77/24").text(), "10.9.0.0/24");
  EXPECT_EQ(net("10.9.0.77/31").text(), "10.9.0.76/31");
  EXPECT_EQ(net("2001:db8::1/64").text(), "2001:db8::/64");
  EXPECT_EQ(net("2001:db8::ffff/127").text(), "2001:db8::fffe/127");
}

TEST(Prefix, ZeroLengthIsEverythingOfItsFamily) {
  EXPECT_TRUE(net("0.0.0.0/0").contains(addr("203.0.113.9")));
  EXPECT_FALSE(net("0.0.0.0/0").contains(addr("2001:db8::1")));
  EXPECT_TRUE(net("::/0").contains(addr("2001:db8::1")));
  EXPECT_FALSE(net("::/0").contains(addr("203.0.113.9")));
}

TEST(Prefix, MappedNetworkIsAnIPv4Network) {
  EXPECT_EQ(net("::ffff:10.0.0.0/104").text(), "10.0.0.0/8");
  EXPECT_FALSE(Prefix::parse("::ffff:10.0.0.0/95"));
}

TEST(Prefix, RefusesWhatIsNoPrefix) {
  for (const char* text : {"10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0.0/-1", "10.0.0.0/8x",
                           "10.0.0.0/ 8", "/8", "10.0.0.0/255.0.0.0", "10.0.0.0/8/8"}) {
    EXPECT_FALSE(Prefix::parse(text)) << text;
  }
}

TEST(Prefix, ContainsSmallerPrefixesOnly) {
  EXPECT_TRUE(net("2001:db8::/32").contains(net("2001:db8:5::/64")));
  EXPECT_FALSE(net("2001:db8:5::/64").contains(net("2001:db8::/32")));
  EXPECT_TRUE(net("1.2.3.4").contains(net("1.2.3.4")));
  EXPECT_FALSE(net("1.2.3.4").contains(net("11.2.3.4")));
}

TEST(Source, AnIPv6HostElsewhereStandsForItsWholeSlash64) {
  EXPECT_EQ(Source::of(addr("2001:db8::17"), false).text(), "2001:db8::/64");
  EXPECT_EQ(Source::of(addr("2001:db8::17"), true).text(), "2001:db8::17");
  EXPECT_EQ(Source::of(addr("192.0.2.7"), false).text(), "192.0.2.7");
}

TEST(Source, FromTheWireOnlyTheThreeKnownLengthsWithoutHostBits) {
  EXPECT_TRUE(Source::from_prefix(addr("192.0.2.7"), 32));
  EXPECT_TRUE(Source::from_prefix(addr("2001:db8::"), 64));
  EXPECT_TRUE(Source::from_prefix(addr("2001:db8::1"), 128));
  EXPECT_FALSE(Source::from_prefix(addr("192.0.2.0"), 24));
  EXPECT_FALSE(Source::from_prefix(addr("192.0.2.0"), 64));
  EXPECT_FALSE(Source::from_prefix(addr("2001:db8::1"), 64));
  EXPECT_FALSE(Source::from_prefix(addr("2001:db8::"), 0));
}

TEST(Port, ZeroIsNoPort) {
  EXPECT_FALSE(Port::make(0));
  EXPECT_FALSE(Port::make(65536));
  EXPECT_EQ(Port::make(65535)->number(), 65535);
}

TEST(WatchMode, HasTheWordOfItsProtocol) {
  EXPECT_EQ(mode_word(Protocol::tcp, WatchMode::bind), "tcp");
  EXPECT_EQ(mode_word(Protocol::tcp, WatchMode::stealth), "stcp");
  EXPECT_EQ(mode_word(Protocol::tcp, WatchMode::advanced), "atcp");
  EXPECT_EQ(mode_word(Protocol::udp, WatchMode::bind), "udp");
  EXPECT_EQ(mode_word(Protocol::udp, WatchMode::stealth), "sudp");
  EXPECT_EQ(mode_word(Protocol::udp, WatchMode::advanced), "audp");
  EXPECT_EQ(mode_word(Protocol::udp, WatchMode::none), "");
}

}  // namespace
}  // namespace portsentry
