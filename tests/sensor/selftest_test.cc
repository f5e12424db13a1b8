#include "sensor/selftest.h"

#include <gtest/gtest.h>

namespace portsentry::sensor {
namespace {

TEST(SensorSelftest, TheBuiltInFrameReachesTheLastStation) {
  EXPECT_EQ(test_pipeline({.low = 1, .high = 2}), TestHop::tracked);
}

}  // namespace
}  // namespace portsentry::sensor
