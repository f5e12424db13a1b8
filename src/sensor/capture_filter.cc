#include "sensor/capture_filter.h"

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <functional>
#include <span>
#include <utility>

#include "common/log.h"
#include "common/net_types.h"

namespace portsentry::sensor {
namespace {

// ---- The places of the program, in its order: jumps only go forward -----------------------------

enum Label : unsigned {
  kNext,  // the instruction after this one
  kToUs,
  kToUsIp4,
  kToUsIp4Tcp,
  kToUsIp6,
  kLevels,  // one group of labels for each extension header that the filter walks
};

enum LevelLabel : unsigned { kWalk, kOptions, kAuthentication, kFragment, kStep, kLevelLabels };

constexpr unsigned kWalkedHeaders = 4;

enum LastLabel : unsigned {
  kLongChain = kLevels + kWalkedHeaders * kLevelLabels,
  kFromUs,
  kFromUsIp4,
  kFromUsIp6,
  kLaterFragment,
  kTcp,                  // a TCP header begins at X
  kTcpFirstPart,         // its first part does, or all of it
  kTcpSecondPart,        // its bytes 8.. do
  kTcpFirstPartBehind,   // the first part, behind a Fragment header that begins at X
  kTcpSecondPartBehind,  // bytes 8.. likewise
  kVlan,
  kUdp,      // a UDP header begins at X
  kUdpSent,  // likewise, of what we send
  kUdpPort,  // its port that counts is in A
  kUdpWanted,
  kHandUp,  // the bytes up to A
  kWalkOn,  // headers that user space looks for
  kReject,
  kLabels,
};

constexpr unsigned at_level(unsigned level, LevelLabel label) {
  return level == kWalkedHeaders ? unsigned{kLongChain} : kLevels + level * kLevelLabels + label;
}

// ---- A small assembler --------------------------------------------------------------------------

class Assembler {
 public:
  // A = a byte or half word of the packet. Beyond its end the kernel drops the packet.
  void byte_at(std::uint32_t offset) { put(BPF_LD | BPF_B | BPF_ABS, offset); }
  void half_at(std::uint32_t offset) { put(BPF_LD | BPF_H | BPF_ABS, offset); }
  void byte_at_x_plus(std::uint32_t offset) { put(BPF_LD | BPF_B | BPF_IND, offset); }
  void half_at_x_plus(std::uint32_t offset) { put(BPF_LD | BPF_H | BPF_IND, offset); }
  // A = what the kernel knows about the packet: one of SKF_AD_*.
  void about(int what) {
    put(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(SKF_AD_OFF + what));
  }
  // X = the length of the IPv4 header that begins at byte 0.
  void x_is_ip4_length() { put(BPF_LDX | BPF_B | BPF_MSH, 0); }
  void x_is(std::uint32_t value) { put(BPF_LDX | BPF_IMM, value); }
  void x_is_a() { put(BPF_MISC | BPF_TAX, 0); }
  void a_is_x() { put(BPF_MISC | BPF_TXA, 0); }
  void a_is(std::uint32_t value) { put(BPF_LD | BPF_IMM, value); }
  void add(std::uint32_t value) { put(BPF_ALU | BPF_ADD, value); }  // BPF_K, which is 0
  void add_x() { put(BPF_ALU | BPF_ADD | BPF_X, 0); }
  void mask(std::uint32_t bits) { put(BPF_ALU | BPF_AND | BPF_K, bits); }
  void shift_left(std::uint32_t bits) { put(BPF_ALU | BPF_LSH | BPF_K, bits); }
  // The kernel's scratch memory: 16 words.
  void store_a(std::uint32_t slot) { put(BPF_ST, slot); }
  void load_a(std::uint32_t slot) { put(BPF_LD | BPF_W | BPF_MEM, slot); }

  // Hands up this many bytes; 0 drops the packet.
  void accept(std::uint32_t bytes) { put(BPF_RET | BPF_K, bytes); }
  void accept_a() { put(BPF_RET | BPF_A, 0); }

