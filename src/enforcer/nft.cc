#include "enforcer/nft.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <utility>

#include "common/messages.h"

namespace portsentry::enforcer {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr auto kAnswerTime = seconds(1);
// A million elements take about a second.
constexpr auto kListTime = seconds(10);
constexpr int kListAttempts = 5;
// An element may expire between two looks at it; three times in a row it does not.
constexpr int kTries = 3;

// How far a ban that is restored may be from what it should be, and stay as it is. The monitor
// counts in whole seconds, and takes a moment to ask.
constexpr milliseconds kCloseEnough{3000};

// How far from what was asked for the kernel may show a fresh element. It counts in ticks, at worst
// of 10 ms, and a busy machine may take its time before we look.
constexpr milliseconds kTick{100};
constexpr milliseconds kSlowest{2000};

// Reserved for documentation (RFC 5737), so nobody's.
constexpr std::array<std::byte, 4> kNobody{std::byte{192}, std::byte{0}, std::byte{2},
                                           std::byte{1}};
constexpr std::string_view kSelftest = "selftest";
constexpr seconds kSelftestTime{10};

Error no_memory() {
  return Error::from_errno("build a netlink request", ENOMEM);
}

Error within(const Error& error, const std::string& attempt) {
  return Error{attempt + ": " + error.what, error.code};
}

std::string in_set(std::string_view attempt, const Source& source, std::string_view set) {
  return std::string(attempt) + ' ' + source.text() + " in set inet " + std::string(kTable) + ' ' +
         std::string(set);
}

// The element that is the ban of `source`; of the other kind than `duration` says with `other`.
Element element_of(const Source& source, seconds duration, bool other = false) {
  const bool permanent = (duration.count() == 0) != other;
  Element element{set_of(source, permanent), ElementKey(source.prefix().address()), std::nullopt};
  if (duration.count() != 0) element.timeout = duration;
  return element;
}

bool bad_duration(seconds duration) {
  return duration.count() < 0 || duration > kMaxBan;
}

Error refuse_duration(const Source& source) {
  return Error::from_errno("ban " + source.text() + " for less than nothing or above a year",
                           EINVAL);
}

}  // namespace

Result<Nft> Nft::open() {
  auto socket = NetlinkSocket::open(NETLINK_NETFILTER, 0);
  if (!socket) return socket.error();
  // A transaction is one datagram: exempt()'s needs the room.
  constexpr int kSendBuffer = 2 << 20;
  if (setsockopt(socket->fd(), SOL_SOCKET, SO_SNDBUFFORCE, &kSendBuffer, sizeof kSendBuffer) != 0)
    return Error::from_errno("setsockopt(SO_SNDBUFFORCE)", errno);
  return Nft(std::move(socket).value());
}

// All steps or none, and success only when the kernel says that they are in force.
//
// nf_tables first goes through a whole batch, then commits or discards it, and only then sends its
// answers, in order: an error for every message that failed, and a 0 for each that asked for one,
// even where another message made it discard everything. So the 0 for our last step is a yes
// exactly when no error with one of our numbers came before it.
Result<void> Nft::commit(std::span<const Step> steps, NftRequest& request) {
  const std::uint32_t first = ++sequence_;
  request.clear();
  bool fits = request.begin_batch(first);
  for (const Step& step : steps) {
    const int ack = &step == &steps.back() ? NLM_F_ACK : 0;
    if (!step.emptied.empty()) {
      fits = fits && request.empty_set(step.emptied, ack, ++sequence_);
    } else {
      fits = fits && request.elements(step.type, step.flags | ack, ++sequence_, step.elements);
    }
  }
  const std::uint32_t last_step = sequence_;
  if (!fits || !request.end_batch(++sequence_)) return no_memory();

  const auto deadline = steady_clock::now() + kAnswerTime;
  if (auto sent = socket_.send(request.bytes()); !sent) return sent;
  for (;;) {
    const auto received = socket_.receive(deadline);
    if (!received) return received.error();
    if (received->got == NetlinkSocket::Got::nothing)
      return Error::from_errno("netlink", ETIMEDOUT);
    // An answer was lost, perhaps the one that says no.
    if (received->got == NetlinkSocket::Got::overrun) return Error::from_errno("netlink", ENOBUFS);
    NetlinkMessages messages(received->datagram);
    while (const auto message = messages.next()) {
      const nlmsghdr& header = message->header;
      // Anything but an answer to one of these numbers is left over from a request that was given
      // up.
      if (header.nlmsg_type != NLMSG_ERROR || header.nlmsg_pid != socket_.port_id()) continue;
      if (header.nlmsg_seq - first > last_step - first)
        continue;  // unsigned: wraps with the numbers
      ByteReader reader(message->payload);
      const auto error = take_host<int>(reader);
      if (!error) return Error::from_errno("netlink", EBADMSG);
      if (*error != 0) return Error::from_errno("netlink", -*error);
      if (header.nlmsg_seq == last_step) return {};
    }
  }
}

