#include <gtest/gtest.h>

#include "common/channel.h"
#include "common/wire.h"
#include "monitor/monitor.h"
#include "story.h"

namespace portsentry::monitor {
namespace {

TEST_F(Story, TheStatusFitsItsMessage) {
  serve();
  const StatusReply status = monitor_->status();
  EXPECT_LE(status.counters.size(), 96U);
  StatusReply greatest = status;
  for (NamedCount& c : greatest.counters)
    c.value = ~std::uint64_t{0};
  const auto bytes = encode(ControlReply(greatest));
  EXPECT_LE(bytes.size(), kMaxMessage);
  EXPECT_TRUE(decode_control_reply(bytes, 0));
  EXPECT_EQ(status.firewall, "nftables");
  EXPECT_FALSE(status.observing);
  EXPECT_EQ(counter("log_lines_lost"), 3U);
  for (const NamedCount& c : status.counters)
    EXPECT_LE(c.name.size(), 40U) << c.name;
}

}  // namespace
}  // namespace portsentry::monitor
