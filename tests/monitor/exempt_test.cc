#include "monitor/exempt.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "common/messages.h"

namespace portsentry::monitor {
namespace {

class ExemptTest : public testing::Test {
 protected:
  [[nodiscard]] std::vector<Prefix> networks() const {
    return exempt_networks({local_, scouted_, protect_, true}, ignored_, allowed_, now_);
  }
  [[nodiscard]] bool spares(std::string_view text) const {
    return std::ranges::count(networks(), *Prefix::parse(text)) == 1;
  }
  void ignore(std::string_view text) { ignored_ = *read_ignore_list(text, "ignore").list; }

  LocalView local_;
  Scouted scouted_;
  std::vector<Prefix> protect_;
  IgnoreList ignored_;
  AllowList allowed_;
  Now now_{Clock::time_point(std::chrono::hours(1)), 1'756'178'490};
};

TEST_F(ExemptTest, LinesAboutHostsCountAndThoseAboutProbesDoNot) {
  ignore("203.0.113.0/24\n198.51.100.7 port 23\n198.51.100.8 proto udp\n198.51.100.9 iface eth0\n");
  EXPECT_TRUE(spares("203.0.113.0/24"));
  for (const char* const host : {"198.51.100.7", "198.51.100.8", "198.51.100.9"})
    EXPECT_FALSE(spares(host)) << host;
}

TEST_F(ExemptTest, ALineThatIsOverIsNoReason) {
  ignore("198.51.100.7 until 2025-08-25\n198.51.100.8 until 2025-08-27\n");
  EXPECT_FALSE(spares("198.51.100.7"));
  EXPECT_TRUE(spares("198.51.100.8"));
}

TEST_F(ExemptTest, WhoIsAllowedOrProtectedIsAmongThemOnce) {
  protect_ = {*Prefix::parse("198.51.100.0/24")};
  ignore("198.51.100.0/24\n");
  allowed_.put({.prefix = *Prefix::parse("2001:db8::/32"), .since = now_.wall}, now_);
  EXPECT_TRUE(spares("198.51.100.0/24"));
  EXPECT_TRUE(spares("2001:db8::/32"));
  EXPECT_TRUE(std::ranges::is_sorted(networks()));
}

TEST_F(ExemptTest, AListBeyondAllMeasureIsCut) {
  std::string text;
  for (unsigned n = 0; n < kMaxExemptAll + 10; ++n)
    text += "10." + std::to_string(n >> 16U) + "." + std::to_string((n >> 8U) & 255U) + "." +
            std::to_string(n & 255U) + "\n";
  ignore(text);
  EXPECT_EQ(networks().size(), kMaxExemptAll);
}

}  // namespace
}  // namespace portsentry::monitor
