// Host names, with RESOLVE_HOST="1": for people to read. A line may wait two seconds for one; what is
// done never waits.
#include <utility>

#include "monitor/monitor.h"

namespace portsentry::monitor {

void Monitor::log_named(const Source& source, const Address& address, const Named& text, Now now) {
  const auto lines = static_cast<unsigned>(text({}).size());
  if (lines == 0 || !budget_.allow(source, lines, now)) return;
  with_name(
      address,
      [this, text](std::string_view host) {
        for (const std::string& line : text(host))
          effects_.log(line);
      },
      now);
}

void Monitor::with_name(const Address& address, LineQueue::Tell then, Now now) {
  if (!setup_.config.resolve_host) return queue_.tell(std::move(then));
  using State = ResolverClient::Lookup::State;
  const ResolverClient::Lookup lookup = resolver_.look_up(address, now);
  const bool asked =
      !lookup.ask || effects_.to_resolver(Resolve{.id = *lookup.ask, .address = address});
  if (!asked) resolver_.withdraw(*lookup.ask);
  if (lookup.state == State::asked && asked) {
    return queue_.tell_when_named(address, std::move(then), now);
  }
  queue_.tell([host = lookup.host, then = std::move(then)](std::string_view) { then(host); });
}

bool Monitor::on(const ResolverChannel&, Now) {
  resolver_.connected();
  return true;
}

bool Monitor::on(const ResolverLost&, Now) {
  resolver_gone();
  say(lines_.resolver_lost());
  return true;
}

void Monitor::resolver_gone() {
  resolver_.lost();
  queue_.flush();
}

// An id that nobody waits for any more is an answer that came late, and no mistake.
bool Monitor::on_resolver(const ResolverToMonitor& message, Now now) {
  const auto& name = std::get<HostName>(message);
  if (const auto named = resolver_.answer(name.id, name.text, now)) {
    queue_.named(named->address, named->host);
  }
  return true;
}

}  // namespace portsentry::monitor
