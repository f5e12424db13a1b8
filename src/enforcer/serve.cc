// The enforcer process, read aloud.
#include <fcntl.h>
#include <linux/capability.h>

#include <array>

#include "common/lockdown.h"
#include "common/log.h"
#include "common/rtnetlink.h"
#include "enforcer/descriptors.h"
#include "enforcer/enforcer.h"
#include "enforcer/nft.h"
#include "enforcer/policy.h"

namespace portsentry::enforcer {
namespace {

constexpr std::array kKeptCapabilities{CAP_NET_ADMIN};

template <class T>
T require(Result<T> result) {
  if (!result) fatal(result.error().what);
  return std::move(result).value();
}

void require(const Result<void>& result) {
  if (!result) fatal(result.error().what);
}

}  // namespace

int serve_enforcer(Backend backend, bool resolver) {
  set_log_name("portsentryd: enforcer");
  if (!Channel::is_one(kChannelA) || !Channel::is_one(kLauncherLink)) {
    fatal("--enforcer is for portsentryd itself, not for people", kExitUsage);
  }
  Channel monitor{UniqueFd(kChannelA)};
  Channel launcher{UniqueFd(kLauncherLink)};

  // Always, where the kernel has nf_tables: a reload may arm a daemon that only observed.
  std::optional<Nft> nft;
  std::optional<NftEvents> events;
  if (auto opened = Nft::open(); opened || backend == Backend::nftables) {
    nft.emplace(require(std::move(opened)));
    require(nft->move_to(kNftRequests));
    events.emplace(require(NftEvents::open(nft->port_id())));
    require(events->move_to(kNftEvents));
  }
  Rtnetlink routes = require(Rtnetlink::open());
  require(routes.move_to(kRoutes));

  undumpable();
  drop_capabilities(kKeptCapabilities);
  seal(kPolicy);

  const auto follow = [&routes] {
    if (const auto read = routes.refresh(); !read)
      fatal("this host's addresses cannot be followed: " + read.error().what);
  };

  EventLoop loop;
  Enforcer enforcer({.loop = loop,
                     .monitor = monitor,
                     .launcher = launcher,
                     .firewall = nft ? &*nft : nullptr,
                     .backend = backend,
                     .resolver = resolver,
                     .view = [&]() -> const LocalView* {
                       // Each judgement knows what the kernel has told until now: the monitor
                       // cannot keep us too busy to hear of a new address or gateway.
                       follow();
                       // A view that may be wrong is worse than none.
                       return routes.current() ? &routes.view() : nullptr;
                     },
                     .table_events = events ? events->fd() : -1,
                     .table_touched =
                         [&events](unsigned expected) {
                           const auto touched = events->our_table_touched(expected);
                           if (!touched)
                             fatal("changes of nf_tables cannot be followed: " +
                                   touched.error().what);
                           return *touched;
                         },
                     .lifted = [&events] { return events->lifted(); }});
  loop.watch(monitor.fd(), [&](short) { enforcer.on_monitor(); });
  loop.watch(launcher.fd(), [&](short) { enforcer.on_launcher(); });
  loop.watch(routes.fd(), [&](short) { follow(); });
  return loop.run();
}

}  // namespace portsentry::enforcer
