// The elements of our sets as nf_tables messages: what nft.cc and its neighbours share.
//
// Nothing in this file takes a name from outside: table and set names are constants, values are a
// Source, a Session and a time.
#pragma once

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/netlink.h"
#include "enforcer/firewall.h"

namespace portsentry::enforcer {

inline constexpr std::string_view kTable = "portsentry";  // family inet

// Bans, in ruleset.nft: timed ones, and beside each the one for those without expiry.
inline constexpr std::array<std::string_view, 6> kBanSets{"ban4",  "ban6",  "ban6net",
                                                          "perm4", "perm6", "perm6net"};

// The set in which `source` belongs, and the one where its ban of the other kind would be.
[[nodiscard]] std::string_view set_of(const Source& source, bool permanent = false);

constexpr std::uint16_t nft_message(nf_tables_msg_types type) {
  return static_cast<std::uint16_t>((NFNL_SUBSYS_NFTABLES << 8) | static_cast<int>(type));
}

// What identifies an element: an address, or the four parts of a session, each padded to four bytes.
class ElementKey {
 public:
  explicit ElementKey(const Address& address);
  explicit ElementKey(const Session& session);
  // One of the kernel's protocol families (NFPROTO_IPV4 ...), which is one byte.
  explicit ElementKey(std::uint8_t family);
  [[nodiscard]] Bytes bytes() const { return Bytes(bytes_).first(size_); }

 private:
  void append(Bytes part);
  std::array<std::byte, 40> bytes_{};
  std::size_t size_ = 0;
};

// One element to be written, removed or asked for.
struct Element {
  std::string_view set;
  ElementKey key;
  std::optional<std::chrono::milliseconds> timeout{};  // at least 1; nothing: without expiry
  bool ends_range = false;  // of an interval set: the first address that is in no more
};

// How the kernel shows an element.
struct ShownElement {
  std::optional<std::chrono::milliseconds> remaining;  // nothing: without expiry
};

// A request under construction, to be kept, and begun again with clear().
class NftRequest {
 public:
  explicit NftRequest(std::size_t capacity = 32768) : buffer_(capacity) {}
  void clear() { size_ = 0; }
  // False without memory, or when it does not fit; then it must not be sent.
  [[nodiscard]] bool begin_batch(std::uint32_t sequence);
  [[nodiscard]] bool end_batch(std::uint32_t sequence);
  // One message for `elements`, at least one, all of one set. Room for kMaxSessions of them, twice,
  // and a few more.
  [[nodiscard]] bool elements(nf_tables_msg_types type, int flags, std::uint32_t sequence,
                              std::span<const Element> elements);
  // Removes every element of `set`.
  [[nodiscard]] bool empty_set(std::string_view set, int flags, std::uint32_t sequence);
  // For the listing of a whole set.
  [[nodiscard]] bool list(std::string_view set, std::uint32_t sequence);
  [[nodiscard]] bool get_table(std::uint32_t sequence);
  [[nodiscard]] Bytes bytes() const { return std::as_bytes(std::span(buffer_)).first(size_); }

 private:
  [[nodiscard]] bool has_room(std::size_t bytes) const { return size_ + bytes <= buffer_.size(); }
  char* tail() { return buffer_.data() + size_; }
  bool take(const void* message);

  std::vector<char> buffer_;
  std::size_t size_ = 0;
};

// The bans in one message of elements of `set`. What could not be one of ours (put there by hand) is
// left out.
void read_elements(const NetlinkMessage& message, std::string_view set, std::vector<Held>& held);
// The same, for a message that names its set: nothing where that is not one of kBanSets in our
// table.
void read_our_elements(const NetlinkMessage& message, std::vector<Held>& held);
// The first element of a message with exactly this key.
[[nodiscard]] std::optional<ShownElement> read_element(const NetlinkMessage& message,
                                                       const ElementKey& key);

}  // namespace portsentry::enforcer
