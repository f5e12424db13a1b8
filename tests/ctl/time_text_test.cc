#include "ctl/time_text.h"

#include <gtest/gtest.h>

namespace portsentry::ctl {
namespace {

using std::chrono::seconds;

constexpr std::time_t kNow = 1'795'000'000;  // 2026-11-18 11:06:40 UTC, and the tests run there

TEST(TimeText, SinceCountsBackFromNow) {
  EXPECT_EQ(*parse_since("90", kNow), kNow - 90);
  EXPECT_EQ(*parse_since("1h", kNow), kNow - 3600);
  EXPECT_EQ(*parse_since("2w", kNow), kNow - 14 * 86400);
  EXPECT_EQ(*parse_since("365d", 1000), 0) << "not before 1970";
}

TEST(TimeText, SinceIsADateInFourForms) {
  EXPECT_EQ(*parse_since("2026-11-18", kNow), kNow - 11 * 3600 - 6 * 60 - 40);
  EXPECT_EQ(*parse_since("2026-11-18 11:06", kNow), kNow - 40);
  EXPECT_EQ(*parse_since("2026-11-18T11:06", kNow), kNow - 40);
  EXPECT_EQ(*parse_since("2026-11-18 11:06:40", kNow), kNow);
}

TEST(TimeText, SinceRefusesWhatIsNoTimeOrNotYet) {
  for (const char* text :
       {"", "yesterday", "2026-02-30", "2026-13-01", "2026-00-10", "2026-11-18 24:00",
        "2026-11-18 11:60", "2026-11-18 11", "2026-11-18 11:06:", "2026-11-18 11:06:40 ",
        "2026-11-18x", "26-11-18", "2026/11/18", "-1h", "1969-12-31", "0000-01-01", "1h30m"}) {
    EXPECT_FALSE(parse_since(text, kNow)) << text;
  }
  EXPECT_EQ(parse_since("2026-11-18 11:06:41", kNow).error().what,
            "'2026-11-18 11:06:41' is in the future");
}

TEST(TimeText, AMomentIsADateAndATime) {
  EXPECT_EQ(moment_text(kNow), "2026-11-18 11:06:40");
  EXPECT_EQ(moment_text(0), "1970-01-01 00:00:00");
}

TEST(TimeText, ADurationHasTwoUnitsAtMost) {
  EXPECT_EQ(duration_text(seconds(0)), "0s");
  EXPECT_EQ(duration_text(seconds(-5)), "0s");
  EXPECT_EQ(duration_text(seconds(45)), "45s");
  EXPECT_EQ(duration_text(seconds(60)), "1m");
  EXPECT_EQ(duration_text(seconds(599)), "9m 59s");
  EXPECT_EQ(duration_text(seconds(3600 + 59)), "1h");
  EXPECT_EQ(duration_text(seconds(7 * 86400 - 1)), "6d 23h");
}

TEST(TimeText, WhatIsOverSaysSo) {
  EXPECT_EQ(left_text(kNow + 61, kNow), "1m 1s");
  EXPECT_EQ(left_text(kNow, kNow), "over");
}

TEST(TimeText, HopsAreMeasuredInTheUnitThatFits) {
  EXPECT_EQ(short_time_text(999), "999 us");
  EXPECT_EQ(short_time_text(1300), "1.3 ms");
  EXPECT_EQ(short_time_text(2'500'000), "2.50 s");
}

}  // namespace
}  // namespace portsentry::ctl
