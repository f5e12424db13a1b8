#include "monitor/log_lines.h"

#include <gtest/gtest.h>

#include "known_view.h"

namespace portsentry::monitor {
namespace {

using namespace std::chrono_literals;

std::string event(ScanKind kind, std::uint8_t flags = 0) {
  Detection detection = probe("198.51.100.7");
  detection.kind = kind;
  detection.flags = TcpFlags{flags};
  return lines::event(detection);
}

TEST(LogLines, AScanIsToldInTheWordsOfPortSentry12) {
  EXPECT_EQ(
      event(ScanKind::syn),
      "attackalert: TCP SYN/Normal scan from host: 198.51.100.7/198.51.100.7 to TCP port: 23");
  EXPECT_EQ(event(ScanKind::fin),
            "attackalert: TCP FIN scan from host: 198.51.100.7/198.51.100.7 to TCP port: 23");
  EXPECT_EQ(event(ScanKind::xmas),
            "attackalert: TCP XMAS scan from host: 198.51.100.7/198.51.100.7 to TCP port: 23");
  EXPECT_EQ(lines::event(probe("198.51.100.7", Protocol::udp, 161)),
            "attackalert: UDP scan from host: 198.51.100.7/198.51.100.7 to UDP port: 161");
}

TEST(LogLines, ANullScanKeepsTheTwoBlanksThat12Has) {
  EXPECT_EQ(event(ScanKind::null),
            "attackalert:  TCP NULL scan from host: 198.51.100.7/198.51.100.7 to TCP port: 23");
}

TEST(LogLines, OddFlagsAreSpelledOutInTheOrderOf12) {
  EXPECT_EQ(
      event(ScanKind::odd_flags, TcpFlags::syn | TcpFlags::fin | TcpFlags::urg),
      "attackalert: Unknown Type: TCP Packet Flags: SYN: 1 FIN: 1 ACK: 0 PSH: 0 URG: 1 RST: 0 "
      "from host: 198.51.100.7/198.51.100.7 to TCP port: 23");
}

TEST(LogLines, AnIpv6EventShowsTheExactAddressOfTheProbe) {
  EXPECT_EQ(
      lines::event(probe(site("2001:db8:7::9"), "2001:db8:7::9")),
      "attackalert: TCP SYN/Normal scan from host: 2001:db8:7::9/2001:db8:7::9 to TCP port: 23");
}

TEST(LogLines, IpOptionsAreASecondLine) {
  EXPECT_EQ(
      lines::ip_options(probe("198.51.100.7")),
      "attackalert: Packet from host: 198.51.100.7/198.51.100.7 to TCP port: 23 has IP options "
      "set (detection avoidance technique).");
}

TEST(LogLines, ABlockNamesTheKernelSetThatHoldsIt) {
  EXPECT_EQ(lines::blocked(host("198.51.100.7"), 30min),
            "attackalert: Host 198.51.100.7 has been blocked via nftables set \"inet portsentry "
            "ban4\" for 30m");
  EXPECT_EQ(lines::blocked(host("2001:db8::7"), 1h),
            "attackalert: Host 2001:db8::7 has been blocked via nftables set \"inet portsentry "
            "ban6\" for 1h");
  EXPECT_EQ(lines::blocked(site("2001:db8::7"), 1h),
            "attackalert: Host 2001:db8::/64 has been blocked via nftables set \"inet portsentry "
            "ban6net\" for 1h");
}

TEST(LogLines, TheCompatibilityLineEndsAsFail2bansFilterWantsIt) {
  EXPECT_EQ(lines::blocked_compatible(address("198.51.100.7"), {Protocol::udp, *Port::make(161)}),
            "attackalert: Host: 198.51.100.7/198.51.100.7 Port: 161 UDP Blocked");
}

TEST(LogLines, AlreadyBlockedHasNoFullStopAsInTheStealthModesOf12) {
  EXPECT_EQ(lines::already_blocked(address("198.51.100.7")),
            "attackalert: Host: 198.51.100.7/198.51.100.7 is already blocked Ignoring");
}

TEST(LogLines, AFailureSaysWhy) {
  EXPECT_EQ(
      lines::could_not_block(address("198.51.100.7"), lines::refusal(Verdict::own_address, 0)),
      "attackalert: ERROR: Could not block host 198.51.100.7/198.51.100.7 !! (an address of "
      "this host)");
  EXPECT_EQ(lines::refusal(Verdict::kernel_refused, 2),
            "kernel: No such file or directory; trying again");
}

TEST(LogLines, EveryRefusalHasWords) {
  for (const Verdict verdict :
       {Verdict::kernel_refused, Verdict::no_firewall, Verdict::not_unicast, Verdict::own_address,
        Verdict::next_hop, Verdict::shared_prefix, Verdict::bad_duration, Verdict::over_budget,
        Verdict::view_unknown}) {
    EXPECT_FALSE(lines::refusal(verdict, 0).empty()) << static_cast<int>(verdict);
  }
}

TEST(LogLines, WouldBanShowsTheLineThatArms) {
  EXPECT_EQ(
      lines::would_ban(host("198.51.100.7"), 30min, Protocol::tcp, false, "/etc/p.conf"),
      "adminalert: would ban 198.51.100.7 for 30m (observe mode); to arm, set BLOCK_TCP=\"1\" "
      "in /etc/p.conf");
  EXPECT_EQ(
      lines::would_ban(host("198.51.100.7"), 30min, Protocol::tcp, true, "/etc/p.conf"),
      "adminalert: would ban 198.51.100.7 for 30m (observe mode); to arm, set BLOCK_TCP=\"1\" and "
      "FIREWALL=\"auto\" in /etc/p.conf");
  EXPECT_NE(
      lines::would_ban(host("198.51.100.7"), 30min, Protocol::udp, false, "x").find("BLOCK_UDP"),
      std::string::npos);
}

TEST(LogLines, APathCannotBreakTheLine) {
  const std::string line =
      lines::would_ban(host("198.51.100.7"), 30min, Protocol::tcp, false, "/a\n\x1b[2J");
  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_EQ(line.find('\x1b'), std::string::npos);
}

TEST(LogLines, TheReadinessLineIsThatOf12) {
  EXPECT_EQ(lines::active(), "adminalert: PortSentry is now active and listening.");
  EXPECT_EQ(lines::starting("1.2"), "adminalert: PortSentry 1.2 is starting.");
  EXPECT_EQ(lines::shutting_down(), "adminalert: PortSentry is shutting down");
  EXPECT_EQ(lines::listening(Protocol::tcp, *Port::make(23)),
            "adminalert: Going into stealth listen mode on TCP port: 23");
  EXPECT_EQ(lines::listening_count(Protocol::udp, 1000),
            "adminalert: Going into stealth listen mode on 1000 UDP ports");
}

TEST(LogLines, ADeadSensorIsToldWithItsCauseAndTheNextTry) {
  EXPECT_EQ(
      lines::sensor_lost({.by_signal = true, .code = 9, .retry_in = 100ms}),
      "adminalert: ERROR: sensor was killed by signal 9; nothing is detected until it is back; "
      "starting it again in 0.1s");
  EXPECT_NE(lines::sensor_lost({.by_signal = true, .code = 31, .retry_in = 30s})
                .find("killed by its own filter (SIGSYS)"),
            std::string::npos);
  EXPECT_NE(lines::sensor_lost({.by_signal = false, .code = 1, .retry_in = 1600ms})
                .find("ended with status 1; nothing is detected until it is back; starting it "
                      "again in 1.6s"),
            std::string::npos);
}

TEST(LogLines, DurationsAreWholeUnitsFromTheLargestDown) {
  EXPECT_EQ(lines::duration_text(30min), "30m");
  EXPECT_EQ(lines::duration_text(45s), "45s");
  EXPECT_EQ(lines::duration_text(36h), "1d12h");
  EXPECT_EQ(lines::duration_text(3661s), "1h1m1s");
  EXPECT_EQ(lines::duration_text(365 * 24h), "365d");
  EXPECT_EQ(lines::duration_text(0s), "0s");
}

}  // namespace
}  // namespace portsentry::monitor