Result<std::optional<ShownElement>> Nft::shown(const Element& element) {
  NftRequest& request = request_;
  request.clear();
  Element asked{element.set, element.key, std::nullopt};
  if (!request.elements(NFT_MSG_GETSETELEM, 0, ++sequence_, std::span(&asked, 1)))
    return no_memory();
  const auto deadline = steady_clock::now() + kAnswerTime;
  if (auto sent = socket_.send(request.bytes()); !sent) return sent.error();
  for (;;) {
    const auto received = socket_.receive(deadline);
    if (!received) return received.error();
    if (received->got == NetlinkSocket::Got::nothing)
      return Error::from_errno("netlink", ETIMEDOUT);
    if (received->got == NetlinkSocket::Got::overrun) return Error::from_errno("netlink", ENOBUFS);
    NetlinkMessages messages(received->datagram);
    while (const auto message = messages.next()) {
      const nlmsghdr& header = message->header;
      if (header.nlmsg_pid != socket_.port_id() || header.nlmsg_seq != sequence_) continue;
      if (header.nlmsg_type == NLMSG_ERROR) {
        ByteReader reader(message->payload);
        const int error = -take_host<int>(reader).value_or(-EBADMSG);
        // No such element, or no such set or table; the difference is for who asks to find out.
        if (error == ENOENT || error == 0) return std::optional<ShownElement>();
        return Error::from_errno("netlink", error);
      }
      if (header.nlmsg_type == nft_message(NFT_MSG_NEWSETELEM))
        return read_element(*message, element.key);
    }
  }
}

// What adds the sessions to theirs set, with the ban's time. Those that are there already are
// removed first, for the reason that place() gives.
Result<std::vector<Nft::Step>> Nft::keeping(std::span<const Session> keep, const Element& with) {
  std::vector<Step> steps;
  if (keep.empty()) return steps;
  std::vector<Element> there;
  std::vector<Element> all;
  for (const Session& session : keep.first(std::min(keep.size(), kMaxSessions))) {
    Element element{session.theirs.is_v4() ? "session4" : "session6", ElementKey(session),
                    with.timeout};
    const auto found = shown(element);
    if (!found) return found.error();
    if (*found) there.push_back(element);
    all.push_back(element);
  }
  if (!there.empty()) steps.push_back({NFT_MSG_DELSETELEM, 0, std::move(there)});
  steps.push_back({NFT_MSG_NEWSETELEM, NLM_F_CREATE, std::move(all)});
  return steps;
}

// Adding what exists changes its timeout on new kernels, and on those before 6.12 changes nothing
// and is acknowledged all the same. So an add always insists on being the first (EEXIST otherwise),
// and an existing element is removed and added in one transaction, in which no packet sees it
// missing. Which of the two is asked beforehand: a transaction that fails costs the kernel some 20 ms
// (it waits for everybody who may be looking at the rules), a question two microseconds. What comes
// or expires in between is found by the next try.
Result<void> Nft::place(const Element& element, std::span<const Session> keep) {
  for (int i = 0;; ++i) {
    auto steps = keeping(keep, element);
    if (!steps) return steps.error();
    const auto there = shown(element);
    if (!there) return there.error();
    if (*there) steps->push_back({NFT_MSG_DELSETELEM, 0, {element}});
    steps->push_back({NFT_MSG_NEWSETELEM, NLM_F_CREATE | NLM_F_EXCL, {element}});
    auto done = commit(*steps);
    const int code = done ? 0 : done.error().code;
    if ((code != EEXIST && code != ENOENT) || i + 1 == kTries) return done;
  }
}

