// The scout, and the networks that nobody is to be banned in: what the launcher does so that the right
// ones are spared.
#include <algorithm>
#include <string>

#include "common/log.h"
#include "enforcer/launcher.h"

namespace portsentry::enforcer {

void Launcher::spawn_scout() {
  if (children_.contains(RoleId::scout)) return broken("asked for a second scout");
  const auto refuse = [this](const std::string& why) {
    complain(why);
    tell({.kind = LauncherEventKind::scout_ended, .code = kExitRuntime});
  };
  auto channel_s = Channel::make_pair();
  if (!channel_s) return refuse(channel_s.error().what);
  const auto scout = spawn({.role = role(RoleId::scout),
                            .account = prepared_.scout_account,
                            .binary = prepared_.scout_binary.get(),
                            .arguments = {},
                            .descriptors = {{channel_s->second.get(), 3}}});
  if (!scout) return refuse(scout.error().what);
  children_[RoleId::scout] = *scout;
  tell({.kind = LauncherEventKind::scout_started}, channel_s->first.get());
}

void Launcher::tell_networks(const Generation& g) {
  if (!link_) return;
  const LauncherNetworks networks = networks_event(g.config.protect_networks);
  if (link_->send(std::as_bytes(std::span(&networks, 1))) == Channel::Sent::full) {
    complain("the enforcer half does not read: stopping");
    fail(kExitRuntime);
  }
}

}  // namespace portsentry::enforcer
