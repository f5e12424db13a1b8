#include "enforcer/nft.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <libnftnl/common.h>
#include <libnftnl/set.h>
#include <linux/filter.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "common/messages.h"

namespace portsentry::enforcer {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::string_view kBan4 = "ban4";
constexpr std::string_view kBan6 = "ban6";
constexpr std::string_view kBan6Net = "ban6net";

constexpr auto kAnswerTime = std::chrono::seconds(1);
// A million elements take about a second.
constexpr auto kListTime = std::chrono::seconds(10);
constexpr int kListAttempts = 5;
// How much one look at the events reads; what is left keeps the descriptor readable.
constexpr int kDatagramsPerLook = 1024;

struct SetDeleter {
  void operator()(nftnl_set* set) const { nftnl_set_free(set); }
};
using SetPtr = std::unique_ptr<nftnl_set, SetDeleter>;

constexpr std::uint16_t message_type(nf_tables_msg_types type) {
  return static_cast<std::uint16_t>((NFNL_SUBSYS_NFTABLES << 8) | static_cast<int>(type));
}

// One request under construction: three messages with one element each fit several times over.
class Request {
 public:
  char* tail() { return buffer_.data() + size_; }
  void take(const nlmsghdr& message) { size_ += NLMSG_ALIGN(message.nlmsg_len); }
  [[nodiscard]] Bytes bytes() const { return std::as_bytes(std::span(buffer_)).first(size_); }

 private:
  alignas(nlmsghdr) std::array<char, 2048> buffer_{};
  std::size_t size_ = 0;
};

// A set handle that names our table and `set`, for building requests. Null without memory.
SetPtr our_set(std::string_view set) {
  SetPtr handle(nftnl_set_alloc());
  if (!handle) return handle;
  nftnl_set_set_str(handle.get(), NFTNL_SET_TABLE, std::string(kTable).c_str());
  nftnl_set_set_str(handle.get(), NFTNL_SET_NAME, std::string(set).c_str());
  nftnl_set_set_u32(handle.get(), NFTNL_SET_FAMILY, NFPROTO_INET);
  return handle;
}

Error no_memory() {
  return Error::from_errno("build a netlink request", ENOMEM);
}

// The library wants the header in front of the payload, where it was: our reader has checked that
// the whole message lies inside the datagram.
const nlmsghdr* header_of(const NetlinkMessage& message) {
  return reinterpret_cast<const nlmsghdr*>(message.payload.data() - sizeof(nlmsghdr));  // NOLINT
}

// The elements of one dump datagram. What could not be a ban of ours (put there by hand) is left
// out.
void read_elements(const nlmsghdr* message, std::string_view set, std::vector<Held>& held) {
  const SetPtr parsed(nftnl_set_alloc());
  if (!parsed || nftnl_set_elems_nlmsg_parse(message, parsed.get()) < 0) return;
  struct Context {
    unsigned v6_length;
    std::vector<Held>& held;
  } context{set == kBan6Net ? 64U : 128U, held};
  nftnl_set_elem_foreach(
      parsed.get(),
      [](nftnl_set_elem* element, void* data) {
        auto& into = *static_cast<Context*>(data);
        std::uint32_t size = 0;
        const void* key = nftnl_set_elem_get(element, NFTNL_SET_ELEM_KEY, &size);
        if (key == nullptr) return 0;
        const auto address = Address::from_bytes(Bytes(static_cast<const std::byte*>(key), size));
        if (!address) return 0;
        const auto source = Source::from_prefix(*address, size == 4 ? 32 : into.v6_length);
        if (!source) return 0;
        std::chrono::seconds remaining{0};
        if (nftnl_set_elem_is_set(element, NFTNL_SET_ELEM_EXPIRATION)) {
          const auto left = nftnl_set_elem_get_u64(element, NFTNL_SET_ELEM_EXPIRATION);
          // Never 0, which means for ever.
          remaining = std::max(std::chrono::seconds(1),
                               std::chrono::ceil<std::chrono::seconds>(milliseconds(left)));
        }
        into.held.push_back(Held{*source, remaining});
        return 0;
      },
      &context);
}

}  // namespace

std::string_view set_of(const Source& source) {
  if (source.is_v4()) return kBan4;
  return source.prefix().is_host() ? kBan6 : kBan6Net;
}

