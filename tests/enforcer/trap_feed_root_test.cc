#include "enforcer/trap_feed.h"

#include <cerrno>

#include "tests/enforcer/firewall_lab.h"

namespace portsentry::enforcer {
namespace {

TEST(TrapFeed, AGroupBelongsToWhoHasItUntilItsLastDescriptorCloses) {
  const auto here = NetworkNamespace::make();
  ASSERT_TRUE(here);
  const NetworkNamespace::Visit visit(*here);
  auto first = open_trap_feed(7100);
  ASSERT_TRUE(first) << first.error().what;
  const auto second = open_trap_feed(7100);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, EPERM);
  EXPECT_TRUE(open_trap_feed(7101)) << "another group";
  UniqueFd kept(dup(first->get()));
  first->reset();
  EXPECT_FALSE(open_trap_feed(7100)) << "the duplicate holds it";
  kept.reset();
  EXPECT_TRUE(open_trap_feed(7100));
}

}  // namespace
}  // namespace portsentry::enforcer
