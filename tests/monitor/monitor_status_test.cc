#include <gtest/gtest.h>

#include "common/channel.h"
#include "common/wire.h"
#include "monitor/monitor.h"
#include "story.h"

namespace portsentry::monitor {
namespace {

TEST_F(Story, TheStatusIsOneMessageThatItsReaderUnderstands) {
  serve();
  const StatusReply status = monitor_->status();
  EXPECT_TRUE(decode_control_reply(encode(ControlReply(status)), 0));
  EXPECT_EQ(status.backend, Backend::nftables);
  EXPECT_TRUE(status.armed);
  EXPECT_EQ(status.file_tcp, 1U);
  EXPECT_FALSE(status.override_mode);
  EXPECT_EQ(counter("log_lines_lost"), 3U);
}

TEST_F(Story, TheGreatestNumbersFitAPage) {
  CounterPage page{.counters = std::vector<NamedCount>(
                       kMaxEntries, {std::string(kMaxWord, 'a'), ~std::uint64_t{0}})};
  page.more = true;
  EXPECT_TRUE(fits(page));
}

}  // namespace
}  // namespace portsentry::monitor