// ---- Requests -----------------------------------------------------------------------------------

Result<Nft> Nft::open() {
  auto socket = NetlinkSocket::open(NETLINK_NETFILTER, 0);
  if (!socket) return socket.error();
  return Nft(std::move(socket).value());
}

Nft::Message Nft::message_of(Step::What what) {
  switch (what) {
    case Step::What::add_new:
      return {NFT_MSG_NEWSETELEM, NLM_F_CREATE | NLM_F_EXCL};
    case Step::What::remove:
      return {NFT_MSG_DELSETELEM, 0};
  }
  return {};
}

// All steps or none, and success only when the kernel says that they are in force.
//
// nf_tables first goes through a whole batch, then commits or discards it, and only then sends its
// answers, in order: an error for every message that failed, and a 0 for each that asked for one,
// even where another message made it discard everything. So the 0 for our last step is a yes
// exactly when no error with one of our numbers came before it.
Result<void> Nft::commit(const Source& source, std::span<const Step> steps,
                         std::string_view attempt) {
  const std::string_view set_name = set_of(source);
  const auto what = [&] {
    return std::string(attempt) + ' ' + source.text() + " in set inet " + std::string(kTable) +
           ' ' + std::string(set_name);
  };
  const std::uint32_t first = ++sequence_;
  Request request;
  request.take(*nftnl_batch_begin(request.tail(), first));
  for (const Step& step : steps) {
    const SetPtr set = our_set(set_name);
    nftnl_set_elem* element = set ? nftnl_set_elem_alloc() : nullptr;
    if (element == nullptr) return no_memory();
    nftnl_set_elem_add(set.get(), element);  // freed with the set
    const Bytes key = source.prefix().address().bytes();
    if (nftnl_set_elem_set(element, NFTNL_SET_ELEM_KEY, key.data(),
                           static_cast<std::uint32_t>(key.size())) < 0) {
      return no_memory();
    }
    const bool last = &step == &steps.back();
    const int ack = last ? NLM_F_ACK : 0;
    if (step.what == Step::What::add_new) {
      nftnl_set_elem_set_u64(element, NFTNL_SET_ELEM_TIMEOUT,
                             static_cast<std::uint64_t>(step.timeout.count()));
    }
    const auto [type, flags] = message_of(step.what);
    nlmsghdr* message = nftnl_nlmsg_build_hdr(request.tail(), type, NFPROTO_INET,
                                              static_cast<std::uint16_t>(flags | ack), ++sequence_);
    nftnl_set_elems_nlmsg_build_payload(message, set.get());
    request.take(*message);
  }
  const std::uint32_t last_step = sequence_;
  request.take(*nftnl_batch_end(request.tail(), ++sequence_));

  const auto deadline = steady_clock::now() + kAnswerTime;
  if (auto sent = socket_.send(request.bytes()); !sent) {
    return Error{what() + ": " + sent.error().what, sent.error().code};
  }
  for (;;) {
    const auto received = socket_.receive(deadline);
    if (!received) return Error{what() + ": " + received.error().what, received.error().code};
    if (received->got == NetlinkSocket::Got::nothing) return Error::from_errno(what(), ETIMEDOUT);
    // An answer was lost, perhaps the one that says no.
    if (received->got == NetlinkSocket::Got::overrun) return Error::from_errno(what(), ENOBUFS);
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
      if (!error) return Error::from_errno(what(), EBADMSG);
      if (*error != 0) return Error::from_errno(what(), -*error);
      if (header.nlmsg_seq == last_step) return {};
    }
  }
}

// Adding what exists changes its timeout on new kernels, and on those before 6.12 changes nothing
// and is acknowledged all the same. So an add always insists on being the first (EEXIST otherwise),
// and an existing element is removed and added in one transaction, in which no packet sees it
// missing. The element may expire between the two tries: then it is new after all.
Result<void> Nft::ban(const Source& source, std::chrono::seconds duration) {
  // To the kernel a timeout of 0 is "for ever", which nobody has asked for.
  if (duration < std::chrono::seconds(1) || duration > kMaxBan) {
    return Error::from_errno("ban " + source.text() + " for less than a second or above a year",
                             EINVAL);
  }
  const Step add{Step::What::add_new, duration};
  const std::array<Step, 2> replace{Step{Step::What::remove}, add};
  constexpr int kTries = 3;
  for (int i = 0;; ++i) {
    auto added = commit(source, std::span(&add, 1), "ban");
    if (added || added.error().code != EEXIST) return added;
    auto replaced = commit(source, replace, "renew the ban of");
    if (replaced || replaced.error().code != ENOENT || i + 1 == kTries) return replaced;
  }
}

