// The scout, which only tells the monitor whom to spare: here it is started again when it ends. And the
// networks of PROTECT_NETWORKS, by which root judges for itself.
#include <cstring>
#include <utility>

#include "common/log.h"
#include "enforcer/enforcer.h"

namespace portsentry::enforcer {

void Enforcer::start_scout() {
  scout_since_ = Clock::now();
  ask(LauncherOp::spawn_scout);
}

void Enforcer::scout_started(int channel) {
  if (channel < 0) fatal("the launcher started a scout without a channel: stopping");
  tell(ScoutChannel{}, channel);
}

void Enforcer::scout_ended() {
  tell(ScoutLost{});
  parts_.loop.after(scout_backoff_.next(Clock::now() - scout_since_), [this] { start_scout(); });
}

void Enforcer::networks_told(Bytes bytes) {
  LauncherNetworks told{};
  std::memcpy(&told, bytes.data(), sizeof told);
  auto networks = networks_of(told);
  if (!networks) fatal("the launcher told of impossible networks: stopping");
  networks_ = std::move(*networks);
}

}  // namespace portsentry::enforcer
