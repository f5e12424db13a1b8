#include "monitor/monitor.h"

namespace portsentry::monitor {

bool Monitor::hear(const Acquitted& /*acquitted*/, SensorRole role, Now /*now*/) {
  const SensorPhase phase = sensor(role).phase;
  return phase == SensorPhase::ready || phase == SensorPhase::handing_over;
}

}  // namespace portsentry::monitor
