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

TEST_F(Story, EventsThatTheDiskNeverTookAreToldInTheStatus) {
  serve();
  const auto told = [this] {
    const auto alarms = monitor_->status(now()).alarms;
    return std::count(alarms.begin(), alarms.end(),
                      "history has lost 12 events since the start: the disk refused for too long");
  };
  EXPECT_EQ(told(), 0);
  effects_.events_lost = 12;
  EXPECT_EQ(told(), 1);
  EXPECT_EQ(counter("history_events_lost"), 12U);
}

TEST_F(Story, TheGreatestNumbersFitAPage) {
  CounterPage page{.counters = std::vector<NamedCount>(
                       kMaxEntries, {std::string(kMaxWord, 'a'), ~std::uint64_t{0}})};
  page.more = true;
  EXPECT_TRUE(fits(page));
}

}  // namespace
}  // namespace portsentry::monitor
