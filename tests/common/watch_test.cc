#include "common/watch.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "common/config.h"

namespace portsentry {
namespace {

Port port(std::uint32_t number) {
  return *Port::make(number);
}

Config watching(WatchMode tcp, WatchMode udp) {
  Config config;
  config.tcp_mode = tcp;
  config.udp_mode = udp;
  config.ports.tcp.add(port(11));
  config.ports.tcp.add(port(40000));
  config.ports.udp.add(port(69));
  config.advanced_exclude_tcp.add(port(113));
  return config;
}

TEST(WatchOrders, StealthModeCapturesTheListAndOpensNothing) {
  const Config config = watching(WatchMode::stealth, WatchMode::stealth);
  const WatchOrders orders = watch_orders(config);
  EXPECT_EQ(orders.capture, config.ports);
  EXPECT_TRUE(orders.bind.empty());
}

TEST(WatchOrders, BindModeOpensTheListAndCapturesNothing) {
  const Config config = watching(WatchMode::bind, WatchMode::bind);
  const WatchOrders orders = watch_orders(config);
  EXPECT_EQ(orders.bind, config.ports);
  EXPECT_TRUE(orders.capture.empty());
}

TEST(WatchOrders, AdvancedModeCapturesEverythingBelowTheNumberWithoutTheExcludedPorts) {
  const WatchOrders orders = watch_orders(watching(WatchMode::advanced, WatchMode::advanced));
  EXPECT_EQ(orders.capture.tcp.size(), 1022U);
  EXPECT_EQ(orders.capture.udp.size(), 1023U);
  EXPECT_TRUE(orders.capture.tcp.contains(port(1)));
  EXPECT_TRUE(orders.capture.tcp.contains(port(1023)));
  EXPECT_FALSE(orders.capture.tcp.contains(port(1024)));
  EXPECT_FALSE(orders.capture.tcp.contains(port(113)));
  EXPECT_TRUE(orders.capture.udp.contains(port(113)));
  EXPECT_TRUE(orders.bind.empty());
}

TEST(WatchOrders, TheAdvancedNumberReachesFromNoPortToAllPorts) {
  Config config = watching(WatchMode::advanced, WatchMode::none);
  config.advanced_ports_tcp = 65536;
  EXPECT_EQ(config.watched_capture().tcp.size(), 65534U) << "all but the excluded one";
  config.advanced_ports_tcp = 1;
  EXPECT_TRUE(config.watched_capture().tcp.empty());
  config.advanced_ports_tcp = 0;
  EXPECT_TRUE(config.watched_capture().tcp.empty());
}

TEST(WatchOrders, EachProtocolHasItsOwnMode) {
  const Config config = watching(WatchMode::bind, WatchMode::stealth);
  const WatchOrders orders = watch_orders(config);
  EXPECT_EQ(orders.bind.tcp, config.ports.tcp);
  EXPECT_TRUE(orders.bind.udp.empty());
  EXPECT_TRUE(orders.capture.tcp.empty());
  EXPECT_EQ(orders.capture.udp, config.ports.udp);
  const WatchOrders none = watch_orders(watching(WatchMode::none, WatchMode::none));
  EXPECT_TRUE(none.capture.empty() && none.bind.empty());
}

TEST(WatchOrders, TheBannerArrivesAsWrittenAndIsCutAtItsLimit) {
  Config config = watching(WatchMode::bind, WatchMode::none);
  EXPECT_EQ(watch_orders(config).banner_text(), "");
  config.port_banner = "** UNAUTHORIZED ** ";
  EXPECT_EQ(watch_orders(config).banner_text(), config.port_banner);
  config.port_banner.assign(5000, 'b');
  EXPECT_EQ(watch_orders(config).banner_text(), std::string(kMaxBanner, 'b'));
  WatchOrders forged;
  forged.banner_size = 65535;
  EXPECT_EQ(forged.banner_text().size(), kMaxBanner);
}

TEST(WatchOrders, EqualConfigurationsMakeEqualBytes) {
  const WatchOrders a = watch_orders(watching(WatchMode::bind, WatchMode::stealth));
  WatchOrders b = watch_orders(watching(WatchMode::bind, WatchMode::stealth));
  EXPECT_EQ(std::memcmp(&a, &b, sizeof(a)), 0);
  const WatchOrders elsewhere =
      watch_orders(watching(WatchMode::bind, WatchMode::stealth), {.first = 20000, .last = 30000});
  EXPECT_NE(elsewhere, a) << "a reload on a host whose range has changed";
  b.bind.tcp.remove(port(11));
  EXPECT_NE(std::memcmp(&a, &b, sizeof(a)), 0);
}

}  // namespace
}  // namespace portsentry
