#include "sensor/trap_message.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace portsentry::sensor {
namespace {

constexpr std::uint16_t kPacketMessage = NFNL_SUBSYS_ULOG << 8U | NFULNL_MSG_PACKET;

struct Word {
  std::string_view prefix;
  TrapWord word;
};
constexpr auto kWords = std::to_array<Word>({
    {"seen", TrapWord::seen},
    {"held", TrapWord::held},
    {"spent", TrapWord::spent},
    {"full", TrapWord::full},
});

// With the zero that the kernel puts behind it.
std::optional<TrapWord> word_of(Bytes prefix) {
  for (const Word& word : kWords) {
    if (prefix.size() != word.prefix.size() + 1 || prefix.back() != std::byte{0}) continue;
    const bool same =
        std::equal(word.prefix.begin(), word.prefix.end(), prefix.begin(),
                   [](char a, std::byte b) { return static_cast<std::byte>(a) == b; });
    if (same) return word.word;
  }
  return std::nullopt;
}

TrapMessages::Told read_packet(Bytes payload) {
  TrapMessages::Told told;
  ByteReader fixed(payload);
  if (!fixed.skip(sizeof(nfgenmsg))) return told;
  std::optional<TrapWord> word;
  Trapped trapped{.word = TrapWord::seen, .ethertype = 0, .interface = 0, .network = {}};
  // An attribute that lies about its length ends the list: what came before it stands.
  NetlinkAttributes attributes(fixed.rest());
  while (const auto attribute = attributes.next()) {
    ByteReader value(attribute->payload);
    switch (attribute->type) {
      case NFULA_PACKET_HDR:
        trapped.ethertype = value.u16().value_or(0);
        break;
      case NFULA_IFINDEX_INDEV:
        trapped.interface = value.u32().value_or(0);
        break;
      case NFULA_PREFIX:
        word = word_of(attribute->payload);
        break;
      case NFULA_PAYLOAD:
        trapped.network = attribute->payload;
        break;
      case NFULA_SEQ:
        told.sequence = value.u32();
        break;
      default:  // the mark, the time, the sender's hardware address: not asked
        break;
    }
  }
  if (!word) return told;
  trapped.word = *word;
  told.trapped = trapped;
  return told;
}

}  // namespace

std::optional<TrapMessages::Told> TrapMessages::next() {
  while (const auto message = messages_.next()) {
    if (message->header.nlmsg_type == kPacketMessage) return read_packet(message->payload);
  }
  return std::nullopt;
}

}  // namespace portsentry::sensor
