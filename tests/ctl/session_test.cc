#include "ctl/session.h"

#include <gtest/gtest.h>
#include <utmp.h>

#include <cstring>
#include <map>
#include <span>

namespace portsentry::ctl {
namespace {

constexpr std::uint32_t kPts3 = 136U << 8 | 3U;
constexpr std::uint32_t kPts7 = 136U << 8 | 7U;

std::string entry(const char* line, const char* host, std::int32_t at, short type = USER_PROCESS) {
  ::utmp record{};
  record.ut_type = type;
  std::strncpy(record.ut_line, line, sizeof(record.ut_line));
  std::strncpy(record.ut_host, host, sizeof(record.ut_host));
  record.ut_tv.tv_sec = at;
  std::string bytes(sizeof(record), '\0');
  std::memcpy(bytes.data(), &record, sizeof(record));
  return bytes;
}

std::optional<std::time_t> in_utmp(const std::string& utmp, std::string_view line) {
  return began_in_utmp(std::as_bytes(std::span(utmp)), line);
}

std::string stat_line(pid_t parent, std::uint32_t terminal) {
  return "7 (a) b (c) S " + std::to_string(parent) + " 7 7 " +
         std::to_string(static_cast<std::int32_t>(terminal)) + " 9 4194304\n";
}

// A machine: its files by name.
class SessionBegan : public ::testing::Test {
 protected:
  std::optional<std::time_t> ask(pid_t self = 100) {
    return session_began(
        [this](const std::string& path) -> std::optional<std::string> {
          const auto found = files_.find(path);
          return found == files_.end() ? std::nullopt : std::optional(found->second);
        },
        self);
  }
  std::map<std::string, std::string> files_;
};

constexpr char kSsh[] =
    "# private\nUID=1000\nACTIVE=1\nREMOTE=1\nCLASS=user\nREALTIME=1795000000123456\n";

TEST_F(SessionBegan, LogindKnowsTheSessionOfOurControlGroup) {
  files_["/proc/100/cgroup"] = "0::/user.slice/user-1000.slice/session-3.scope\n";
  files_["/run/systemd/sessions/3"] = kSsh;
  EXPECT_EQ(ask(), 1'795'000'000);
}

TEST_F(SessionBegan, TheAuditSessionServesWhereTheControlGroupSaysNothing) {
  files_["/proc/100/cgroup"] = "0::/\n";
  files_["/proc/100/sessionid"] = "3";
  files_["/run/systemd/sessions/3"] = kSsh;
  EXPECT_EQ(ask(), 1'795'000'000);
}

TEST_F(SessionBegan, UtmpServesWhereThereIsNoLogind) {
  files_["/proc/100/sessionid"] = "4294967295";
  files_["/proc/100/stat"] = stat_line(90, kPts3);
  files_["/run/utmp"] = entry("pts/1", "192.0.2.9", 5) + entry("pts/3", "192.0.2.9", 1'794'000'000);
  EXPECT_EQ(ask(), 1'794'000'000);
}

TEST_F(SessionBegan, BehindSudoWithATerminalOfItsOwnAnAncestorIsLoggedIn) {
  files_["/proc/100/stat"] = stat_line(90, kPts7);
  files_["/proc/90/stat"] = stat_line(80, kPts7);
  files_["/proc/80/stat"] = stat_line(70, kPts3);
  files_["/run/utmp"] = entry("pts/3", "192.0.2.9", 1'794'000'000);
  EXPECT_EQ(ask(), 1'794'000'000);
}

TEST_F(SessionBegan, InsideTmuxNothingIsKnown) {
  files_["/proc/100/stat"] = stat_line(90, kPts7);
  files_["/proc/90/stat"] = stat_line(1, 0);
  files_["/run/utmp"] =
      entry("pts/3", "192.0.2.9", 1'700'000'000) + entry("pts/7", "tmux(90).%1", 1'795'000'000);
  EXPECT_EQ(ask(), std::nullopt);
}

TEST_F(SessionBegan, ChainsOfAncestorsThatNeverEndAreLeft) {
  for (pid_t pid = 2; pid < 400; ++pid) {
    files_["/proc/" + std::to_string(pid) + "/stat"] = stat_line(pid == 2 ? 399 : pid - 1, kPts7);
  }
  files_["/run/utmp"] = entry("pts/3", "192.0.2.9", 1'794'000'000);
  EXPECT_EQ(ask(), std::nullopt);
}

TEST_F(SessionBegan, WithoutAnyRecordNothingIsKnown) {
  EXPECT_EQ(ask(), std::nullopt);
}

TEST(ParseProcess, ANameMayHoldBracketsAndBlanks) {
  const auto process = parse_process("12 (x) S 1 1 1 0) R 34 12 12 34819 12\n");
  ASSERT_TRUE(process);
  EXPECT_EQ(process->parent, 34);
  EXPECT_EQ(process->terminal, 34819U);
}

TEST(ParseProcess, WhatIsCutShortIsNoProcess) {
  const std::string whole = "12 (x) R 34 12 12 34819 12\n";
  for (std::size_t size = 0; size < whole.find("34819") + 1; ++size) {
    EXPECT_FALSE(parse_process(whole.substr(0, size))) << size;
  }
  EXPECT_FALSE(parse_process("12 (x) R 99999999999999 1 1 1 1"));
  EXPECT_FALSE(parse_process("12 (x) R -4 1 1 1 1"));
}

TEST(SessionOfCgroup, BothHierarchiesAreRead) {
  EXPECT_EQ(session_of_cgroup("1:name=systemd:/user.slice/user-0.slice/session-c12.scope\n0::/\n"),
            "c12");
  EXPECT_EQ(session_of_cgroup("0::/user.slice/user-0.slice/session-4.scope/deeper\n"), "4");
}

TEST(SessionOfCgroup, WhatIsNoSessionNamesNoFile) {
  for (const char* text :
       {"", "0::/\n", "0::/system.slice/ssh.service\n", "0::/session-.scope\n", "0::/session-\n",
        "0::/session-.x.scope\n", "0::/session-..%2f.scope", "0::/user@1000.service/app.slice"}) {
    EXPECT_EQ(session_of_cgroup(text), std::nullopt) << text;
  }
  EXPECT_EQ(session_of_cgroup("0::/session-" + std::string(33, 'a') + ".scope\n"), std::nullopt);
}

TEST(SessionOfAudit, AllOnesMeansNone) {
  EXPECT_EQ(session_of_audit("17"), "17");
  EXPECT_EQ(session_of_audit("17\n"), "17");
  EXPECT_EQ(session_of_audit("4294967295"), std::nullopt);
  EXPECT_EQ(session_of_audit("../x"), std::nullopt);
  EXPECT_EQ(session_of_audit(""), std::nullopt);
}

TEST(BeganInLogind, OnlyALoginFromElsewhereOrAtAConsoleCounts) {
  EXPECT_TRUE(began_in_logind(kSsh));
  EXPECT_TRUE(began_in_logind("REALTIME=5000000\nCLASS=user\nREMOTE=0\nTTY=ttyS0\n"));
  EXPECT_TRUE(began_in_logind("REALTIME=5000000\nCLASS=user\nREMOTE=0\nSEAT=seat0\nTTY=tty2\n"));
  EXPECT_FALSE(began_in_logind("REALTIME=5000000\nCLASS=user\nREMOTE=0\nTTY=pts/4\n")) << "run0";
  EXPECT_FALSE(began_in_logind("REALTIME=5000000\nCLASS=user\nREMOTE=0\n")) << "cron";
  EXPECT_FALSE(began_in_logind("REALTIME=5000000\nCLASS=manager\nREMOTE=1\n"));
  EXPECT_FALSE(began_in_logind("REALTIME=5000000\nREMOTE=1\n"));
  EXPECT_FALSE(began_in_logind("CLASS=user\nREMOTE=1\n"));
  EXPECT_FALSE(began_in_logind("CLASS=user\nREMOTE=1\nREALTIME=1x\n"));
  EXPECT_FALSE(began_in_logind(""));
}

TEST(TerminalLine, DeviceNumbersHaveTheNamesOfLoginRecords) {
  EXPECT_EQ(terminal_line(kPts3), "pts/3");
  EXPECT_EQ(terminal_line(137U << 8 | 2U), "pts/258");
  EXPECT_EQ(terminal_line(136U << 8 | 0x100000U | 1U), "pts/257") << "minor numbers above 255";
  EXPECT_EQ(terminal_line(4U << 8 | 1U), "tty1");
  EXPECT_EQ(terminal_line(4U << 8 | 64U), "ttyS0");
  EXPECT_EQ(terminal_line(5U << 8), "") << "/dev/tty is nobody's";
  EXPECT_EQ(terminal_line(0), "");
}

TEST(BeganInUtmp, OnlyLoginsThatHoldCount) {
  EXPECT_EQ(in_utmp(entry("pts/3", "192.0.2.9", 7, DEAD_PROCESS), "pts/3"), std::nullopt);
  EXPECT_EQ(in_utmp(entry("pts/3", "192.0.2.9", 7, LOGIN_PROCESS), "pts/3"), std::nullopt);
  EXPECT_EQ(in_utmp(entry("pts/30", "192.0.2.9", 7), "pts/3"), std::nullopt);
  EXPECT_EQ(in_utmp(entry("tty1", "", 7), "tty1"), 7) << "a console needs no host";
  EXPECT_EQ(in_utmp(entry("pts/3", "192.0.2.9", -7), "pts/3"), std::nullopt);
  EXPECT_EQ(in_utmp(entry("", "192.0.2.9", 7), ""), std::nullopt);
}

TEST(BeganInUtmp, ANewWindowIsNoNewLogin) {
  for (const char* host : {"", ":0", ":0.0", "tmux(1234).%0", "192.0.2.9:S.0"}) {
    EXPECT_EQ(in_utmp(entry("pts/3", host, 7), "pts/3"), std::nullopt) << host;
  }
  EXPECT_EQ(in_utmp(entry("pts/3", "192.0.2.9 via mosh [44]", 7), "pts/3"), 7);
  EXPECT_EQ(in_utmp(entry("pts/3", "2001:db8::9", 7), "pts/3"), 7);
}

TEST(BeganInUtmp, OfTwoForOneLineTheElderCounts) {
  EXPECT_EQ(in_utmp(entry("pts/3", "a", 9) + entry("pts/3", "b", 7), "pts/3"), 7);
}

TEST(BeganInUtmp, ARecordThatIsCutShortIsNotRead) {
  const std::string whole = entry("pts/3", "192.0.2.9", 7);
  for (std::size_t size = 0; size < whole.size(); size += 13) {
    EXPECT_EQ(in_utmp(whole.substr(0, size), "pts/3"), std::nullopt);
  }
}

TEST(BeganInUtmp, FieldsWithoutAZeroEndWhereTheyEnd) {
  const std::string full(sizeof(::utmp::ut_line), 'x');
  EXPECT_EQ(in_utmp(entry(full.c_str(), "h", 7), full), 7);
}

}  // namespace
}  // namespace portsentry::ctl