// False: there was nothing to remove.
Result<bool> Nft::remove(const Element& element) {
  const auto there = shown(element);
  if (!there) return there.error();
  if (!*there) return false;
  const Step step{NFT_MSG_DELSETELEM, 0, {element}};
  const auto removed = commit(std::span(&step, 1));
  if (removed) return true;
  if (removed.error().code == ENOENT) return false;  // it has just expired
  return removed.error();
}

Result<void> Nft::read_back(const Element& element) {
  const auto found = shown(element);
  if (!found) return found.error();
  if (!*found) return Error{"the kernel took it and does not show it", kNotReadBack};
  const auto remaining = (*found)->remaining;
  bool same = remaining.has_value() == element.timeout.has_value();
  if (same && remaining)
    same = *remaining <= *element.timeout + kTick && *remaining + kSlowest >= *element.timeout;
  if (!same) return Error{"the kernel took it and shows another time", kNotReadBack};
  return {};
}

Result<void> Nft::ban(const Source& source, seconds duration, std::span<const Session> keep) {
  if (bad_duration(duration)) return refuse_duration(source);
  const Element element = element_of(source, duration);
  if (auto placed = place(element, keep); !placed)
    return within(placed.error(), in_set("ban", source, element.set));
  // One ban, one element: who was banned for ever and now is for an hour, or the other way round,
  // leaves the other set. It is in both for a moment, and in neither never.
  const Element other = element_of(source, duration, true);
  if (const auto left = remove(other); !left)
    return within(left.error(), in_set("end the other ban of", source, other.set));
  if (auto same = read_back(element); !same)
    return within(same.error(), in_set("read back the ban of", source, element.set));
  return {};
}

Result<void> Nft::restore(const Source& source, seconds remaining, std::span<const Session> keep) {
  if (bad_duration(remaining)) return refuse_duration(source);
  // Sessions of now are to be kept, whatever was kept before.
  if (!keep.empty()) return ban(source, remaining, keep);
  // An error here is one there.
  if (const auto holds = shown(element_of(source, remaining)); holds && *holds) {
    const auto left = (*holds)->remaining;
    const bool permanent = remaining.count() == 0;
    if (permanent && !left) return {};
    if (!permanent && left && *left <= remaining + kCloseEnough &&
        *left + kCloseEnough >= remaining)
      return {};
  }
  return ban(source, remaining, keep);
}

// Each must be the first of its kind (NLM_F_EXCL), so that a yes is a yes to the time of each; and one
// of them is looked at.
Result<void> Nft::restore_all(std::span<const Held> bans) {
  if (bans.empty()) return {};
  if (bans.size() > kMaxRestored) return Error::from_errno("restore bans", E2BIG);
  std::vector<Step> steps;
  for (const Held& ban : bans) {
    if (bad_duration(ban.remaining)) return refuse_duration(ban.source);
    const Element element = element_of(ban.source, ban.remaining);
    const auto same_set = [&](const Step& s) { return s.elements.front().set == element.set; };
    const auto step = std::find_if(steps.begin(), steps.end(), same_set);
    if (step == steps.end()) {
      steps.push_back({NFT_MSG_NEWSETELEM, NLM_F_CREATE | NLM_F_EXCL, {element}});
    } else {
      step->elements.push_back(element);
    }
  }
  const std::string attempt = "restore " + std::to_string(bans.size()) + " bans";
  if (auto placed = commit(steps); !placed) return within(placed.error(), attempt);
  if (auto same = read_back(steps.back().elements.back()); !same)
    return within(same.error(), attempt);
  return {};
}

Result<void> Nft::unban(const Source& source) {
  bool removed_one = false;
  for (const bool permanent : {false, true}) {
    const Element element{set_of(source, permanent), ElementKey(source.prefix().address()),
                          std::nullopt};
    const auto removed = remove(element);
    if (!removed) return within(removed.error(), in_set("end the ban of", source, element.set));
    removed_one = removed_one || *removed;
  }
  // No such element: what was asked for. But the kernel says the same of a missing table.
  if (removed_one || table_exists()) return {};
  return Error::from_errno(in_set("end the ban of", source, set_of(source)), ENOENT);
}

