#include "ctl/words.h"

#include <gtest/gtest.h>

#include "samples.h"

namespace portsentry::ctl {
namespace {

TEST(Words, FlagsAreNamedInTheOrderOfTheirBits) {
  EXPECT_EQ(flags_text({}), "none");
  EXPECT_EQ(flags_text({TcpFlags::fin | TcpFlags::psh | TcpFlags::urg}), "FIN,PSH,URG");
  EXPECT_EQ(flags_text({0xff}), "FIN,SYN,RST,PSH,ACK,URG,ECE,CWR");
}

TEST(Words, OneIsNotMany) {
  EXPECT_EQ(counted(0, "ban"), "0 bans");
  EXPECT_EQ(counted(1, "ban"), "1 ban");
  EXPECT_EQ(counted(2, "ban"), "2 bans");
}

// Programs compare with them.
TEST(Words, TheWordsOfJsonStayWhatTheyAre) {
  EXPECT_EQ(word(Backend::none), "none");
  EXPECT_EQ(word(Proof::forgeable), "forgeable");
  EXPECT_EQ(word(Protocol::udp), "udp");
  EXPECT_EQ(word(ScanKind::odd_flags), "odd_flags");
  EXPECT_EQ(word(BanStateShown::not_undone), "not_undone");
  EXPECT_EQ(word(OriginShown::recovered), "recovered");
  EXPECT_EQ(word(ProcessState::not_wanted), "not_wanted");
  EXPECT_EQ(word(Drift::drifting), "drifting");
  EXPECT_EQ(word(ScoutShown::stale), "stale");
  EXPECT_EQ(word(RefusedCode::no_match), "no_match");
  EXPECT_EQ(word(TopBy::network), "network");
}

}  // namespace
}  // namespace portsentry::ctl
