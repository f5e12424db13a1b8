#include "monitor/control.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include "common/wire.h"

namespace portsentry::monitor {
namespace {

// A process has at most 65536 groups (NGROUPS_MAX), most have a handful.
constexpr std::size_t kUsualGroups = 64;
constexpr std::size_t kMostGroups = 65536;

// The seats are few and the requests small: once a second somebody looks who has left.
constexpr std::chrono::milliseconds kSweep{1000};

std::optional<ControlPeer> peer_of(int fd) {
  ucred who{};
  socklen_t size = sizeof(who);
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0) return std::nullopt;
  ControlPeer peer{.uid = who.uid, .gid = who.gid, .groups = {}};
  if (peer.uid == 0) return peer;
  for (std::size_t room = kUsualGroups;; room = kMostGroups) {
    peer.groups.resize(room);
    size = static_cast<socklen_t>(room * sizeof(gid_t));
    if (::getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, peer.groups.data(), &size) == 0) {
      peer.groups.resize(size / sizeof(gid_t));
      return peer;
    }
    if (errno != ERANGE || room == kMostGroups) return std::nullopt;
  }
}

// What the disk or the firewall has to do with.
bool is_dear(const ControlRequest& request) {
  return needed(request) == Access::change || is_one_of<HistoryAsk, TopAsk, ReportAsk>(request);
}

bool hung_up(int fd) {
  pollfd one{.fd = fd, .events = 0, .revents = 0};
  return ::poll(&one, 1, 0) == 1 && (one.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
}

}  // namespace

Access access_of(const ControlPeer& peer, const ControlGroups& groups) {
  if (peer.uid == 0) return Access::change;
  const auto member = [&](const std::optional<gid_t>& group) {
    // Root's group is no proof of anything, whatever somebody has put into it.
    return group && *group != 0 &&
           (peer.gid == *group || std::ranges::find(peer.groups, *group) != peer.groups.end());
  };
  if (member(groups.change)) return Access::change;
  return member(groups.view) ? Access::view : Access::none;
}

Control::Control(UniqueFd listening, EventLoop& loop, Asked asked, ControlGroups groups,
                 Limits limits)
    : listening_(std::move(listening)),
      loop_(loop),
      asked_(std::move(asked)),
      groups_(groups),
      limits_(limits) {
  loop_.watch(listening_.get(), [this](short) { accept_one(); });
}

std::size_t Control::watchers() const {
  return static_cast<std::size_t>(std::ranges::count_if(
      connections_, [](const auto& c) { return c.second.state == State::watching; }));
}

// ---- who comes, who goes ------------------------------------------------------------------------

void Control::accept_one() {
  UniqueFd fd(::accept4(listening_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!fd) {
    if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) return;
    // Out of descriptors or memory: the connection stays pending and poll would report it for ever.
    loop_.unwatch(listening_.get());
    loop_.after(std::chrono::seconds(1),
                [this] { loop_.watch(listening_.get(), [this](short) { accept_one(); }); });
    return;
  }
  const auto peer = peer_of(fd.get());
  const Access access = peer ? access_of(*peer, groups_) : Access::none;
  if (access == Access::none) {
    tally_.strangers += 1;
    return;
  }
  // Those that have gone leave their places first; one too many is then closed at once, rather than
  // left waiting without a word.
  if (!seat_for(peer->uid)) serve_all();
  if (!seat_for(peer->uid)) {
    tally_.no_seat += 1;
    return;
  }
  const int number = fd.get();
  const auto [entry, fresh] =
      connections_.emplace(number, Connection{.channel = Channel(std::move(fd)),
                                              .serial = next_serial_++,
                                              .uid = peer->uid,
                                              .access = access,
                                              .since = Clock::now(),
                                              .paid_until = Clock::time_point::min(),
                                              .unread = {}});
  set_state(entry, State::waiting);
  sweep_soon();
}

bool Control::seat_for(uid_t uid) const {
  std::size_t own = 0;
  std::size_t others = 0;
  for (const auto& [fd, connection] : connections_) {
    own += connection.uid == uid ? 1 : 0;
    others += connection.uid != 0 ? 1 : 0;
  }
  return uid == 0 ? own < limits_.root : own < limits_.each && others < limits_.others;
}

