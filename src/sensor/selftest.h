// "Does the sensor see?", asked by an administrator (portsentryctl selftest): a frame that is built
// in goes the way that every probe goes. What it leaves behind is thrown away: nobody is suspected
// for it. Pure.
#pragma once

#include "common/messages.h"
#include "sensor/keyed_hash.h"

namespace portsentry::sensor {

// The last station that it reached; less than `tracked` is a defect of this build.
[[nodiscard]] TestHop test_pipeline(const HashKey& seed);

}  // namespace portsentry::sensor
