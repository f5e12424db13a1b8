#include "monitor/log_lines.h"

#include <gtest/gtest.h>
#include <regex.h>

#include <cerrno>

#include "known_view.h"

namespace portsentry::monitor {
namespace {

using namespace std::chrono_literals;

constexpr WatchMode kStealth = WatchMode::stealth;
const Lines kClassic(LogFormat::classic, kStealth, kStealth);
const Lines kV2(LogFormat::v2, kStealth, kStealth);

Detection scan(ScanKind kind, std::uint8_t flags = 0) {
  Detection detection = probe("198.51.100.7");
  detection.kind = kind;
  detection.flags = TcpFlags{flags};
  return detection;
}

Text classic(ScanKind kind, std::uint8_t flags = 0) {
  return kClassic.seen(scan(kind, flags));
}

// "ignored: [..] triggered: [..] noblock: [..] blocked: [..]"
std::string fate(Fate fate) {
  const std::string line = kV2.judged(probe("198.51.100.7"), fate).back();
  const std::size_t at = line.find("ignored:");
  return at == std::string::npos ? line : line.substr(at);
}

// ---- classic ------------------------------------------------------------------------------------

TEST(LogLines, AScanIsToldInTheWordsOfPortSentry12) {
  EXPECT_EQ(
      classic(ScanKind::syn),
      Text{
          "attackalert: TCP SYN/Normal scan from host: 198.51.100.7/198.51.100.7 to TCP port: 23"});
  EXPECT_EQ(classic(ScanKind::fin),
            Text{"attackalert: TCP FIN scan from host: 198.51.100.7/198.51.100.7 to TCP port: 23"});
  EXPECT_EQ(
      classic(ScanKind::xmas),
      Text{"attackalert: TCP XMAS scan from host: 198.51.100.7/198.51.100.7 to TCP port: 23"});
  EXPECT_EQ(kClassic.seen(probe("198.51.100.7", Protocol::udp, 161)),
            Text{"attackalert: UDP scan from host: 198.51.100.7/198.51.100.7 to UDP port: 161"});
}

TEST(LogLines, ANullScanKeepsTheTwoBlanksThat12Has) {
  EXPECT_EQ(
      classic(ScanKind::null),
      Text{"attackalert:  TCP NULL scan from host: 198.51.100.7/198.51.100.7 to TCP port: 23"});
}

TEST(LogLines, AConnectionIsToldAsInTheGuide) {
  EXPECT_EQ(classic(ScanKind::connect),
            Text{"attackalert: Connect from host: 198.51.100.7/198.51.100.7 to TCP port: 23"});
  Detection datagram = probe("198.51.100.7", Protocol::udp, 161);
  datagram.kind = ScanKind::connect;
  EXPECT_EQ(kClassic.seen(datagram),
            Text{"attackalert: Connect from host: 198.51.100.7/198.51.100.7 to UDP port: 161"});
}

TEST(LogLines, OddFlagsAreSpelledOutInTheOrderOf12) {
  EXPECT_EQ(
      classic(ScanKind::odd_flags, TcpFlags::syn | TcpFlags::fin | TcpFlags::urg),
      Text{"attackalert: Unknown Type: TCP Packet Flags: SYN: 1 FIN: 1 ACK: 0 PSH: 0 URG: 1 RST: 0 "
           "from host: 198.51.100.7/198.51.100.7 to TCP port: 23"});
}

TEST(LogLines, AnIpv6EventShowsTheExactAddressOfTheProbe) {
  EXPECT_EQ(kClassic.seen(probe(site("2001:db8:7::9"), "2001:db8:7::9")),
            Text{"attackalert: TCP SYN/Normal scan from host: 2001:db8:7::9/2001:db8:7::9 to TCP "
                 "port: 23"});
}

TEST(LogLines, AResolvedNameStandsBeforeTheSlash) {
  EXPECT_EQ(kClassic.seen(probe("198.51.100.7"), "scan.example"),
            Text{"attackalert: TCP SYN/Normal scan from host: scan.example/198.51.100.7 to TCP "
                 "port: 23"});
  EXPECT_EQ(kClassic.blocked_compatible(address("198.51.100.7"), {Protocol::tcp, *Port::make(23)},
                                        "scan.example"),
            "attackalert: Host: scan.example/198.51.100.7 Port: 23 TCP Blocked");
}

TEST(LogLines, IpOptionsAreASecondLine) {
  Detection detection = probe("198.51.100.7");
  detection.ip_options = true;
  const Text text = kClassic.seen(detection);
  ASSERT_EQ(text.size(), 2U);
  EXPECT_EQ(
      text[1],
      "attackalert: Packet from host: 198.51.100.7/198.51.100.7 to TCP port: 23 has IP options "
      "set (detection avoidance technique).");
}

TEST(LogLines, AlreadyBlockedHasAFullStopAndNoNameInTheBindModesOnly) {
  const auto told = [](const Lines& lines) {
    return lines.judged(probe("198.51.100.7"), Fate::already_blocked, "scan.example");
  };
  EXPECT_EQ(told(kClassic),
            Text{"attackalert: Host: scan.example/198.51.100.7 is already blocked Ignoring"});
  EXPECT_EQ(told(Lines(LogFormat::classic, WatchMode::bind, kStealth)),
            Text{"attackalert: Host: 198.51.100.7 is already blocked. Ignoring"});
  EXPECT_EQ(told(Lines(LogFormat::classic, kStealth, WatchMode::bind)), told(kClassic))
      << "the other protocol's mode";
}

TEST(LogLines, AFailureSaysWhyInTheWordsOfItsMode) {
  const auto told = [](WatchMode mode, Protocol protocol) {
    const Lines lines(LogFormat::classic, mode, mode);
    return lines.judged(probe("198.51.100.7", protocol), Fate::failed, {}, "why").at(0);
  };
  const std::string twice = "attackalert: ERROR: Could not block host 198.51.100.7/198.51.100.7";
  EXPECT_EQ(told(kStealth, Protocol::tcp), twice + " !! (why)");
  EXPECT_EQ(told(kStealth, Protocol::udp), twice + "!! (why)");
  EXPECT_EQ(told(WatchMode::advanced, Protocol::tcp), twice + "!! (why)");
  EXPECT_EQ(told(WatchMode::advanced, Protocol::udp), twice + "!! (why)");
  EXPECT_EQ(told(WatchMode::bind, Protocol::tcp),
            "attackalert: ERROR: Could not block host 198.51.100.7 !! (why)");
}

TEST(LogLines, ObserveModeIgnoresTheResponseInTheWordsOf12) {
  EXPECT_EQ(kClassic.judged(probe("198.51.100.7", Protocol::udp), Fate::observed),
            Text{"attackalert: Ignoring UDP response per configuration file setting."});
}

TEST(LogLines, TheOtherFatesAreNoLineOf12) {
  for (const Fate fate : {Fate::ignored, Fate::untriggered, Fate::own_packet, Fate::commanded,
                          Fate::pending, Fate::blocked}) {
    EXPECT_EQ(kClassic.judged(probe("198.51.100.7"), fate), Text{}) << static_cast<int>(fate);
  }
}

// ---- 2.x ----------------------------------------------------------------------------------------

TEST(LogLines, In2xAProbeIsOneLineWhenItsFateIsKnown) {
  EXPECT_EQ(kV2.seen(probe("198.51.100.7")), Text{});
  EXPECT_EQ(kV2.judged(probe("198.51.100.7"), Fate::blocked),
            Text{"Scan from: [198.51.100.7] (198.51.100.7) protocol: [TCP] port: [23] type: [TCP "
                 "SYN/Normal scan] IP opts: [not set] ignored: [false] triggered: [true] noblock: "
                 "[false] blocked: [true]"});
  EXPECT_EQ(kV2.judged(probe("198.51.100.7", Protocol::udp, 161), Fate::blocked, "scan.example"),
            Text{"Scan from: [198.51.100.7] (scan.example) protocol: [UDP] port: [161] type: [UDP] "
                 "IP opts: [not set] ignored: [false] triggered: [true] noblock: [false] blocked: "
                 "[true]"});
}

TEST(LogLines, The2xTableOfFatesIsKept) {
  EXPECT_EQ(fate(Fate::ignored),
            "ignored: [true] triggered: [unset] noblock: [unset] blocked: [unset]");
  EXPECT_EQ(fate(Fate::untriggered),
            "ignored: [false] triggered: [false] noblock: [unset] blocked: [unset]");
  EXPECT_EQ(fate(Fate::own_packet),
            "ignored: [true] triggered: [true] noblock: [true] blocked: [false]");
  EXPECT_EQ(fate(Fate::observed),
            "ignored: [false] triggered: [true] noblock: [true] blocked: [false]");
  EXPECT_EQ(fate(Fate::blocked),
            "ignored: [false] triggered: [true] noblock: [false] blocked: [true]");
  EXPECT_EQ(fate(Fate::already_blocked), fate(Fate::blocked));
  EXPECT_EQ(fate(Fate::failed),
            "ignored: [false] triggered: [true] noblock: [false] blocked: [false]");
}

TEST(LogLines, NobodyIsCalledBlockedFor2xWhomNothingBlocks) {
  EXPECT_EQ(fate(Fate::commanded), fate(Fate::failed));
  EXPECT_EQ(fate(Fate::pending), fate(Fate::failed));
}

TEST(LogLines, TheIpOptionsOf2xAreUnknownWhereNobodyLooks) {
  const auto options = [](const Detection& detection) {
    const std::string line = kV2.judged(detection, Fate::blocked).back();
    const std::size_t at = line.find("IP opts: [") + 10;
    return line.substr(at, line.find(']', at) - at);
  };
  Detection detection = probe("198.51.100.7");
  EXPECT_EQ(options(detection), "not set");
  detection.ip_options = true;
  EXPECT_EQ(options(detection), "set");
  EXPECT_EQ(options(scan(ScanKind::connect)), "unknown");
  EXPECT_EQ(options(probe("2001:db8::7")), "unknown");
}

TEST(LogLines, TheScanTypesOf2xHaveNoStrayBlankAndNoScanBehindUdp) {
  EXPECT_NE(kV2.judged(scan(ScanKind::null), Fate::blocked)[0].find("type: [TCP NULL scan]"),
            std::string::npos);
  EXPECT_NE(kV2.judged(scan(ScanKind::connect), Fate::blocked)[0].find("type: [Connect]"),
            std::string::npos);
}

TEST(LogLines, In2xTheReasonComesBeforeTheScanLine) {
  const Text already = kV2.judged(probe("198.51.100.7"), Fate::already_blocked);
  ASSERT_EQ(already.size(), 2U);
  EXPECT_EQ(already[0], "attackalert: Host: 198.51.100.7/198.51.100.7 is already blocked Ignoring");
  const Text failed = kV2.judged(probe("198.51.100.7"), Fate::failed, {}, "why");
  ASSERT_EQ(failed.size(), 2U);
  EXPECT_EQ(failed[0], "attackalert: Error during target dispose 198.51.100.7/198.51.100.7! (why)");
}

TEST(LogLines, In2xTheModesDoNotDiffer) {
  const Lines bind(LogFormat::v2, WatchMode::bind, WatchMode::bind);
  EXPECT_EQ(bind.judged(probe("198.51.100.7"), Fate::already_blocked),
            kV2.judged(probe("198.51.100.7"), Fate::already_blocked));
}

TEST(LogLines, NoLineOf2xIsAnAdminalert) {
  EXPECT_EQ(kV2.active(), "Portsentry is now active and listening.");
  EXPECT_EQ(kV2.shutting_down(), "Portsentry is shutting down");
  EXPECT_EQ(kV2.starting("9.9"), "Portsentry 9.9 (portsentryd)");
  EXPECT_EQ(kV2.reload_refused("x", 1), "ERROR: reload refused: x; generation 1 stays");
  EXPECT_EQ(kV2.command_failed(Command::hosts_deny_add, host("198.51.100.7"),
                               Verdict::command_not_run, ENOENT),
            "ERROR: There was an error trying to block host 198.51.100.7 (KILL_HOSTS_DENY: command "
            "could not be run: No such file or directory)");
}

// ---- what was done ------------------------------------------------------------------------------

TEST(LogLines, ABlockNamesTheKernelSetThatHoldsIt) {
  EXPECT_EQ(kClassic.blocked_natively(host("198.51.100.7"), 30min),
            "attackalert: Host 198.51.100.7 has been blocked via nftables set \"inet portsentry "
            "ban4\" for 30m");
  EXPECT_EQ(kClassic.blocked_natively(host("2001:db8::7"), 1h),
            "attackalert: Host 2001:db8::7 has been blocked via nftables set \"inet portsentry "
            "ban6\" for 1h");
  EXPECT_EQ(kV2.blocked_natively(site("2001:db8::7"), 1h),
            "attackalert: Host 2001:db8::/64 has been blocked via nftables set \"inet portsentry "
            "ban6net\" for 1h");
}

TEST(LogLines, ABlockByCommandAndByWrappersIsToldInTheWordsThatBothGenerationsShare) {
  for (const Lines& lines : {kClassic, kV2}) {
    EXPECT_EQ(lines.blocked_by_command(host("198.51.100.7"),
                                       "/sbin/iptables -I INPUT -s 198.51.100.7 -j DROP"),
              "attackalert: Host 198.51.100.7 has been blocked via dropped route using command: "
              "\"/sbin/iptables -I INPUT -s 198.51.100.7 -j DROP\"");
    EXPECT_EQ(lines.blocked_by_wrappers(host("198.51.100.7"), "ALL: 198.51.100.7"),
              "attackalert: Host 198.51.100.7 has been blocked via wrappers with string: \"ALL: "
              "198.51.100.7\"");
    EXPECT_EQ(lines.external_run(host("198.51.100.7"), "/bin/true"),
              "attackalert: External command run for host: 198.51.100.7 using command: "
              "\"/bin/true\"");
  }
}

TEST(LogLines, TheCompatibilityLineSatisfiesTheStockFilterAndTheGuidesAwk) {
  const std::string line =
      kV2.blocked_compatible(address("198.51.100.7"), {Protocol::udp, *Port::make(161)});
  EXPECT_EQ(line, "attackalert: Host: 198.51.100.7/198.51.100.7 Port: 161 UDP Blocked");
  regex_t filter;
  ASSERT_EQ(
      regcomp(&filter, "/([0-9a-f.:]+) Port: [0-9]+ (TCP|UDP) Blocked[[:space:]]*$", REG_EXTENDED),
      0);
  EXPECT_EQ(regexec(&filter, line.c_str(), 0, nullptr, 0), 0);
  regfree(&filter);
  // awk's $8 behind "Aug 26 03:21:30 server portsentry[1234]: "
  const std::string logged = "Aug 26 03:21:30 server portsentry[1234]: " + line;
  std::size_t at = 0;
  for (int field = 1; field < 8; ++field)
    at = logged.find(' ', at) + 1;
  EXPECT_EQ(logged.substr(at, logged.find(' ', at) - at), "198.51.100.7/198.51.100.7");
}

TEST(LogLines, ACommandThatFailedIsToldAs12MeantToTellIt) {
  EXPECT_EQ(kClassic.command_failed(Command::external, host("198.51.100.7"),
                                    Verdict::command_not_run, ENOENT),
            "adminalert: ERROR: There was an error trying to run command (exec fail) 198.51.100.7 "
            "(EXTERNAL_COMMAND: command could not be run: No such file or directory)");
  EXPECT_EQ(
      kClassic.command_failed(Command::run_cmd, host("198.51.100.7"), Verdict::command_failed, 3),
      "adminalert: ERROR: There was an error trying to run command (system fail) "
      "198.51.100.7 (KILL_RUN_CMD: command ended with status 3)");
  EXPECT_EQ(kClassic.command_failed(Command::hosts_deny_add, host("198.51.100.7"),
                                    Verdict::command_failed, 1),
            "securityalert: ERROR: There was an error trying to block host 198.51.100.7 "
            "(KILL_HOSTS_DENY: command ended with status 1)");
}

TEST(LogLines, WhatACommandPrintsCannotBreakTheLineNorFillTheLog) {
  const std::string line =
      kClassic.command_said(host("198.51.100.7"), "a\n\x1b[2J" + std::string(5000, 'x'));
  EXPECT_EQ(line.find_first_of("\n\x1b"), std::string::npos);
  EXPECT_LT(line.size(), 600U);
  EXPECT_TRUE(line.ends_with("..."));
}

TEST(LogLines, WouldBanShowsTheLineThatArms) {
  EXPECT_EQ(
      kClassic.would_ban(host("198.51.100.7"), 30min, Protocol::tcp, false, "/etc/p.conf"),
      "adminalert: would ban 198.51.100.7 for 30m (observe mode); to arm, set BLOCK_TCP=\"1\" "
      "in /etc/p.conf");
  EXPECT_EQ(
      kClassic.would_ban(host("198.51.100.7"), 30min, Protocol::tcp, true, "/etc/p.conf"),
      "adminalert: would ban 198.51.100.7 for 30m (observe mode); to arm, set BLOCK_TCP=\"1\" and "
      "FIREWALL=\"auto\" in /etc/p.conf");
  EXPECT_NE(
      kClassic.would_ban(host("198.51.100.7"), 30min, Protocol::udp, false, "x").find("BLOCK_UDP"),
      std::string::npos);
}

TEST(LogLines, NothingOfTheAdministratorsCanBreakALine) {
  const std::string evil = "/a\n\x1b[2J";
  for (const std::string& line :
       {kClassic.would_ban(host("198.51.100.7"), 30min, Protocol::tcp, false, evil),
        kClassic.blocked_by_command(host("198.51.100.7"), evil),
        kClassic.blocked_by_wrappers(host("198.51.100.7"), evil),
        kClassic.external_run(host("198.51.100.7"), evil), kClassic.reload_refused(evil, 1),
        kClassic.file_failed("LOG_FILE", evil), kClassic.observing(evil)}) {
    EXPECT_EQ(line.find_first_of("\n\x1b"), std::string::npos) << line;
  }
}

// What other people's programs look for, in POSIX spelling (PEERS.md 7.6).
TEST(LogLines, LogwatchAndWazuhFindWhatTheyLookFor) {
  const Lines bind(LogFormat::classic, WatchMode::bind, WatchMode::bind);
  const struct {
    const char* who;
    const char* pattern;
    std::string line;
  } kCases[] = {
      {"logwatch",
       "attackalert: [^ ]+ ?[^ ]* scan from host: [^/]+/[^ ]+ to (TCP|UDP) port: [0-9]+$",
       kClassic.seen(probe("198.51.100.7", Protocol::udp))[0]},
      {"logwatch",
       "attackalert: [^ ]+ ?[^ ]* scan from host: [^/]+/[^ ]+ to (TCP|UDP) port: [0-9]+$",
       classic(ScanKind::syn)[0]},
      {"logwatch", "Host [0-9.]+ has been blocked",
       kClassic.blocked_by_command(host("198.51.100.7"), "x")},
      {"logwatch", "Host [0-9.]+ has been blocked",
       kClassic.blocked_natively(host("198.51.100.7"), 1h)},
      {"logwatch", "Host: [^ ]+ is already blocked",
       kClassic.judged(probe("198.51.100.7"), Fate::already_blocked)[0]},
      {"logwatch", "PortSentry is now active", kClassic.active()},
      {"Wazuh", "^attackalert: Connect from host: [0-9.]+/[^ ]+ to (TCP|UDP) port: [0-9]+$",
       classic(ScanKind::connect)[0]},
      {"Wazuh", "Host: [0-9.]+ is already blocked[.] Ignoring$",
       bind.judged(probe("198.51.100.7"), Fate::already_blocked)[0]},
  };
  for (const auto& c : kCases) {
    regex_t pattern;
    ASSERT_EQ(regcomp(&pattern, c.pattern, REG_EXTENDED), 0) << c.pattern;
    EXPECT_EQ(regexec(&pattern, c.line.c_str(), 0, nullptr, 0), 0) << c.who << ": " << c.line;
    regfree(&pattern);
  }
}

// ---- the daemon itself --------------------------------------------------------------------------

TEST(LogLines, TheReadinessLineIsThatOf12) {
  EXPECT_EQ(kClassic.active(), "adminalert: PortSentry is now active and listening.");
  EXPECT_EQ(kClassic.starting("1.2"), "adminalert: PortSentry 1.2 is starting.");
  EXPECT_EQ(kClassic.shutting_down(), "adminalert: PortSentry is shutting down");
}

class Listening : public ::testing::Test {
 protected:
  Listening() {
    for (const std::uint32_t port : {23U, 79U})
      config_.ports.tcp.add(*Port::make(port));
    config_.ports.udp.add(*Port::make(161));
  }
  Text told() const { return Lines(config_).listening(config_, unbound_); }
  Config config_;
  PortSets unbound_;
};

TEST_F(Listening, StealthModesListTheirPorts) {
  EXPECT_EQ(told(), (Text{"adminalert: Going into stealth listen mode on TCP port: 23",
                          "adminalert: Going into stealth listen mode on TCP port: 79",
                          "adminalert: Going into stealth listen mode on UDP port: 161"}));
}

TEST_F(Listening, BindModesListThePortsThatTheyHaveUnderTheirOwnNumbers) {
  config_.tcp_mode = WatchMode::bind;
  config_.udp_mode = WatchMode::none;
  unbound_.tcp.add(*Port::make(23));
  EXPECT_EQ(told(), Text{"adminalert: Going into listen mode on TCP port: 79"});
  config_.log_format = LogFormat::v2;
  EXPECT_EQ(told(), Text{"Listen on AF_INET6: TCP port: 79"});
}

TEST_F(Listening, AdvancedModesTellTheirEndAndTheirExceptions) {
  config_.tcp_mode = config_.udp_mode = WatchMode::advanced;
  config_.advanced_exclude_tcp.add(*Port::make(113));
  config_.advanced_ports_udp = 2048;
  EXPECT_EQ(told(), (Text{"adminalert: Advanced mode will monitor first 1024 ports",
                          "adminalert: Advanced mode will manually exclude port: 113 ",
                          "adminalert: Advanced mode will monitor first 2048 ports",
                          "adminalert: Advanced mode will manually exclude no ports"}));
}

TEST_F(Listening, ManyPortsAreOneLine) {
  config_.ports.tcp.add_range(*Port::make(1), *Port::make(1000));
  config_.udp_mode = WatchMode::none;
  EXPECT_EQ(told(), Text{"adminalert: Going into stealth listen mode on 1000 TCP ports"});
  config_.tcp_mode = WatchMode::bind;
  EXPECT_EQ(told(), Text{"adminalert: Going into listen mode on 1000 TCP ports"});
}

TEST(LogLines, APortThatCouldNotBeHadIsToldAsIn12AndWhy) {
  EXPECT_EQ(kClassic.could_not_bind(Protocol::tcp, *Port::make(22), EADDRINUSE),
            "adminalert: ERROR: could not bind TCP socket: 22. Attempting to continue (Address "
            "already in use)");
  EXPECT_EQ(kClassic.could_not_bind_more(Protocol::udp, 12),
            "adminalert: ERROR: could not bind 12 further UDP sockets. Attempting to continue");
  EXPECT_EQ(kClassic.could_not_bind_any(Protocol::udp),
            "adminalert: ERROR: could not bind ANY UDP sockets.");
}

TEST(LogLines, AReloadIsToldByItsGeneration) {
  EXPECT_EQ(kClassic.reloaded(2), "adminalert: configuration read again: generation 2");
  EXPECT_EQ(kClassic.reload_refused("/etc/p.conf:3: error: x", 1),
            "adminalert: ERROR: reload refused: /etc/p.conf:3: error: x; generation 1 stays");
}

TEST(LogLines, ADeadSensorIsToldWithItsCauseAndTheNextTry) {
  EXPECT_EQ(
      kClassic.sensor_lost({.by_signal = true, .code = 9, .retry_in = 100ms, .successor = false}),
      "adminalert: ERROR: sensor was killed by signal 9; nothing is detected until it is back; "
      "starting it again in 0.1s");
  EXPECT_NE(
      kClassic.sensor_lost({.by_signal = true, .code = 31, .retry_in = 30s, .successor = false})
          .find("killed by its own filter (SIGSYS)"),
      std::string::npos);
  EXPECT_NE(
      kClassic.sensor_lost({.by_signal = false, .code = 1, .retry_in = 1600ms, .successor = false})
          .find("ended with status 1; nothing is detected until it is back; starting it "
                "again in 1.6s"),
      std::string::npos);
}

}  // namespace
}  // namespace portsentry::monitor