void Control::serve_all() {
  std::vector<int> all;
  for (const auto& [fd, connection] : connections_)
    all.push_back(fd);
  for (const int fd : all) {
    const auto found = connections_.find(fd);
    if (found == connections_.end()) continue;
    if (found->second.state == State::waiting) {
      serve(fd);
    } else if (hung_up(fd)) {
      close(fd);
    }
  }
}

void Control::close(int fd) {
  loop_.unwatch(fd);
  connections_.erase(fd);
}

// ---- requests -----------------------------------------------------------------------------------

void Control::set_state(Entry entry, State state) {
  const int fd = entry->first;
  entry->second.state = state;
  entry->second.since = Clock::now();
  switch (state) {
    case State::waiting:
      loop_.watch(fd, [this, fd](short) { serve(fd); });
      return;
    case State::paused:
    case State::asked:
      // Its next request stays where it is; that it has gone is seen all the same.
      loop_.watch(
          fd, [this, fd](short) { only_hang_up(fd); }, 0);
      return;
    case State::watching:
      tell(entry);
      return;
  }
}

void Control::only_hang_up(int fd) {
  // Asked again: what poll(2) saw may have been a connection that had this number before.
  if (connections_.contains(fd) && hung_up(fd)) close(fd);
}

void Control::serve(int fd) {
  const auto found = connections_.find(fd);
  if (found == connections_.end()) return;
  if (must_wait(found->second)) return hung_up(fd) ? close(fd) : pause(found, rest_until_);
  const Channel::Received received = found->second.channel.receive();
  switch (received.got) {
    case Channel::Got::nothing:
      return;
    case Channel::Got::closed:
      return close(fd);
    case Channel::Got::malformed:
      tally_.malformed += 1;
      return close(fd);
    case Channel::Got::message:
      break;
  }
  const auto request = decode_control_request(received.bytes, received.fd ? 1 : 0);
  // Who watches only listens: a second request there is one too many.
  if (!request || found->second.state == State::watching) {
    tally_.malformed += 1;
    return close(fd);
  }
  ask(found, *request);
}

void Control::ask(Entry entry, const ControlRequest& request) {
  Connection& connection = entry->second;
  const int fd = entry->first;
  const std::uint64_t serial = connection.serial;
  pay(connection, request);
  set_state(entry, State::asked);
  if (needed(request) > connection.access) {
    tally_.not_permitted += 1;
    return reply(fd, serial,
                 Refused{RefusedCode::not_permitted,
                         "only root and members of group portsentry-admin may ask for that"});
  }
  if (std::holds_alternative<WatchAsk>(request)) {
    if (connection.channel.send(encode(ControlReply(Watching{}))) != Channel::Sent::ok)
      return close(fd);
    return set_state(entry, State::watching);
  }
  const bool by_root = connection.uid == 0;
  const auto began = Clock::now();
  asked_(request, connection.uid,
         [this, fd, serial](const ControlReply& answer) { reply(fd, serial, answer); });
  const auto ended = Clock::now();
  if (!by_root && ended - began >= kLong) rest_until_ = ended + kRest * (ended - began);
}

void Control::reply(int fd, std::uint64_t serial, const ControlReply& reply) {
  const auto found = connections_.find(fd);
  if (found == connections_.end() || found->second.serial != serial) return;
  // A peer that asks and does not read its answers is closed rather than waited for.
  if (found->second.channel.send(encode(reply)) != Channel::Sent::ok) return close(fd);
  next_request(found);
}

// Not before what it has asked for so far is paid.
void Control::next_request(Entry entry) {
  Connection& connection = entry->second;
  const unsigned rate = connection.uid == 0 ? limits_.root_rate : limits_.rate;
  const auto ahead = std::chrono::nanoseconds(std::chrono::seconds(1)) / rate * limits_.burst;
  const auto now = Clock::now();
  if (connection.paid_until <= now + ahead) return set_state(entry, State::waiting);
  pause(entry, connection.paid_until - ahead);
}

