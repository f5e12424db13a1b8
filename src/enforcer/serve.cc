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
#include "enforcer/nft_audit.h"
#include "enforcer/nft_events.h"
#include "enforcer/policy.h"
#include "enforcer/sessions.h"

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

  // Always, where the kernel has nf_tables: somebody may arm a daemon that only observed.
  std::optional<Nft> nft;
  std::optional<NftEvents> events;
  std::optional<NftAudit> audit;
  if (auto opened = Nft::open()) {
    nft.emplace(std::move(opened).value());
    require(nft->move_to(kNftRequests));
    events.emplace(require(NftEvents::open(nft->port_id())));
    require(events->move_to(kNftEvents));
    audit.emplace(require(NftAudit::open()));
    require(audit->move_to(kNftAudit));
  }
  std::optional<SessionLookup> lookup;
  if (auto opened = SessionLookup::open()) {
    lookup.emplace(std::move(opened).value());
    require(lookup->move_to(kSessions));
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

  std::function<Result<std::vector<Session>>(const Source&, const PortSet&)> sessions;
  if (lookup)
    sessions = [&lookup](const Source& s, const PortSet& ports) { return lookup->list(s, ports); };

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
                     .lifted = [&events] { return events->lifted(); },
                     .audit = audit ? &*audit : nullptr,
                     .sessions = sessions});
  loop.watch(monitor.fd(), [&](short) { enforcer.on_monitor(); });
  loop.watch(launcher.fd(), [&](short) { enforcer.on_launcher(); });
  loop.watch(routes.fd(), [&](short) {
    follow();
    enforcer.local_view_changed();
  });
  // Whom root's configuration spares is told before anybody can ask for a ban.
  enforcer.on_launcher();
  const int status = loop.run();
  enforcer.farewell();
  return status;
}

}  // namespace portsentry::enforcer
