#include "common/ephemeral.h"

#include <gtest/gtest.h>

namespace portsentry {
namespace {

TEST(EphemeralPorts, AreReadAsTheKernelPrintsThem) {
  EXPECT_EQ(parse_ephemeral_ports("32768\t60999\n"), (EphemeralPorts{32768, 60999}));
  EXPECT_EQ(parse_ephemeral_ports("1 65535"), (EphemeralPorts{1, 65535}));
  EXPECT_EQ(parse_ephemeral_ports("4000\t4000\n"), (EphemeralPorts{4000, 4000}));
}

TEST(EphemeralPorts, OnDoubtEveryPortThatNeedsNoPrivilegeIsOne) {
  for (const char* text :
       {"", "\n", "32768", "32768\t\n", "60999\t32768\n", "0\t60999\n", "-1\t5\n", "32768\t65536\n",
        "32768\t60999\t1\n", "a\tb\n", "32768\t60999x"}) {
    EXPECT_EQ(parse_ephemeral_ports(text), (EphemeralPorts{1024, 65535})) << text;
  }
}

TEST(EphemeralPorts, ThisHostHasSome) {
  const EphemeralPorts ports = read_ephemeral_ports();
  EXPECT_LE(ports.first, ports.last);
  EXPECT_TRUE(ports.contains(ports.first));
  EXPECT_TRUE(ports.contains(ports.last));
  EXPECT_FALSE(ports.contains(ports.first - 1U));
}

}  // namespace
}  // namespace portsentry
