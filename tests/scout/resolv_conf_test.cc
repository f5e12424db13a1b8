#include "scout/resolv_conf.h"

#include <gtest/gtest.h>

#include "texts.h"

namespace portsentry::scout {
namespace {

TEST(ResolvConf, NameServersAreTakenInTheirOrderOnce) {
  EXPECT_EQ(texts(name_servers("# made by hand\nsearch example.net\nnameserver 192.0.2.53\n"
                               "nameserver\t2001:db8::53  # the other\nnameserver 192.0.2.53\n"
                               "nameserver 198.51.100.53")),
            (Texts{"192.0.2.53", "2001:db8::53", "198.51.100.53"}));
}

TEST(ResolvConf, AStubALinkLocalServerAndWhatIsNoAddressAreLeftOut) {
  EXPECT_TRUE(name_servers("nameserver 127.0.0.53\nnameserver ::1\nnameserver fe80::1%eth0\n"
                           "nameserver fe80::1\nnameserver ns.example.net\nnameserver\n"
                           "nameserver 192.0.2.256\nnameserver 224.0.0.251\nnameserver 0.0.0.0\n")
                  .empty());
}

TEST(ResolvConf, OnlyALineThatBeginsWithTheWholeKeywordCounts) {
  EXPECT_TRUE(name_servers(";nameserver 192.0.2.1\n#nameserver 192.0.2.1\n nameserver 192.0.2.1\n"
                           "nameservers 192.0.2.1\nnameserver192.0.2.1\n"
                           "options x nameserver 192.0.2.1\n")
                  .empty());
}

TEST(ResolvConf, ALongListEnds) {
  std::string text;
  for (int i = 0; i < 1000; ++i)
    text += "nameserver 198.51." + std::to_string(i / 256) + "." + std::to_string(i % 256) + "\n";
  EXPECT_EQ(name_servers(text).size(), kMostResolvers);
}

}  // namespace
}  // namespace portsentry::scout
