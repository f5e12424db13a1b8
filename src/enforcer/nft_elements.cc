#include "enforcer/nft_elements.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <libnftnl/common.h>
#include <libnftnl/set.h>
#include <linux/netfilter.h>

#include <algorithm>
#include <cstring>
#include <memory>

namespace portsentry::enforcer {
namespace {

using std::chrono::milliseconds;

// An element as the kernel takes it is at most its key, a timeout and five attribute headers.
constexpr std::size_t kLargestElement = 96;
constexpr std::size_t kLargestRest = 160;  // headers, table and set name, set id

struct SetDeleter {
  void operator()(nftnl_set* set) const { nftnl_set_free(set); }
};
using SetPtr = std::unique_ptr<nftnl_set, SetDeleter>;

// A set handle that names our table and `set`, for building requests. Null without memory.
SetPtr our_set(std::string_view set) {
  SetPtr handle(nftnl_set_alloc());
  if (!handle) return handle;
  nftnl_set_set_str(handle.get(), NFTNL_SET_TABLE, std::string(kTable).c_str());
  nftnl_set_set_str(handle.get(), NFTNL_SET_NAME, std::string(set).c_str());
  nftnl_set_set_u32(handle.get(), NFTNL_SET_FAMILY, NFPROTO_INET);
  return handle;
}

// The library wants the header in front of the payload, where it was: our reader has checked that
// the whole message lies inside the datagram.
const nlmsghdr* header_of(const NetlinkMessage& message) {
  return reinterpret_cast<const nlmsghdr*>(message.payload.data() - sizeof(nlmsghdr));  // NOLINT
}

SetPtr parsed(const NetlinkMessage& message) {
  SetPtr set(nftnl_set_alloc());
  if (set && nftnl_set_elems_nlmsg_parse(header_of(message), set.get()) < 0) set.reset();
  return set;
}

Bytes key_of(nftnl_set_elem* element) {
  std::uint32_t size = 0;
  const void* key = nftnl_set_elem_get(element, NFTNL_SET_ELEM_KEY, &size);
  if (key == nullptr) return {};
  return Bytes(static_cast<const std::byte*>(key), size);
}

std::optional<milliseconds> remaining_of(nftnl_set_elem* element) {
  if (!nftnl_set_elem_is_set(element, NFTNL_SET_ELEM_EXPIRATION)) return std::nullopt;
  return milliseconds(nftnl_set_elem_get_u64(element, NFTNL_SET_ELEM_EXPIRATION));
}

void read_bans(nftnl_set* set, std::string_view name, std::vector<Held>& held) {
  struct Context {
    unsigned v6_length;
    std::vector<Held>& held;
  } context{name.ends_with("net") ? 64U : 128U, held};
  nftnl_set_elem_foreach(
      set,
      [](nftnl_set_elem* element, void* data) {
        auto& into = *static_cast<Context*>(data);
        const Bytes key = key_of(element);
        const auto address = Address::from_bytes(key);
        if (!address) return 0;
        const auto source = Source::from_prefix(*address, key.size() == 4 ? 32 : into.v6_length);
        if (!source) return 0;
        std::chrono::seconds remaining{0};
        // Never 0, which means for ever.
        if (const auto left = remaining_of(element))
          remaining =
              std::max(std::chrono::seconds(1), std::chrono::ceil<std::chrono::seconds>(*left));
        into.held.push_back(Held{*source, remaining});
        return 0;
      },
      &context);
}

}  // namespace

std::string_view set_of(const Source& source, bool permanent) {
  const std::size_t kind = source.is_v4() ? 0 : source.prefix().is_host() ? 1 : 2;
  return kBanSets.at(kind + (permanent ? 3 : 0));
}

ElementKey::ElementKey(const Address& address) {
  append(address.bytes());
}

ElementKey::ElementKey(const Session& session) {
  const auto port = [this](Port number) {
    const std::uint16_t big_endian = htons(number.number());
    append(std::as_bytes(std::span(&big_endian, 1)));
  };
  append(session.theirs.bytes());
  port(session.their_port);
  append(session.ours.bytes());
  port(session.our_port);
}

ElementKey::ElementKey(std::uint8_t family) {
  bytes_.front() = std::byte{family};
  size_ = 1;
}

// Each part of a concatenation fills whole registers of four bytes.
void ElementKey::append(Bytes part) {
  std::copy(part.begin(), part.end(), bytes_.begin() + static_cast<std::ptrdiff_t>(size_));
  size_ += (part.size() + 3) & ~std::size_t{3};
}

// ---- Writing ------------------------------------------------------------------------------------

bool NftRequest::take(const void* message) {
  nlmsghdr header{};
  std::memcpy(&header, message, sizeof header);
  size_ += NLMSG_ALIGN(header.nlmsg_len);
  return true;
}

bool NftRequest::begin_batch(std::uint32_t sequence) {
  return has_room(kLargestRest) && take(nftnl_batch_begin(tail(), sequence));
}

bool NftRequest::end_batch(std::uint32_t sequence) {
  return has_room(kLargestRest) && take(nftnl_batch_end(tail(), sequence));
}

bool NftRequest::elements(nf_tables_msg_types type, int flags, std::uint32_t sequence,
                          std::span<const Element> elements) {
  if (elements.empty() || !has_room(kLargestRest + elements.size() * kLargestElement)) return false;
  const SetPtr set = our_set(elements.front().set);
  if (!set) return false;
  for (const Element& wanted : elements) {
    nftnl_set_elem* element = nftnl_set_elem_alloc();
    if (element == nullptr) return false;
    nftnl_set_elem_add(set.get(), element);  // freed with the set
    const Bytes key = wanted.key.bytes();
    if (nftnl_set_elem_set(element, NFTNL_SET_ELEM_KEY, key.data(),
                           static_cast<std::uint32_t>(key.size())) < 0) {
      return false;
    }
    if (wanted.timeout) {
      nftnl_set_elem_set_u64(element, NFTNL_SET_ELEM_TIMEOUT,
                             static_cast<std::uint64_t>(wanted.timeout->count()));
    }
    if (wanted.ends_range)
      nftnl_set_elem_set_u32(element, NFTNL_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
  }
  nlmsghdr* message = nftnl_nlmsg_build_hdr(tail(), static_cast<std::uint16_t>(type), NFPROTO_INET,
                                            static_cast<std::uint16_t>(flags), sequence);
  nftnl_set_elems_nlmsg_build_payload(message, set.get());
  return take(message);
}

bool NftRequest::empty_set(std::string_view set_name, int flags, std::uint32_t sequence) {
  const SetPtr set = our_set(set_name);
  if (!set || !has_room(kLargestRest)) return false;
  nlmsghdr* message = nftnl_nlmsg_build_hdr(tail(), NFT_MSG_DELSETELEM, NFPROTO_INET,
                                            static_cast<std::uint16_t>(flags), sequence);
  nftnl_set_elems_nlmsg_build_payload(message, set.get());
  return take(message);
}

bool NftRequest::list(std::string_view set_name, std::uint32_t sequence) {
  const SetPtr set = our_set(set_name);
  if (!set || !has_room(kLargestRest)) return false;
  nlmsghdr* message =
      nftnl_nlmsg_build_hdr(tail(), NFT_MSG_GETSETELEM, NFPROTO_INET, NLM_F_DUMP, sequence);
  nftnl_set_elems_nlmsg_build_payload(message, set.get());
  return take(message);
}

bool NftRequest::get_table(std::uint32_t sequence) {
  if (!has_room(kLargestRest)) return false;
  nlmsghdr* message = nftnl_nlmsg_build_hdr(tail(), NFT_MSG_GETTABLE, NFPROTO_INET, 0, sequence);
  mnl_attr_put_strz(message, NFTA_TABLE_NAME, std::string(kTable).c_str());
  return take(message);
}

// ---- Reading ------------------------------------------------------------------------------------

void read_elements(const NetlinkMessage& message, std::string_view set, std::vector<Held>& held) {
  if (const SetPtr elements = parsed(message)) read_bans(elements.get(), set, held);
}

void read_our_elements(const NetlinkMessage& message, std::vector<Held>& held) {
  const SetPtr set = parsed(message);
  if (!set) return;
  const char* table = nftnl_set_get_str(set.get(), NFTNL_SET_TABLE);
  const char* name = nftnl_set_get_str(set.get(), NFTNL_SET_NAME);
  if (table == nullptr || name == nullptr || table != kTable) return;
  if (std::find(kBanSets.begin(), kBanSets.end(), name) == kBanSets.end()) return;
  read_bans(set.get(), name, held);
}

std::optional<ShownElement> read_element(const NetlinkMessage& message, const ElementKey& key) {
  const SetPtr set = parsed(message);
  if (!set) return std::nullopt;
  struct Context {
    Bytes key;
    std::optional<ShownElement> found;
  } context{key.bytes(), std::nullopt};
  nftnl_set_elem_foreach(
      set.get(),
      [](nftnl_set_elem* element, void* data) {
        auto& looking = *static_cast<Context*>(data);
        const Bytes found = key_of(element);
        if (!looking.found &&
            std::equal(found.begin(), found.end(), looking.key.begin(), looking.key.end()))
          looking.found = ShownElement{remaining_of(element)};
        return 0;
      },
      &context);
  return context.found;
}

}  // namespace portsentry::enforcer
