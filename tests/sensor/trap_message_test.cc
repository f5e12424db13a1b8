#include "sensor/trap_message.h"

#include <gtest/gtest.h>

#include <vector>

#include "nflog_lab.h"

namespace portsentry::sensor {
namespace {

using craft::operator+;
using nflog::packet_message;

std::vector<TrapMessages::Told> read_all(const craft::Packet& datagram) {
  std::vector<TrapMessages::Told> all;
  TrapMessages messages(datagram);
  while (const auto told = messages.next())
    all.push_back(*told);
  return all;
}

const craft::Packet kProbe = craft::ip4({}, craft::tcp());

TEST(TrapMessages, SayWhatTheRuleSaidAndBringThePacket) {
  const craft::Packet datagram = packet_message(
      {.prefix = "held", .ethertype = 0x86dd, .interface = 7, .sequence = 99}, kProbe);
  const auto told = read_all(datagram);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].sequence, 99U);
  ASSERT_TRUE(told[0].trapped);
  EXPECT_EQ(told[0].trapped->word, TrapWord::held);
  EXPECT_EQ(told[0].trapped->ethertype, 0x86dd);
  EXPECT_EQ(told[0].trapped->interface, 7U);
  EXPECT_EQ(craft::Packet(told[0].trapped->network.begin(), told[0].trapped->network.end()),
            kProbe);
}

TEST(TrapMessages, KnowFourWordsAndNoOther) {
  const auto word = [](std::string_view prefix) -> std::optional<TrapWord> {
    const craft::Packet datagram = packet_message({.prefix = prefix}, kProbe);
    const auto told = read_all(datagram);
    if (told.size() != 1 || !told[0].trapped) return std::nullopt;
    return told[0].trapped->word;
  };
  EXPECT_EQ(word("seen"), TrapWord::seen);
  EXPECT_EQ(word("held"), TrapWord::held);
  EXPECT_EQ(word("spent"), TrapWord::spent);
  EXPECT_EQ(word("full"), TrapWord::full);
  for (const std::string_view other : {"", "hel", "held ", "heldx", "HELD", "IN= OUT="})
    EXPECT_FALSE(word(other)) << other;
}

TEST(TrapMessages, MayComeSeveralInADatagram) {
  // As the kernel ends a batch.
  const craft::Packet datagram =
      packet_message({.prefix = "seen", .sequence = 5}, craft::ip4({}, craft::udp())) +
      packet_message({.prefix = "held", .sequence = 6}, craft::filled(5)) +
      nflog::message(NLMSG_DONE, craft::be32(0));
  const auto told = read_all(datagram);
  ASSERT_EQ(told.size(), 2U);
  EXPECT_EQ(told[0].trapped->word, TrapWord::seen);
  EXPECT_EQ(told[1].trapped->word, TrapWord::held);
  EXPECT_EQ(told[1].trapped->network.size(), 5U) << "padding is no payload";
  EXPECT_EQ(told[1].sequence, 6U);
}

// Somebody's own `log group` rule: it is numbered like ours.
TEST(TrapMessages, OfOtherRulesOnlyKeepTheirNumber) {
  const auto told = read_all(packet_message({.prefix = "nosy", .sequence = 8}, kProbe));
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].sequence, 8U);
  EXPECT_FALSE(told[0].trapped);
}

TEST(TrapMessages, OfOtherKindsAreSkipped) {
  const craft::Packet datagram = nflog::message(NLMSG_ERROR, craft::filled(20, 0)) +
                                 nflog::message(nflog::kPacketType + 1, craft::filled(40)) +
                                 packet_message({}, kProbe);
  EXPECT_EQ(read_all(datagram).size(), 1U);
}

TEST(TrapMessages, WithoutAPacketBringNone) {
  const craft::Packet payload =
      nflog::host(nfgenmsg{}) + nflog::attribute(NFULA_PREFIX, nflog::text("held"));
  const craft::Packet datagram = nflog::message(nflog::kPacketType, payload);
  const auto told = read_all(datagram);
  ASSERT_EQ(told.size(), 1U);
  ASSERT_TRUE(told[0].trapped);
  EXPECT_TRUE(told[0].trapped->network.empty());
  EXPECT_EQ(told[0].trapped->ethertype, 0);
  EXPECT_FALSE(told[0].sequence);
}

TEST(TrapMessages, ThatAreCutSayLessAndNothingElse) {
  const craft::Packet whole = packet_message({.sequence = 3}, kProbe);
  for (std::size_t kept = 0; kept < whole.size(); ++kept) {
    const craft::Packet datagram = craft::first(whole, kept);
    EXPECT_TRUE(read_all(datagram).empty()) << kept;
  }
  // An attribute that claims more than there is: what came before it stands.
  craft::Packet lying = whole;
  const std::size_t last = whole.size() - sizeof(nlattr) - kProbe.size();
  lying.at(last) = std::byte{0xff};
  lying.at(last + 1) = std::byte{0xff};
  const auto told = read_all(lying);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].sequence, 3U);
  ASSERT_TRUE(told[0].trapped);
  EXPECT_TRUE(told[0].trapped->network.empty());
}

}  // namespace
}  // namespace portsentry::sensor
