#include "scout/lease.h"

#include <gtest/gtest.h>

#include "texts.h"

namespace portsentry::scout {
namespace {

constexpr std::time_t kNow = 1'795'000'000;  // 2026-11-18 11:06:40 UTC

std::string lease(std::string_view interface, std::string_view server,
                  std::string_view expire = "expire 4 2026/11/19 00:00:00;") {
  return "lease {\n  interface \"" + std::string(interface) +
         "\";\n  fixed-address 192.0.2.10;\n  option routers 192.0.2.254;\n"
         "  option domain-name \"a } lease { option dhcp-server-identifier 203.0.113.9;\";\n"
         "  option dhcp-server-identifier " +
         std::string(server) + ";\n  " + std::string(expire) + "\n}\n";
}

std::vector<std::byte> message(std::initializer_list<int> options, int op = 2,
                               std::size_t size = 236) {
  std::vector<std::byte> bytes(size);
  bytes[0] = static_cast<std::byte>(op);
  for (const int b : {0x63, 0x82, 0x53, 0x63})
    bytes.push_back(static_cast<std::byte>(b));
  for (const int b : options)
    bytes.push_back(static_cast<std::byte>(b));
  return bytes;
}

TEST(Dhclient, OfEachInterfaceTheLastLeaseCounts) {
  EXPECT_EQ(texts(dhclient_servers(lease("eth0", "192.0.2.1") + lease("eth1", "198.51.100.1") +
                                       lease("eth0", "192.0.2.2"),
                                   kNow)),
            (Texts{"192.0.2.2", "198.51.100.1"}));
}

TEST(Dhclient, AnExpiredLeaseIsNone) {
  for (const char* over : {"expire 3 2026/11/18 11:06:40;", "expire epoch 1794999999; # Wed",
                           "expire 4 1999/1/1 0:0:0;"})
    EXPECT_TRUE(dhclient_servers(lease("eth0", "192.0.2.1", over), kNow).empty()) << over;
  for (const char* valid : {"expire never;", "expire epoch 1795000001; # Wed",
                            "expire 3 2026/11/18 11:06:41;", "expire some day;", ""})
    EXPECT_EQ(dhclient_servers(lease("eth0", "192.0.2.1", valid), kNow).size(), 1U) << valid;
}

TEST(Dhclient, WhatAServerPutsIntoItsTextsIsText) {
  EXPECT_EQ(texts(dhclient_servers(lease("eth0", "192.0.2.1"), kNow)), Texts{"192.0.2.1"});
}

TEST(Dhclient, AJournalThatBeginsOrEndsInTheMiddleLosesThatLeaseAlone) {
  const std::string whole = lease("eth0", "192.0.2.1");
  EXPECT_EQ(texts(dhclient_servers(whole.substr(20) + lease("eth1", "192.0.2.2"), kNow)),
            Texts{"192.0.2.2"});
  EXPECT_EQ(texts(dhclient_servers(whole + lease("eth0", "192.0.2.9").substr(0, 150), kNow)),
            Texts{"192.0.2.1"});
  for (std::size_t cut = 0; cut <= whole.size(); ++cut)
    EXPECT_LE(dhclient_servers(std::string_view(whole).substr(0, cut), kNow).size(), 1U);
}

TEST(Dhclient, AServerThatCannotBeOneIsNone) {
  for (const char* text :
       {"127.0.0.1", "255.255.255.255", "0.0.0.0", "192.0.2.1.5", "example.net", ""})
    EXPECT_TRUE(dhclient_servers(lease("eth0", text), kNow).empty()) << text;
}

TEST(Dhclient, ManyInterfacesEnd) {
  std::string text;
  for (int i = 0; i < 300; ++i)
    text += lease("eth" + std::to_string(i), "192.0.2." + std::to_string(i % 250 + 1));
  EXPECT_EQ(dhclient_servers(text, kNow).size(), kMostServers);
}

TEST(SystemdLease, ItsServerIsTaken) {
  EXPECT_EQ(systemd_server("# This is private data. Do not parse.\nADDRESS=192.0.2.10\n"
                           "SERVER_ADDRESS=192.0.2.1\nROUTER=192.0.2.254\nDNS=192.0.2.53\n"),
            address("192.0.2.1"));
}

TEST(SystemdLease, WithoutAServerOrWithTwoThereIsNone) {
  EXPECT_FALSE(systemd_server("ADDRESS=192.0.2.10\n"));
  EXPECT_FALSE(systemd_server("SERVER_ADDRESS=192.0.2.1\nSERVER_ADDRESS=192.0.2.2\n"));
  EXPECT_FALSE(systemd_server("SERVER_ADDRESS=127.0.0.1\n"));
  EXPECT_FALSE(systemd_server("SERVER_ADDRESS=\n"));
}

TEST(DhcpMessage, OptionFiftyFourIsTheServer) {
  EXPECT_EQ(dhcp_message_server(message({53, 1, 5, 0, 0, 54, 4, 192, 0, 2, 1, 255})),
            address("192.0.2.1"));
}

TEST(DhcpMessage, WhatIsNotAWholeReplyIsNone) {
  EXPECT_FALSE(dhcp_message_server(message({54, 4, 192, 0, 2, 1, 255}, 1)));   // a request
  EXPECT_FALSE(dhcp_message_server(message({54, 4, 192, 0, 2, 1}, 2, 235)));   // too short
  EXPECT_FALSE(dhcp_message_server(message({255, 54, 4, 192, 0, 2, 1})));      // after the end
  EXPECT_FALSE(dhcp_message_server(message({54, 5, 192, 0, 2, 1, 1, 255})));   // another size
  EXPECT_FALSE(dhcp_message_server(message({54, 4, 192, 0, 2})));              // cut
  EXPECT_FALSE(dhcp_message_server(message({12, 200, 54, 4, 192, 0, 2, 1})));  // beyond the end
  EXPECT_FALSE(dhcp_message_server(message({54, 4, 127, 0, 0, 1, 255})));
  const auto whole = message({53, 1, 5, 54, 4, 192, 0, 2, 1, 255});
  for (std::size_t cut = 0; cut < whole.size() - 1; ++cut)
    EXPECT_FALSE(dhcp_message_server(Bytes(whole).first(cut))) << cut;
}

}  // namespace
}  // namespace portsentry::scout
