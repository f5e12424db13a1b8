#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/wire.h"
#include "monitor/monitor.h"
#include "story.h"

namespace portsentry::monitor {
namespace {

TEST_F(Story, EveryCounterIsToldPageByPage) {
  serve();
  const std::vector<NamedCount> all = monitor_->counters();
  ASSERT_GT(all.size(), 48U) << "or there is nothing to turn over";
  std::vector<std::string> told;
  for (bool more = true; more;) {
    monitor_->on_control(
        CountersAsk{static_cast<std::uint32_t>(told.size())},
        [&](const ControlReply& reply) {
          ASSERT_TRUE(decode_control_reply(encode(reply), 0));
          const auto& page = std::get<CounterPage>(reply);
          for (const NamedCount& c : page.counters)
            told.push_back(c.name);
          more = page.more;
        },
        now());
  }
  ASSERT_EQ(told.size(), all.size());
  for (std::size_t i = 0; i < all.size(); ++i)
    EXPECT_EQ(told.at(i), all.at(i).name);
}

}  // namespace
}  // namespace portsentry::monitor