  void if_equal(std::uint32_t value, unsigned then, unsigned otherwise = kNext) {
    branch(BPF_JEQ, value, then, otherwise);
  }
  void if_any_bit(std::uint32_t bits, unsigned then, unsigned otherwise = kNext) {
    branch(BPF_JSET, bits, then, otherwise);
  }
  void if_at_least(std::uint32_t value, unsigned then, unsigned otherwise) {
    branch(BPF_JGE, value, then, otherwise);
  }
  void if_above(std::uint32_t value, unsigned then, unsigned otherwise) {
    branch(BPF_JGT, value, then, otherwise);
  }
  void jump(unsigned to) {
    jumps_.push_back({.from = program_.size(), .then = to, .otherwise = kNext});
    put(BPF_JMP | BPF_JA, 0);
  }

  // The next instruction is what jumps to `label` lead to.
  void place(unsigned label) { places_.at(label) = program_.size(); }

  std::vector<sock_filter> finish() {
    for (const Jump& jump : jumps_) {
      sock_filter& instruction = program_.at(jump.from);
      if (BPF_OP(instruction.code) == BPF_JA) {
        instruction.k = static_cast<std::uint32_t>(distance(jump.from, jump.then));
      } else {
        instruction.jt = short_distance(jump.from, jump.then);
        instruction.jf = short_distance(jump.from, jump.otherwise);
      }
    }
    return std::move(program_);
  }

 private:
  struct Jump {
    std::size_t from;
    unsigned then;
    unsigned otherwise;
  };

  void put(int code, std::uint32_t k) {
    program_.push_back({.code = static_cast<std::uint16_t>(code), .jt = 0, .jf = 0, .k = k});
  }
  void branch(int test, std::uint32_t k, unsigned then, unsigned otherwise) {
    jumps_.push_back({.from = program_.size(), .then = then, .otherwise = otherwise});
    put(BPF_JMP | test | BPF_K, k);
  }
  // Instructions to skip. A label that was never placed is at 0, which is behind every jump.
  [[nodiscard]] std::size_t distance(std::size_t from, unsigned label) const {
    if (label == kNext) return 0;
    const std::size_t to = places_.at(label);
    if (to <= from) fatal("capture filter: a jump does not lead forward");
    return to - from - 1;
  }
  [[nodiscard]] std::uint8_t short_distance(std::size_t from, unsigned label) const {
    const std::size_t far = distance(from, label);
    if (far > 255) fatal("capture filter: a conditional jump is too long");
    return static_cast<std::uint8_t>(far);
  }

