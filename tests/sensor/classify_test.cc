#include "sensor/classify.h"

#include <gtest/gtest.h>

namespace portsentry::sensor {
namespace {

constexpr unsigned fin = TcpFlags::fin, syn = TcpFlags::syn, rst = TcpFlags::rst,
                   psh = TcpFlags::psh, ack = TcpFlags::ack, urg = TcpFlags::urg,
                   ece = TcpFlags::ece, cwr = TcpFlags::cwr;

std::optional<ScanKind> tcp(unsigned flags) {
  return classify(Protocol::tcp, TcpFlags{static_cast<std::uint8_t>(flags)});
}

TEST(Classify, SynIsAConnectionAttemptWithOrWithoutEcn) {
  EXPECT_EQ(tcp(syn), ScanKind::syn);
  EXPECT_EQ(tcp(syn | ece | cwr), ScanKind::syn);
  EXPECT_EQ(tcp(syn | ece), ScanKind::syn);
  EXPECT_EQ(tcp(syn | cwr), ScanKind::syn);
}

TEST(Classify, FinAloneIsAFinScan) {
  EXPECT_EQ(tcp(fin), ScanKind::fin);
  EXPECT_EQ(tcp(fin | ece | cwr), ScanKind::fin);
}

TEST(Classify, NoFlagAtAllIsANullScan) {
  EXPECT_EQ(tcp(0), ScanKind::null);
}

TEST(Classify, OnlyEcnBitsAreOddButNotNull) {
  EXPECT_EQ(tcp(ece), ScanKind::odd_flags);
  EXPECT_EQ(tcp(cwr), ScanKind::odd_flags);
  EXPECT_EQ(tcp(ece | cwr), ScanKind::odd_flags);
}

TEST(Classify, FinUrgPshIsXmasWithOrWithoutSyn) {
  EXPECT_EQ(tcp(fin | urg | psh), ScanKind::xmas);
  EXPECT_EQ(tcp(fin | urg | psh | syn), ScanKind::xmas);
  EXPECT_EQ(tcp(fin | urg | psh | ece | cwr), ScanKind::xmas);
}

TEST(Classify, EveryOtherCombinationIsOdd) {
  for (const unsigned flags : {psh, urg, psh | urg, fin | psh, fin | urg, syn | fin, syn | psh,
                               syn | urg, syn | fin | psh, syn | fin | urg, syn | psh | urg}) {
    EXPECT_EQ(tcp(flags), ScanKind::odd_flags) << flags;
    EXPECT_EQ(tcp(flags | ece), ScanKind::odd_flags) << flags;
  }
}

TEST(Classify, NothingWithAckOrRstIsClaimed) {
  for (unsigned flags = 0; flags < 256; ++flags) {
    EXPECT_EQ(tcp(flags).has_value(), (flags & (ack | rst)) == 0) << flags;
  }
}

// Nobody wants the packet: then an ACK is a probe, and what provokes no answer is none.
TEST(Classify, StrayPacketsHaveNamesForAckAndMaimonToo) {
  for (unsigned flags = 0; flags < 256; ++flags) {
    const TcpFlags bits{static_cast<std::uint8_t>(flags)};
    auto expected = classify(Protocol::tcp, bits);
    if (bits.has(ack) && (flags & (syn | rst)) == 0)
      expected = bits.has(fin) ? ScanKind::maimon : ScanKind::ack;
    EXPECT_EQ(classify_stray(Protocol::tcp, bits), expected) << flags;
  }
  EXPECT_EQ(classify_stray(Protocol::udp, TcpFlags{}), ScanKind::udp);
}

TEST(Classify, AnyDatagramIsAUdpProbe) {
  EXPECT_EQ(classify(Protocol::udp, TcpFlags{}), ScanKind::udp);
}

}  // namespace
}  // namespace portsentry::sensor
