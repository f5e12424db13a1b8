#include "monitor/resolver_client.h"

#include <gtest/gtest.h>

#include "known_view.h"

namespace portsentry::monitor {
namespace {

using namespace std::chrono_literals;
using State = ResolverClient::Lookup::State;

Now at(Clock::duration later) {
  return {Clock::time_point(1h) + later, 0};
}
Address numbered(std::size_t i) {
  return Address::v4(10, static_cast<std::uint8_t>(i >> 16U), static_cast<std::uint8_t>(i >> 8U),
                     static_cast<std::uint8_t>(i));
}

class Client : public ::testing::Test {
 protected:
  Client() { client_.connected(); }
  std::uint64_t ask(const Address& address, Now now) {
    const auto lookup = client_.look_up(address, now);
    EXPECT_EQ(lookup.state, State::asked);
    EXPECT_TRUE(lookup.ask);
    return lookup.ask.value_or(0);
  }
  ResolverClient client_;
  const Address a_ = address("198.51.100.1");
};

TEST_F(Client, ANameIsAskedForOnceAndThenRememberedForTenMinutes) {
  const std::uint64_t id = ask(a_, at(0s));
  const auto again = client_.look_up(a_, at(1s));
  EXPECT_EQ(again.state, State::asked);
  EXPECT_FALSE(again.ask) << "one request a time and address";
  const auto named = client_.answer(id, "scan.example", at(1s));
  ASSERT_TRUE(named);
  EXPECT_EQ(named->address, a_);
  EXPECT_EQ(named->host, "scan.example");
  EXPECT_EQ(client_.look_up(a_, at(10min)).host, "scan.example");
  EXPECT_EQ(client_.look_up(a_, at(10min + 1s)).state, State::asked);
}

TEST_F(Client, ThatThereIsNoNameIsRememberedToo) {
  EXPECT_EQ(client_.answer(ask(a_, at(0s)), "", at(0s))->host, "");
  const auto lookup = client_.look_up(a_, at(1s));
  EXPECT_EQ(lookup.state, State::known);
  EXPECT_EQ(lookup.host, "");
}

TEST_F(Client, AnAnswerToNothingIsNothing) {
  EXPECT_FALSE(client_.answer(7, "scan.example", at(0s)));
  const std::uint64_t id = ask(a_, at(0s));
  EXPECT_TRUE(client_.answer(id, "scan.example", at(0s)));
  EXPECT_FALSE(client_.answer(id, "other.example", at(0s))) << "answered before";
  EXPECT_EQ(client_.look_up(a_, at(0s)).host, "scan.example");
}

TEST_F(Client, AnAnswerThatIsLateIsGoodForTheNextLine) {
  const std::uint64_t id = ask(a_, at(0s));
  EXPECT_TRUE(client_.answer(id, "slow.example", at(29s)));
  EXPECT_EQ(client_.look_up(a_, at(29s)).host, "slow.example");
}

TEST_F(Client, WhatIsNeverAnsweredIsForgottenAndAskedForAgain) {
  const std::uint64_t id = ask(a_, at(0s));
  EXPECT_NE(ask(a_, at(30s)), id);
  EXPECT_FALSE(client_.answer(id, "late.example", at(31s)));
}

TEST_F(Client, WhoAsksForTooMuchIsToldAddresses) {
  for (std::size_t i = 0; i < ResolverClient::kMostPending; ++i)
    ask(numbered(i), at(0s));
  EXPECT_EQ(client_.look_up(a_, at(1s)).state, State::unavailable);
  EXPECT_EQ(client_.look_up(a_, at(30s)).state, State::asked);
}

TEST_F(Client, TheMemoryIsBoundedAndForgetsTheOldest) {
  constexpr std::size_t kMany = ResolverClient::kMostRemembered + 100;
  for (std::size_t i = 0; i < kMany; ++i)
    client_.answer(ask(numbered(i), at(0s)), "x.example", at(0s));
  EXPECT_EQ(client_.look_up(numbered(kMany - 1), at(0s)).state, State::known);
  EXPECT_LE(client_.remembered(), ResolverClient::kMostRemembered);
  EXPECT_EQ(client_.look_up(numbered(0), at(0s)).state, State::asked);
}

TEST_F(Client, WithoutAResolverNothingIsAskedAndWhatIsKnownStays) {
  client_.answer(ask(a_, at(0s)), "scan.example", at(0s));
  const std::uint64_t id = ask(numbered(1), at(0s));
  client_.lost();
  EXPECT_EQ(client_.pending(), 0U);
  EXPECT_FALSE(client_.answer(id, "x.example", at(0s)));
  EXPECT_EQ(client_.look_up(a_, at(1s)).host, "scan.example");
  EXPECT_EQ(client_.look_up(numbered(1), at(1s)).state, State::unavailable);
  client_.connected();
  EXPECT_NE(ask(numbered(1), at(1s)), id) << "an answer of the one before is no answer";
}

TEST_F(Client, ARequestThatCouldNotBeSentIsNotWaitedFor) {
  client_.withdraw(ask(a_, at(0s)));
  EXPECT_EQ(client_.pending(), 0U);
  EXPECT_TRUE(client_.look_up(a_, at(0s)).ask);
}

TEST_F(Client, ANameThatNobodyShouldReadIsTheAddress) {
  const auto named = client_.answer(ask(a_, at(0s)), "a b\n", at(0s));
  ASSERT_TRUE(named);
  EXPECT_EQ(named->host, "");
}

TEST(Tellable, IsWhatAnHonestNameLooksLike) {
  using namespace std::string_view_literals;
  for (const std::string_view name :
       {"scan.example"sv, "localhost"sv, "a-1.b_2.example."sv, R"(\032x.example)"sv,
        "10.0.0.1.example"sv, "xn--bcher-kva.example"sv}) {
    EXPECT_TRUE(is_tellable(name)) << name;
  }
  for (const std::string_view name :
       {""sv, "a b"sv, "a\nb"sv, "a\x1b[2Jb"sv, "a/b"sv, "a\"b"sv, "a\0b"sv, "b\xc3\xbc.example"sv,
        "a]b"sv, "a:b"sv, "."sv, ".."sv, "a.."sv}) {
    EXPECT_FALSE(is_tellable(name)) << name;
  }
  EXPECT_TRUE(is_tellable(std::string(253, 'a')));
  EXPECT_FALSE(is_tellable(std::string(254, 'a')));
}

TEST(Tellable, IsNeverAnotherAddress) {
  for (const char* name :
       {"10.0.0.1", "10.0.0.1.", "10.1", "3232235777", "0x7f.0.0.1", "0x7f000001", "1.2.3.4.5"}) {
    EXPECT_FALSE(is_tellable(name)) << name;
  }
}

}  // namespace
}  // namespace portsentry::monitor