  std::vector<sock_filter> program_;
  std::vector<Jump> jumps_;
  std::array<std::size_t, kLabels> places_{};
};

// ---- The program --------------------------------------------------------------------------------

constexpr std::uint32_t kLoopbackIndex = 1;  // in every network namespace
constexpr std::uint32_t kIp4MoreFragments = 0x2000;
constexpr std::uint32_t kIp4Offset = 0x1fff;  // in units of 8 bytes
constexpr std::uint32_t kIp6Offset = 0xfff8;  // in bytes: the unit is the same
constexpr std::uint32_t kIp6Header = 40;
constexpr std::uint32_t kFragmentHeader = 8;
constexpr std::uint32_t kTcpToFlags = 14;
constexpr std::uint32_t kUdpHeader = 8;
constexpr std::uint32_t kVlanNumber = 0x0fff;
constexpr std::uint32_t kHostIdentity = 139;  // RFC 7401
constexpr std::uint32_t kShim6 = 140;         // RFC 5533
constexpr std::array<std::uint32_t, 8> kExtensionHeaders{
    IPPROTO_HOPOPTS, IPPROTO_DSTOPTS, IPPROTO_ROUTING, IPPROTO_MH,
    kHostIdentity,   kShim6,          IPPROTO_AH,      IPPROTO_FRAGMENT};

void begin(Assembler& code) {
  code.about(SKF_AD_IFINDEX);
  code.if_equal(kLoopbackIndex, kReject);  // nobody scans us from there
  code.about(SKF_AD_PKTTYPE);
  code.if_equal(PACKET_HOST, kToUs);
  code.if_equal(PACKET_OUTGOING, kFromUs, kReject);

  code.place(kToUs);
  code.about(SKF_AD_PROTOCOL);
  code.if_equal(ETH_P_IP, kToUsIp4);
  code.if_equal(ETH_P_IPV6, kToUsIp6);
  code.if_equal(ETH_P_8021Q, kVlan);
  code.if_equal(ETH_P_8021AD, kVlan);
  code.if_equal(ETH_P_QINQ1, kVlan, kReject);
}

void to_us_ip4(Assembler& code) {
  code.place(kToUsIp4);
  code.x_is_ip4_length();
  code.byte_at(9);  // the protocol
  code.if_equal(IPPROTO_TCP, kToUsIp4Tcp);
  code.if_equal(IPPROTO_UDP, kNext, kReject);
  code.half_at(6);                             // flags and fragment offset
  code.if_any_bit(kIp4Offset, kReject, kUdp);  // later fragments of a datagram hold no header

  code.place(kToUsIp4Tcp);
  code.half_at(6);
  code.if_any_bit(kIp4MoreFragments | kIp4Offset, kNext, kTcp);
  code.mask(kIp4Offset);
  code.if_equal(0, kTcpFirstPart);
  code.if_equal(1, kTcpSecondPart, kReject);
}

// One extension header. X: where it begins. A: its type, as the header before it said.
void ip6_level(Assembler& code, unsigned level) {
  constexpr std::uint32_t kNextType = 0;
  constexpr std::uint32_t kLength = 1;
  const auto here = [level](LevelLabel label) { return at_level(level, label); };
  code.place(here(kWalk));
  code.if_equal(IPPROTO_TCP, kTcp);
  code.if_equal(IPPROTO_UDP, kUdp);
  code.if_equal(IPPROTO_HOPOPTS, here(kOptions));
  code.if_equal(IPPROTO_DSTOPTS, here(kOptions));
  code.if_equal(IPPROTO_ROUTING, here(kOptions));
  code.if_equal(IPPROTO_MH, here(kOptions));
  code.if_equal(kHostIdentity, here(kOptions));
  code.if_equal(kShim6, here(kOptions));
  code.if_equal(IPPROTO_AH, here(kAuthentication));
  code.if_equal(IPPROTO_FRAGMENT, here(kFragment), kReject);

  code.place(here(kFragment));
  code.half_at_x_plus(2);  // offset, reserved bits, "more"
  code.if_any_bit(kIp6Offset, kLaterFragment);
  code.byte_at_x_plus(0);  // the type of what follows
  code.if_equal(IPPROTO_TCP, kTcpFirstPartBehind);
  code.a_is(kFragmentHeader);
  code.jump(here(kStep));

  code.place(here(kAuthentication));
  code.byte_at_x_plus(1);  // in units of 4 bytes, less 2
  code.add(2);
  code.shift_left(2);
  code.jump(here(kStep));

  code.place(here(kOptions));
  code.byte_at_x_plus(1);  // in units of 8 bytes, less 1
  code.add(1);
  code.shift_left(3);

  code.place(here(kStep));  // A: the header's length
  code.store_a(kLength);
  code.byte_at_x_plus(0);  // the type of what follows
  code.store_a(kNextType);
  code.load_a(kLength);
  code.add_x();
  code.x_is_a();
  code.load_a(kNextType);
}

void to_us_ip6(Assembler& code) {
  code.place(kToUsIp6);
  code.x_is(kIp6Header);
  code.byte_at(6);  // the first next header
  for (unsigned level = 0; level < kWalkedHeaders; ++level)
    ip6_level(code, level);

  code.place(kLongChain);
  code.if_equal(IPPROTO_TCP, kTcp);
  code.if_equal(IPPROTO_UDP, kUdp);
  for (const std::uint32_t type : kExtensionHeaders) {
    code.if_equal(type, kWalkOn);
  }
  code.jump(kReject);
}

// What this host sends is only of interest for OwnFlows.
void from_us(Assembler& code) {
  code.place(kFromUs);
  code.about(SKF_AD_PROTOCOL);
  code.if_equal(ETH_P_IP, kFromUsIp4);
  code.if_equal(ETH_P_IPV6, kFromUsIp6, kReject);

  code.place(kFromUsIp4);
  code.x_is_ip4_length();
  code.byte_at(9);
  code.if_equal(IPPROTO_UDP, kNext, kReject);
  code.half_at(6);
  code.if_any_bit(kIp4Offset, kReject, kUdpSent);

  code.place(kFromUsIp6);
  code.x_is(kIp6Header);
  code.byte_at(6);
  code.if_equal(IPPROTO_UDP, kUdpSent, kReject);
}

// X: a UDP header. Its target port if it is for us, its source port if it is ours, decides.
void udp(Assembler& code, std::span<const std::pair<Port, Port>> ranges) {
  code.place(kUdp);
  code.half_at_x_plus(2);
  code.jump(kUdpPort);
  code.place(kUdpSent);
  code.half_at_x_plus(0);

  code.place(kUdpPort);
  for (const auto& [first, last] : ranges) {
    code.if_at_least(first.number(), kNext, kReject);
    code.if_above(last.number(), kNext, kUdpWanted);
  }
  code.jump(kReject);

  code.place(kUdpWanted);
  code.a_is_x();
  code.add(kUdpHeader);

  code.place(kHandUp);
  code.if_at_least(kSlotLength, kWalkOn, kNext);
  code.accept_a();
}

void endings(Assembler& code, std::span<const std::pair<Port, Port>> ranges) {
  code.place(kLaterFragment);  // X: an IPv6 Fragment header
  code.half_at_x_plus(2);
  code.mask(kIp6Offset);
  code.if_equal(8, kNext, kReject);
  code.byte_at_x_plus(0);
  code.if_equal(IPPROTO_TCP, kTcpSecondPartBehind, kReject);

  code.place(kTcp);
  code.byte_at_x_plus(13);  // the flags
  code.if_any_bit(TcpFlags::ack | TcpFlags::rst, kReject);
  // A first part may end before its flags: user space decides about those.
  code.place(kTcpFirstPart);
  code.a_is_x();
  code.add(kTcpToFlags);
  code.jump(kHandUp);

  code.place(kTcpSecondPart);
  code.a_is_x();
  code.add(kTcpToFlags - 8);
  code.jump(kHandUp);

  code.place(kTcpFirstPartBehind);
  code.a_is_x();
  code.add(kFragmentHeader + kTcpToFlags);
  code.jump(kHandUp);

  code.place(kTcpSecondPartBehind);
  code.a_is_x();
  code.add(kFragmentHeader + kTcpToFlags - 8);
  code.jump(kHandUp);

  code.place(kVlan);
  code.half_at(0);
  code.if_any_bit(kVlanNumber, kReject, kWalkOn);

  udp(code, ranges);

  code.place(kWalkOn);
  code.accept(kCaptureLength);

  code.place(kReject);
  code.accept(0);
}

using Range = std::pair<Port, Port>;

// What it costs to let the ports between two ranges through: answers of the whole world come to
// ephemeral ones.
std::uint64_t cost_of_gap(const Range& below, const Range& above, const EphemeralPorts& ephemeral) {
  constexpr std::uint64_t kAnswers = 65536;  // more than all others together
  const std::uint32_t first = below.second.number() + 1U;
  const std::uint32_t last = above.first.number() - 1U;
  const std::uint32_t from = std::max<std::uint32_t>(first, ephemeral.first);
  const std::uint32_t to = std::min<std::uint32_t>(last, ephemeral.last);
  const std::uint64_t answers = from <= to ? to - from + 1 : 0;
  return (last - first + 1) + answers * kAnswers;
}

}  // namespace

std::vector<Range> covering_ranges(const PortSet& ports, const EphemeralPorts& ephemeral) {
  std::vector<Range> exact = ports.ranges();
  if (exact.size() <= kUdpRanges) return exact;
  // The dearest gaps stay: each is named by the range above it.
  std::vector<std::pair<std::uint64_t, std::size_t>> gaps;
  for (std::size_t above = 1; above < exact.size(); ++above)
    gaps.emplace_back(cost_of_gap(exact[above - 1], exact[above], ephemeral), above);
  std::ranges::sort(gaps, std::ranges::greater{});
  gaps.resize(kUdpRanges - 1);
  std::ranges::sort(gaps, {}, [](const auto& gap) { return gap.second; });

  std::vector<Range> ranges;
  Port first = exact.front().first;
  for (const auto& [cost, above] : gaps) {
    ranges.emplace_back(first, exact[above - 1].second);
    first = exact[above].first;
  }
  ranges.emplace_back(first, exact.back().second);
  return ranges;
}

std::vector<sock_filter> capture_filter(const PortSet& udp, const EphemeralPorts& ephemeral) {
  const std::vector<Range> ranges = covering_ranges(udp, ephemeral);
  Assembler code;
  begin(code);
  to_us_ip4(code);
  to_us_ip6(code);
  from_us(code);
  endings(code, ranges);
  return code.finish();
}

}  // namespace portsentry::sensor