Result<void> Nft::unban(const Source& source) {
  const Step remove{Step::What::remove};
  auto removed = commit(source, std::span(&remove, 1), "end the ban of");
  // No such element: what was asked for. But the kernel says the same of a missing table.
  if (!removed && removed.error().code == ENOENT && table_exists()) return {};
  return removed;
}

Result<std::vector<Held>> Nft::list() {
  const auto deadline = steady_clock::now() + kListTime;
  for (int i = 0; i < kListAttempts; ++i) {
    std::vector<Held> held;
    bool whole = true;
    for (const std::string_view set : {kBan4, kBan6, kBan6Net}) {
      const auto listed = list_set(set, held, deadline);
      if (!listed) return listed.error();
      whole = whole && *listed;
    }
    if (!whole) continue;
    // A hash table that grows under the dump shows an element twice.
    std::sort(held.begin(), held.end(),
              [](const Held& a, const Held& b) { return a.source < b.source; });
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
  const auto what = [&] { return "list set inet portsentry " + std::string(set); };
  const SetPtr handle = our_set(set);
  if (!handle) return no_memory();
  Request request;
  nlmsghdr* header = nftnl_nlmsg_build_hdr(request.tail(), NFT_MSG_GETSETELEM, NFPROTO_INET,
                                           NLM_F_DUMP, ++sequence_);
  nftnl_set_elems_nlmsg_build_payload(header, handle.get());
  request.take(*header);
  if (auto sent = socket_.send(request.bytes()); !sent) {
    return Error{what() + ": " + sent.error().what, sent.error().code};
  }

  bool whole = true;
  for (;;) {
    const auto received = socket_.receive(deadline);
    if (!received) return Error{what() + ": " + received.error().what, received.error().code};
    if (received->got == NetlinkSocket::Got::nothing) return Error::from_errno(what(), ETIMEDOUT);
    if (received->got == NetlinkSocket::Got::overrun) return Error::from_errno(what(), ENOBUFS);
    NetlinkMessages messages(received->datagram);
    while (const auto message = messages.next()) {
      if (message->header.nlmsg_pid != socket_.port_id() ||
          message->header.nlmsg_seq != sequence_) {
        continue;
      }
      if ((message->header.nlmsg_flags & NLM_F_DUMP_INTR) != 0) whole = false;
      if (message->header.nlmsg_type == NLMSG_DONE || message->header.nlmsg_type == NLMSG_ERROR) {
        ByteReader reader(message->payload);
        const int error = -take_host<int>(reader).value_or(0);
        if (error != 0) return Error::from_errno(what(), error);
        return whole;
      }
      if (message->header.nlmsg_type != message_type(NFT_MSG_NEWSETELEM)) continue;
      read_elements(header_of(*message), set, held);
    }
  }
}

bool Nft::table_exists() {
  Request request;
  nlmsghdr* header =
      nftnl_nlmsg_build_hdr(request.tail(), NFT_MSG_GETTABLE, NFPROTO_INET, 0, ++sequence_);
  mnl_attr_put_strz(header, NFTA_TABLE_NAME, std::string(kTable).c_str());
  request.take(*header);
  if (!socket_.send(request.bytes())) return false;
  const auto deadline = steady_clock::now() + kAnswerTime;
  for (;;) {
    const auto received = socket_.receive(deadline);
    if (!received || received->got != NetlinkSocket::Got::datagram) return false;
    NetlinkMessages messages(received->datagram);
    while (const auto message = messages.next()) {
      if (message->header.nlmsg_pid != socket_.port_id() ||
          message->header.nlmsg_seq != sequence_) {
        continue;
      }
      return message->header.nlmsg_type == message_type(NFT_MSG_NEWTABLE);
    }
  }
}

// ---- Events --------------------------------------------------------------------------------

namespace {

// Which of our bans a "set element deleted" event ends. Only a hand has a port: what the kernel
// itself removes, because its time is over, is no news.
void read_lifted(const NetlinkMessage& message, std::vector<Source>& lifted) {
  ByteReader reader(message.payload);
  const auto general = take_host<nfgenmsg>(reader);
  if (!general || general->nfgen_family != NFPROTO_INET || message.header.nlmsg_pid == 0) return;
  const SetPtr set(nftnl_set_alloc());
  const auto* header = header_of(message);
  if (!set || nftnl_set_elems_nlmsg_parse(header, set.get()) < 0) return;
  const char* table = nftnl_set_get_str(set.get(), NFTNL_SET_TABLE);
  const char* name = nftnl_set_get_str(set.get(), NFTNL_SET_NAME);
  if (table == nullptr || name == nullptr || table != kTable) return;
  if (name != kBan4 && name != kBan6 && name != kBan6Net) return;
  std::vector<Held> gone;
  read_elements(header, name, gone);
  for (const Held& held : gone)
    lifted.push_back(held.source);
}

}  // namespace

void NftTransactions::read(Bytes datagram, std::uint32_t own_port) {
  NetlinkMessages messages(datagram);
  while (const auto message = messages.next()) {
    const std::uint16_t type = message->header.nlmsg_type;
    if (type >> 8 != NFNL_SUBSYS_NFTABLES || message->header.nlmsg_pid == own_port) continue;
    if (type == message_type(NFT_MSG_NEWGEN)) {
      if (std::exchange(open, false)) ++ours_touched;
      continue;
    }
    if (type == message_type(NFT_MSG_NEWSETELEM)) continue;
    if (type == message_type(NFT_MSG_DELSETELEM)) {
      read_lifted(*message, lifted);
      continue;
    }
    ByteReader reader(message->payload);
    const auto general = take_host<nfgenmsg>(reader);
    if (!general || general->nfgen_family != NFPROTO_INET) continue;
    // The table's name is attribute 1 in every kind of message: table, chain, rule, set, object.
    static_assert(NFTA_TABLE_NAME == 1 && NFTA_CHAIN_TABLE == 1 && NFTA_RULE_TABLE == 1 &&
                  NFTA_SET_TABLE == 1 && NFTA_OBJ_TABLE == 1 && NFTA_FLOWTABLE_TABLE == 1);
    NetlinkAttributes attributes(reader.rest());
    while (const auto attribute = attributes.next()) {
      if (attribute->type != NFTA_TABLE_NAME) continue;
      const Bytes name = attribute->payload;
      open = open || (name.size() == kTable.size() + 1 &&
                      std::memcmp(name.data(), kTable.data(), kTable.size()) == 0);
    }
  }
}

Result<NftEvents> NftEvents::open(std::uint32_t own_port) {
  auto socket = NetlinkSocket::open(NETLINK_NETFILTER, 1U << (NFNLGRP_NFTABLES - 1));
  if (!socket) return socket.error();

  // Our own transactions are thrown away by the kernel: a datagram holds events of one transaction
  // only, so the port of its first message is the port of all. (BPF loads big-endian, netlink is
  // host order: hence htonl.)
  std::array<sock_filter, 4> code{{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(nlmsghdr, nlmsg_pid)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(own_port), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 0),
      BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
  }};
  const sock_fprog program{code.size(), code.data()};
  if (::setsockopt(socket->fd(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0) {
    return Error::from_errno("filter the firewall's events", errno);
  }
  return NftEvents(std::move(socket).value(), own_port);
}

Result<bool> NftEvents::our_table_touched(unsigned expected) {
  bool lost = false;
  for (int i = 0; i < kDatagramsPerLook; ++i) {
    const auto received = socket_.receive(steady_clock::time_point::min());
    if (!received) return received.error();
    if (received->got == NetlinkSocket::Got::nothing) break;
    if (received->got == NetlinkSocket::Got::overrun) {
      lost = true;
    } else {
      seen_.read(received->datagram, own_port_);
    }
  }
  // A transaction whose end is still to come counts now: late news is worse than an extra look.
  const unsigned touched = seen_.ours_touched + (seen_.open ? 1U : 0U);
  lifted_ = std::exchange(seen_, NftTransactions{}).lifted;
  return lost || touched > expected;
}

}  // namespace portsentry::enforcer
