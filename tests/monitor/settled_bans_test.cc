#include "monitor/settled_bans.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <map>
#include <string>

namespace portsentry::monitor {
namespace {

using namespace std::chrono_literals;
using State = SettledBan::State;

constexpr Clock::time_point kBegin{1000h};
constexpr std::time_t kWall = 1'800'000'000;

Source v4(std::uint32_t number) {
  return Source::of(
      Address::v4(static_cast<std::uint8_t>(number >> 24U),
                  static_cast<std::uint8_t>(number >> 16U), static_cast<std::uint8_t>(number >> 8U),
                  static_cast<std::uint8_t>(number)),
      true);
}

Source site(std::string_view text) {
  return Source::of(*Address::parse(text), false);
}

SettledBan ban(const Source& source, std::chrono::seconds length = 1h) {
  return {.address = source.prefix().address(),
          .cause = {Protocol::udp, *Port::make(65535)},
          .until = kBegin + length + 123456789ns,
          .wall = kWall + length.count(),
          .since = kWall,
          .kernel_until = kBegin + length + 1s + 123456789ns,
          .told_already = kBegin - 7s,
          .origin = Origin::recovered,
          .proof = Proof::established,
          .of = BanClass::proven,
          .offences = 65535,
          .acknowledged = true,
          .wrapped = true,
          .in_kernel = true,
          .has_row = true,
          .unseen = true};
}

struct Settled : testing::Test {
  SettledBans bans_{15 * 24h, 5s};
};

TEST_F(Settled, WhatIsPutComesBackAsItWas) {
  const Source host = v4(0x0a000001);
  const Source far = site("2001:db8:1:2:3:4:5:6");
  const Source near = Source::of(*Address::parse("2001:db8:1:2::"), true);
  SettledBan other = ban(far);
  other.address = *Address::parse("2001:db8:1:2:3:4:5:6");
  other.state = State::restoring;
  other.cause = {Protocol::tcp, *Port::make(1)};
  other.acknowledged = other.wrapped = other.in_kernel = other.has_row = other.unseen = false;
  other.told_already.reset();
  SettledBan permanent = ban(near);
  permanent.until = permanent.kernel_until = Clock::time_point::max();
  permanent.wall.reset();
  for (const auto& [source, put] : {std::pair(host, ban(host)), {far, other}, {near, permanent}}) {
    ASSERT_TRUE(SettledBans::fits(source, put));
    bans_.put(source, put);
    EXPECT_EQ(bans_.find(source), put) << source.text();
  }
  EXPECT_EQ(bans_.size(), 3U);
  EXPECT_EQ(bans_.take(far), other);
  EXPECT_EQ(bans_.take(far), std::nullopt);
  EXPECT_EQ(bans_.find(near), permanent) << "the site's first address is not the site";
}

TEST_F(Settled, WhatHasNoRoomDoesNotFit) {
  const Source source = v4(1U << 25U);
  const auto fits = [&](auto change) {
    SettledBan changed = ban(source);
    change(changed);
    return SettledBans::fits(source, changed);
  };
  EXPECT_TRUE(fits([](SettledBan&) {}));
  EXPECT_FALSE(fits([](SettledBan& b) { b.offences = 65536; }));
  EXPECT_FALSE(fits([](SettledBan& b) { b.since = -1; }));
  EXPECT_FALSE(fits([](SettledBan& b) { b.wall = std::time_t{1} << 32U; }));
  EXPECT_FALSE(fits([](SettledBan& b) { b.wall.reset(); }));
  EXPECT_FALSE(fits([](SettledBan& b) { b.until = Clock::time_point::max(); }));
  EXPECT_FALSE(fits([](SettledBan& b) { b.address = *Address::parse("2001:db8::1"); }));
  EXPECT_FALSE(fits([](SettledBan& b) { b.kernel_until = b.until - 24h * 365 * 10; }));
}

TEST_F(Settled, AnElementThatEndsBeforeItsBanMakesItDueHalfOfTheKernelsTimeEarlier) {
  SettledBan longer = ban(v4(7), 24h * 40);
  longer.kernel_until = kBegin + 24h * 30;
  bans_.put(v4(7), longer);
  // Kept to a tenth of a second, rounded up.
  const auto half = [](std::optional<Clock::time_point> due) {
    return due && *due >= kBegin + 24h * 15 && *due <= kBegin + 24h * 15 + 100ms;
  };
  EXPECT_TRUE(half(bans_.next_due()));
  SettledBan close = ban(v4(8), 24h);
  close.kernel_until = close.until - 4s;
  bans_.put(v4(8), close);
  EXPECT_EQ(bans_.next_due(), close.until) << "a rounding is no reason";
  bans_.take(v4(8));
  EXPECT_TRUE(half(bans_.next_due()));
  longer.state = State::restoring;
  bans_.change(v4(7), longer);
  EXPECT_EQ(bans_.next_due(), longer.until);
  longer.state = State::sent;
  bans_.change(v4(7), longer);
  EXPECT_EQ(bans_.next_due(), std::nullopt);
}

// Against a map, with sources that lie close to one another and far apart.
TEST_F(Settled, IsWhatAMapWouldBeWhateverComesAndGoes) {
  std::map<Source, SettledBan> model;
  std::uint64_t dice = 99;
  const auto roll = [&](std::uint64_t sides) {
    dice = dice * 6364136223846793005ULL + 1442695040888963407ULL;
    return (dice >> 33U) % sides;
  };
  const auto any = [&] {
    const auto number = static_cast<std::uint32_t>(roll(6000));
    switch (roll(3)) {
      case 0:
        return v4(0x20010db8U + number);
      case 1:
        return site("2001:db8:0:" + std::to_string(number % 2000) + "::1");
      default:
        return Source::of(*Address::parse("2001:db8:0:" + std::to_string(number % 2000) + "::"),
                          true);
    }
  };
  for (int i = 0; i < 60'000; ++i) {
    const Source source = any();
    const bool grows = i % 30'000 < 20'000;
    if (model.contains(source) ? roll(grows ? 4 : 2) == 0 : roll(4) != 0) {
      const auto known = model.extract(source);
      EXPECT_EQ(bans_.take(source).has_value(), !known.empty());
      if (!known.empty()) continue;
      SettledBan put = ban(source, std::chrono::seconds(roll(3600)));
      put.state = static_cast<State>(roll(3));
      bans_.put(source, put);
      model.emplace(source, put);
    }
    if (i % 500 != 0) continue;
    auto expected = model.begin();
    std::size_t restoring = 0;
    Clock::time_point first = Clock::time_point::max();
    bans_.each_after(std::nullopt, [&](const Source& s, const SettledBan& b) {
      EXPECT_TRUE(expected != model.end() && expected->first == s && expected->second == b);
      if (b.state == State::restoring) restoring += 1;
      if (b.state != State::sent) first = std::min(first, b.until);
      ++expected;
      return !testing::Test::HasFailure();
    });
    ASSERT_EQ(expected, model.end());
    ASSERT_EQ(bans_.size(), model.size());
    ASSERT_EQ(bans_.to_restore(), restoring);
    ASSERT_EQ(bans_.restoring(1'000'000).size(), restoring);
    ASSERT_EQ(bans_.next_due().value_or(Clock::time_point::max()), first);
    const auto then = kBegin + std::chrono::seconds(roll(3600));
    const auto over =
        static_cast<std::size_t>(std::count_if(model.begin(), model.end(), [&](const auto& e) {
          return e.second.state != State::sent && e.second.until <= then;
        }));
    ASSERT_EQ(bans_.due(then, 1'000'000).size(), over);
    const Source from = any();
    const auto behind = model.upper_bound(from);
    bans_.each_after(from, [&](const Source& s, const SettledBan&) {
      EXPECT_TRUE(behind != model.end() && behind->first == s);
      return false;
    });
  }
}

TEST_F(Settled, AChangeOfAllIsOneWalk) {
  for (std::uint32_t i = 0; i < 5000; ++i)
    bans_.put(v4(i * 7), ban(v4(i * 7)));
  bans_.change_each([](const Source& source, SettledBan& b) {
    if (source < v4(700)) b.state = State::restoring;
    return source < v4(700);
  });
  EXPECT_EQ(bans_.to_restore(), 100U);
  EXPECT_EQ(bans_.restoring(10).back(), v4(63));
}

// A million are to cost little: the record, and a tenth of it.
TEST_F(Settled, TakesLittleMoreThanItsRecordsInWhateverOrderTheyCome) {
  for (const bool sorted : {true, false}) {
    SettledBans many(15 * 24h, 5s);
    [[maybe_unused]] const auto before = mallinfo2();
    for (std::uint32_t i = 0; i < 100'000; ++i) {
      const Source source = v4(sorted ? i : i * 2654435761U);
      many.put(source, ban(source));
    }
    EXPECT_LE(many.bytes(), 100'000U * 54) << (sorted ? "sorted" : "in no order");
#if !defined(__SANITIZE_ADDRESS__)
    const auto after = mallinfo2();
    if (after.uordblks > before.uordblks) {
      EXPECT_LE(after.uordblks + after.hblkhd - before.uordblks - before.hblkhd, 100'000U * 55);
    }
#endif
    for (std::uint32_t i = 0; i < 99'000; ++i)
      many.take(v4(sorted ? i : i * 2654435761U));
    EXPECT_LE(many.bytes(), 1000U * 54 + 2000U * 48 * 8) << "what is gone takes nothing";
  }
}

}  // namespace
}  // namespace portsentry::monitor
