#include "scout/session.h"

#include <gtest/gtest.h>
#include <utmp.h>

#include <cstring>

#include "texts.h"

namespace portsentry::scout {
namespace {

std::vector<std::byte> record(int type, std::string_view from, std::string_view host = "",
                              std::int32_t since = 1'795'000'000) {
  utmp entry{};
  entry.ut_type = static_cast<short>(type);
  entry.ut_tv.tv_sec = since;
  std::memcpy(&entry.ut_host, host.data(), host.size());
  if (!from.empty()) {
    const Address parsed = address(from);
    std::memcpy(&entry.ut_addr_v6, parsed.bytes().data(), parsed.bytes().size());
  }
  std::vector<std::byte> bytes(sizeof entry);
  std::memcpy(bytes.data(), &entry, sizeof entry);
  return bytes;
}
std::vector<std::byte> join(std::initializer_list<std::vector<std::byte>> parts) {
  std::vector<std::byte> all;
  for (const auto& part : parts)
    all.insert(all.end(), part.begin(), part.end());
  return all;
}
Texts from(const std::vector<Session>& sessions) {
  Texts all;
  for (const Session& session : sessions)
    all.push_back(session.address.text());
  return all;
}

TEST(Utmp, WhoHasLoggedInFromElsewhereIsTakenWithTheTime) {
  const auto found =
      utmp_sessions(join({record(BOOT_TIME, ""), record(USER_PROCESS, "198.51.100.7"),
                          record(USER_PROCESS, "2001:db8::7")}));
  EXPECT_EQ(from(found), (Texts{"198.51.100.7", "2001:db8::7"}));
  EXPECT_EQ(found[0].since, 1'795'000'000);
}

TEST(Utmp, WhoIsNotOrNotYetOrNoMoreLoggedInIsNot) {
  for (const int type : {EMPTY, RUN_LVL, BOOT_TIME, NEW_TIME, OLD_TIME, INIT_PROCESS, LOGIN_PROCESS,
                         DEAD_PROCESS, ACCOUNTING})
    EXPECT_TRUE(utmp_sessions(record(type, "198.51.100.7")).empty()) << type;
  EXPECT_TRUE(utmp_sessions(record(USER_PROCESS, "")).empty()) << "a console";
  EXPECT_TRUE(utmp_sessions(record(USER_PROCESS, "127.0.0.1")).empty());
  EXPECT_TRUE(utmp_sessions(record(USER_PROCESS, "fe80::7")).empty());
}

// The client's name server says what its host is called, and may say it is an address.
TEST(Utmp, TheNameOfAHostProtectsNobody) {
  EXPECT_TRUE(utmp_sessions(record(USER_PROCESS, "", "203.0.113.9")).empty());
  EXPECT_EQ(from(utmp_sessions(record(USER_PROCESS, "198.51.100.7", "203.0.113.9"))),
            Texts{"198.51.100.7"});
}

TEST(Utmp, ARecordThatIsCutIsNone) {
  auto bytes = join({record(USER_PROCESS, "198.51.100.7"), record(USER_PROCESS, "198.51.100.8")});
  bytes.pop_back();
  EXPECT_EQ(from(utmp_sessions(bytes)), Texts{"198.51.100.7"});
  EXPECT_TRUE(utmp_sessions(Bytes(bytes).first(100)).empty());
}

TEST(Utmp, ALongFileEnds) {
  std::vector<std::byte> bytes;
  const auto one = record(USER_PROCESS, "198.51.100.7");
  for (std::size_t i = 0; i < kMostSessions + 10; ++i)
    bytes.insert(bytes.end(), one.begin(), one.end());
  EXPECT_EQ(utmp_sessions(bytes).size(), kMostSessions);
}

std::string logind(std::string_view changes = "") {
  return "# This is private data. Do not parse.\nUID=1000\nUSER=anna\nACTIVE=1\nIS_DISPLAY=0\n"
         "STATE=active\nREMOTE=1\nTYPE=tty\nCLASS=user\nREMOTE_HOST=198.51.100.7\nSERVICE=sshd\n"
         "REALTIME=1795000000123456\nMONOTONIC=1\n" +
         std::string(changes);
}
std::string with(std::string text, std::string_view what, std::string_view by) {
  return text.replace(text.find(what), what.size(), by);
}

TEST(Logind, ARemoteSessionOfAUserIsTakenWithItsBeginning) {
  const auto session = logind_session(logind());
  ASSERT_TRUE(session);
  EXPECT_EQ(session->address, address("198.51.100.7"));
  EXPECT_EQ(session->since, 1'795'000'000);
  EXPECT_TRUE(logind_session(with(logind(), "CLASS=user", "CLASS=user-early")));
  EXPECT_TRUE(logind_session(with(logind(), "198.51.100.7", "2001:db8::7")));
  EXPECT_EQ(logind_session(with(logind(), "REALTIME=1795000000123456", "REALTIME=x"))->since, 0);
}

TEST(Logind, EverythingElseIsNoLogin) {
  for (const auto& [what, by] : std::initializer_list<std::pair<const char*, const char*>>{
           {"REMOTE=1", "REMOTE=0"},
           {"CLASS=user", "CLASS=greeter"},
           {"CLASS=user", "CLASS=manager"},
           {"CLASS=user", "CLASS=user-incomplete"},
           {"CLASS=user\n", ""},
           {"STATE=active", "STATE=closing"},
           {"STATE=active\n", ""},
           {"198.51.100.7", "client.example.net"},
           {"198.51.100.7", "127.0.0.1"},
           {"198.51.100.7", "fe80::1%eth0"},
           {"198.51.100.7", ""}}) {
    EXPECT_FALSE(logind_session(with(logind(), what, by))) << what << " -> " << by;
  }
}

TEST(Logind, AFileWithTwoAddressesIsBelievedInNeither) {
  EXPECT_FALSE(logind_session(logind("REMOTE_HOST=203.0.113.9\n")));
}

}  // namespace
}  // namespace portsentry::scout