bool Control::must_wait(const Connection& connection) const {
  return connection.state == State::waiting && connection.uid != 0 && Clock::now() < rest_until_;
}

void Control::pause(Entry entry, Clock::time_point until) {
  set_state(entry, State::paused);
  loop_.after(until - Clock::now(), [this, fd = entry->first, serial = entry->second.serial] {
    const auto found = connections_.find(fd);
    if (found == connections_.end() || found->second.serial != serial) return;
    if (found->second.state == State::paused) set_state(found, State::waiting);
  });
}

void Control::pay(Connection& connection, const ControlRequest& request) const {
  const unsigned rate = connection.uid == 0 ? limits_.root_rate : limits_.rate;
  const auto price = std::chrono::nanoseconds(std::chrono::seconds(1)) / rate;
  connection.paid_until =
      std::max(connection.paid_until, Clock::now()) + price * (is_dear(request) ? kDear : 1);
}

// ---- watchers -----------------------------------------------------------------------------------

void Control::happened(const EventShown& event) {
  std::vector<int> watching;
  for (const auto& [fd, connection] : connections_) {
    if (connection.state == State::watching) watching.push_back(fd);
  }
  for (const int fd : watching) {
    const auto entry = connections_.find(fd);
    if (entry == connections_.end()) continue;
    Connection& watcher = entry->second;
    if (watcher.unread.size() >= limits_.queue) {
      watcher.missed += 1;
      tally_.events_missed += 1;
      continue;
    }
    if (watcher.unread.empty()) watcher.since = Clock::now();
    watcher.unread.push_back(event);
    // More than one: the channel is full, and its handler is waiting for room.
    if (watcher.unread.size() == 1) tell(entry);
  }
}

// False: it is gone.
bool Control::drain(Connection& watcher) {
  const auto send = [&](const ControlReply& reply) { return watcher.channel.send(encode(reply)); };
  while (!watcher.unread.empty()) {
    const Channel::Sent sent = send(Watched{watcher.unread.front()});
    if (sent == Channel::Sent::closed) return false;
    if (sent == Channel::Sent::full) return true;
    watcher.since = Clock::now();
    watcher.unread.pop_front();
  }
  // What was missed came after all that waited.
  if (watcher.missed > 0) {
    const Channel::Sent sent = send(Missed{watcher.missed});
    if (sent == Channel::Sent::closed) return false;
    if (sent == Channel::Sent::ok) watcher.missed = 0;
  }
  return true;
}

void Control::tell(Entry entry) {
  const int fd = entry->first;
  if (!drain(entry->second)) return close(fd);
  const bool more = !entry->second.unread.empty() || entry->second.missed > 0;
  loop_.watch(
      fd,
      [this, fd](short revents) {
        if ((revents & ~POLLOUT) != 0) serve(fd);
        const auto found = connections_.find(fd);
        if (found != connections_.end() && found->second.state == State::watching) tell(found);
      },
      more ? POLLIN | POLLOUT : POLLIN);
}

// ---- time ---------------------------------------------------------------------------------------

void Control::sweep_soon() {
  if (std::exchange(sweeping_, true)) return;
  loop_.after(std::min<Clock::duration>({kSweep, limits_.idle, limits_.working, limits_.unread}),
              [this] {
                sweeping_ = false;
                sweep();
              });
}

void Control::sweep() {
  const auto now = Clock::now();
  std::vector<int> over;
  for (auto& [fd, connection] : connections_) {
    const auto passed = now - connection.since;
    switch (connection.state) {
      case State::waiting:
        if (passed >= limits_.idle) over.push_back(fd);
        break;
      case State::paused:
        break;
      case State::asked:
        if (passed < limits_.working) break;
        connection.since = now;
        if (connection.channel.send(encode(ControlReply(Working{}))) != Channel::Sent::ok)
          over.push_back(fd);
        break;
      case State::watching:
        if (!connection.unread.empty() && passed >= limits_.unread) over.push_back(fd);
        break;
    }
  }
  tally_.silent += over.size();
  for (const int fd : over)
    close(fd);
  if (!connections_.empty()) sweep_soon();
}

}  // namespace portsentry::monitor
