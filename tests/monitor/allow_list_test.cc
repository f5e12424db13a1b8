#include "monitor/allow_list.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace portsentry::monitor {
namespace {

constexpr std::time_t kWall = 1'700'000'000;

Prefix net(std::string_view text) {
  return *Prefix::parse(text);
}
Now at(int seconds, std::time_t wall_step = 0) {
  return {Clock::time_point{} + std::chrono::hours(1000) + std::chrono::seconds(seconds),
          kWall + seconds + wall_step};
}
Allowed entry(std::string_view prefix, std::optional<std::time_t> lasts = std::nullopt) {
  return {.prefix = net(prefix),
          .until = lasts ? std::optional(kWall + *lasts) : std::nullopt,
          .since = kWall};
}
std::vector<std::string> all(const AllowList& list,
                             const std::optional<Prefix>& after = std::nullopt) {
  std::vector<std::string> out;
  list.each_after(after, [&](const Allowed& a) {
    out.push_back(a.prefix.text());
    return true;
  });
  return out;
}

TEST(AllowList, AnEntryCoversWhatIsInsideAndStandsInTheWayOfWhatIsAround) {
  AllowList list;
  list.put(entry("192.0.2.0/24"), at(0));
  list.put(entry("2001:db8::7"), at(0));
  EXPECT_NE(list.overlap(net("192.0.2.9")), nullptr);
  EXPECT_NE(list.overlap(net("192.0.0.0/16")), nullptr);
  EXPECT_NE(list.overlap(net("2001:db8::/64")), nullptr) << "it holds an allowed host";
  EXPECT_NE(list.overlap(net("2001:db8::7")), nullptr);
  EXPECT_EQ(list.overlap(net("2001:db8::8")), nullptr);
  EXPECT_EQ(list.overlap(net("192.0.3.0")), nullptr);
  EXPECT_EQ(list.overlap(net("192.0.1.255")), nullptr);
}

TEST(AllowList, FamiliesWhoseBytesLookAlikeAreApart) {
  AllowList list;
  list.put(entry("32.1.13.184"), at(0));  // 2001:0db8 in IPv4's clothes
  EXPECT_EQ(list.overlap(net("2001:db8::/32")), nullptr);
  list.put(entry("2001:db8::/32"), at(0));
  EXPECT_TRUE(list.remove(net("32.1.13.184")));
  EXPECT_EQ(list.overlap(net("32.1.13.184")), nullptr);
}

TEST(AllowList, TheSmallestAndTheLargestPrefixesWork) {
  AllowList list;
  list.put(entry("255.255.255.255"), at(0));
  EXPECT_NE(list.overlap(net("0.0.0.0/0")), nullptr);
  EXPECT_EQ(list.overlap(net("255.255.255.254")), nullptr);
  list.put(entry("::/0"), at(0));
  EXPECT_NE(list.overlap(net("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")), nullptr);
}

TEST(AllowList, AnEntryEndsOnTimeAndIsToldOnce) {
  AllowList list;
  list.put(entry("192.0.2.1", 60), at(0));
  list.put(entry("192.0.2.2"), at(0));
  EXPECT_EQ(list.next_due(), at(60).steady);
  EXPECT_TRUE(list.expire(at(59)).empty());
  const auto over = list.expire(at(60));
  ASSERT_EQ(over.size(), 1U);
  EXPECT_EQ(over.at(0).prefix, net("192.0.2.1"));
  EXPECT_TRUE(list.expire(at(61)).empty());
  EXPECT_FALSE(list.next_due());
  EXPECT_EQ(list.size(), 1U);
}

TEST(AllowList, ChangingAnEntryMovesItsEnd) {
  AllowList list;
  EXPECT_EQ(list.put(entry("192.0.2.1", 60), at(0)), AllowList::Put::added);
  EXPECT_EQ(list.put(entry("192.0.2.1", 600), at(0)), AllowList::Put::changed);
  EXPECT_TRUE(list.expire(at(60)).empty());
  EXPECT_EQ(list.put(entry("192.0.2.1"), at(0)), AllowList::Put::changed);
  EXPECT_TRUE(list.expire(at(1'000'000)).empty()) << "it has no end any more";
  EXPECT_FALSE(list.next_due());
}

TEST(AllowList, AClockThatWasSetBackMakesNothingLastLonger) {
  AllowList list;
  // Granted for a minute; the wall clock now says that this was a year away.
  list.put(entry("192.0.2.1", 60), at(0, -365 * 24 * 3600));
  EXPECT_EQ(list.expire(at(60)).size(), 1U);
  list.put(entry("192.0.2.1", 60), at(0, 3600));
  EXPECT_EQ(list.expire(at(0)).size(), 1U) << "its time passed while nobody was there";
}

TEST(AllowList, PagesGoOnWhereTheLastOneEnded) {
  AllowList list;
  for (const char* prefix : {"2001:db8::/32", "10.0.0.0/8", "::1", "10.0.0.0/16", "192.0.2.1"})
    list.put(entry(prefix), at(0));
  const std::vector<std::string> want{"10.0.0.0/8", "10.0.0.0/16", "192.0.2.1", "::1",
                                      "2001:db8::/32"};
  EXPECT_EQ(all(list), want);
  for (std::size_t i = 0; i < want.size(); ++i) {
    EXPECT_EQ(
        all(list, net(want.at(i))),
        (std::vector<std::string>{want.begin() + static_cast<std::ptrdiff_t>(i) + 1, want.end()}));
  }
  EXPECT_EQ(all(list, net("10.0.0.1")), (std::vector<std::string>{want.begin() + 2, want.end()}))
      << "one that was removed meanwhile";
}

TEST(AllowList, AFullListTakesNoMoreButChangesWhatIsThere) {
  AllowList list;
  for (std::size_t i = 0; i < AllowList::kMaxEntries; ++i) {
    const auto host =
        Address::v4(10, 0, static_cast<std::uint8_t>(i >> 8U), static_cast<std::uint8_t>(i & 255U));
    ASSERT_EQ(list.put({.prefix = Prefix::host(host), .until = {}, .since = kWall}, at(0)),
              AllowList::Put::added);
  }
  EXPECT_EQ(list.put(entry("192.0.2.1"), at(0)), AllowList::Put::full);
  EXPECT_EQ(list.put(entry("10.0.0.7", 60), at(0)), AllowList::Put::changed);
  EXPECT_TRUE(list.remove(net("10.0.0.8")));
  EXPECT_EQ(list.put(entry("192.0.2.1"), at(0)), AllowList::Put::added);
  EXPECT_FALSE(list.remove(net("10.0.0.8")));
}

}  // namespace
}  // namespace portsentry::monitor