Result<void> Nft::selftest() {
  const auto attempt = [](std::string_view what) {
    return std::string(what) + " 192.0.2.1 in set inet " + std::string(kTable) + ' ' +
           std::string(kSelftest);
  };
  const auto nobody = Address::from_bytes(kNobody);
  if (!nobody) return no_memory();
  const Element element{kSelftest, ElementKey(*nobody), kSelftestTime};
  if (auto placed = place(element, {}); !placed) return within(placed.error(), attempt("put"));
  if (auto same = read_back(element); !same) return within(same.error(), attempt("read back"));
  if (const auto gone = remove(element); !gone) return within(gone.error(), attempt("remove"));
  return {};
}

Result<std::vector<Held>> Nft::list() {
  const auto deadline = steady_clock::now() + kListTime;
  for (int i = 0; i < kListAttempts; ++i) {
    std::vector<Held> held;
    bool whole = true;
    for (const std::string_view set : kBanSets) {
      const auto listed = list_set(set, held, deadline);
      if (!listed) return within(listed.error(), "list set inet portsentry " + std::string(set));
      whole = whole && *listed;
    }
    if (!whole) continue;
    // A hash table that grows under the dump shows an element twice, and a hand may have put one
    // into both sets: then it is banned without expiry.
    std::sort(held.begin(), held.end(), [](const Held& a, const Held& b) {
      return a.source < b.source || (a.source == b.source && a.remaining < b.remaining);
    });
    held.erase(std::unique(held.begin(), held.end(),
                           [](const Held& a, const Held& b) { return a.source == b.source; }),
               held.end());
    return held;
  }
  return Error::from_errno("list the bans, which never stopped changing", EAGAIN);
}

// False: the ruleset changed under the dump, and elements may be missing from it.
Result<bool> Nft::list_set(std::string_view set, std::vector<Held>& held,
                           NetlinkSocket::Deadline deadline) {
  NftRequest& request = request_;
  request.clear();
  if (!request.list(set, ++sequence_)) return no_memory();
  if (auto sent = socket_.send(request.bytes()); !sent) return sent.error();
  bool whole = true;
  for (;;) {
    const auto received = socket_.receive(deadline);
    if (!received) return received.error();
    if (received->got == NetlinkSocket::Got::nothing)
      return Error::from_errno("netlink", ETIMEDOUT);
    if (received->got == NetlinkSocket::Got::overrun) return Error::from_errno("netlink", ENOBUFS);
    NetlinkMessages messages(received->datagram);
    while (const auto message = messages.next()) {
      const nlmsghdr& header = message->header;
      if (header.nlmsg_pid != socket_.port_id() || header.nlmsg_seq != sequence_) continue;
      if ((header.nlmsg_flags & NLM_F_DUMP_INTR) != 0) whole = false;
      if (header.nlmsg_type == NLMSG_DONE || header.nlmsg_type == NLMSG_ERROR) {
        ByteReader reader(message->payload);
        const int error = -take_host<int>(reader).value_or(0);
        if (error != 0) return Error::from_errno("netlink", error);
        return whole;
      }
      if (header.nlmsg_type == nft_message(NFT_MSG_NEWSETELEM)) read_elements(*message, set, held);
    }
  }
}

bool Nft::table_exists() {
  NftRequest& request = request_;
  request.clear();
  if (!request.get_table(++sequence_) || !socket_.send(request.bytes())) return false;
  const auto deadline = steady_clock::now() + kAnswerTime;
  for (;;) {
    const auto received = socket_.receive(deadline);
    if (!received || received->got != NetlinkSocket::Got::datagram) return false;
    NetlinkMessages messages(received->datagram);
    while (const auto message = messages.next()) {
      if (message->header.nlmsg_pid != socket_.port_id() || message->header.nlmsg_seq != sequence_)
        continue;
      return message->header.nlmsg_type == nft_message(NFT_MSG_NEWTABLE);
    }
  }
}

}  // namespace portsentry::enforcer
