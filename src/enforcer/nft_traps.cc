// What the traps are told: whom they never hold, that somebody is there to judge, whose hold is over.
#include <linux/netfilter.h>

#include <algorithm>
#include <initializer_list>
#include <string>
#include <vector>

#include "enforcer/address_ranges.h"
#include "enforcer/nft.h"

namespace portsentry::enforcer {
namespace {

constexpr std::string_view kAlive = "alive";
constexpr std::string_view kJudged = "judged";

// An attribute of netlink ends at 64 KiB, and so does a message's list of elements.
constexpr std::size_t kElementsPerMessage = 512;
// Two elements for each network, of at most 96 bytes.
constexpr std::size_t kRequestSize = kMaxExemptWritten * 192 + 65536;

Error within(const Error& error, std::string_view attempt) {
  return Error{std::string(attempt) + ": " + error.what, error.code};
}

std::string_view held_set_of(const Source& source) {
  if (source.is_v4()) return "held4";
  return source.prefix().is_host() ? "held6" : "held6net";
}

std::vector<Element> range_elements(std::string_view set, std::span<const Prefix> networks,
                                    bool v4) {
  std::vector<Element> elements;
  for (const AddressRange& range : address_ranges(networks, v4)) {
    elements.push_back({set, ElementKey(range.first)});
    if (range.behind)
      elements.push_back(
          {.set = set, .key = ElementKey(*range.behind), .timeout = {}, .ends_range = true});
  }
  return elements;
}

// The site of each IPv6 network that is smaller than one: there a /64 would be held as a whole.
std::vector<Prefix> sites(std::span<const Prefix> networks) {
  std::vector<Prefix> wider;
  for (const Prefix& network : networks) {
    if (network.address().is_v4()) continue;
    wider.push_back(*Prefix::make(network.address(), std::min(network.length(), 64U)));
  }
  return wider;
}

}  // namespace

Result<void> Nft::exempt(std::span<const Prefix> networks, std::span<const Prefix> on_link) {
  if (networks.size() + on_link.size() > kMaxExemptWritten)
    return Error{"too many exempt networks", E2BIG};
  struct List {
    std::string_view set;
    std::vector<Element> elements;
  };
  const std::vector<Prefix> wider = sites(networks);
  const std::array<List, 5> lists{{
      {"exempt4", range_elements("exempt4", networks, true)},
      {"exempt6", range_elements("exempt6", networks, false)},
      {"exempt6net", range_elements("exempt6net", wider, false)},
      {"onlink4", range_elements("onlink4", on_link, true)},
      {"onlink6", range_elements("onlink6", on_link, false)},
  }};
  std::vector<Step> steps;
  steps.reserve(2 * lists.size());
  for (const List& list : lists)
    steps.push_back({NFT_MSG_DELSETELEM, 0, {}, list.set});
  for (const List& list : lists) {
    for (std::size_t at = 0; at < list.elements.size(); at += kElementsPerMessage) {
      const std::size_t count = std::min(kElementsPerMessage, list.elements.size() - at);
      const auto begin = list.elements.begin() + static_cast<std::ptrdiff_t>(at);
      steps.push_back(
          {NFT_MSG_NEWSETELEM, NLM_F_CREATE, {begin, begin + static_cast<std::ptrdiff_t>(count)}});
    }
  }
  // Not kept: this is rare, and the other requests are small.
  NftRequest request(kRequestSize);
  if (auto done = commit(steps, request); !done)
    return within(done.error(), "write whom the traps never hold");
  return {};
}

Result<void> Nft::keep_traps(std::chrono::seconds duration, bool may_hold) {
  for (const std::uint8_t family : {NFPROTO_IPV4, NFPROTO_IPV6}) {
    for (const std::string_view set : {kAlive, kJudged}) {
      if (set == kJudged && !may_hold) continue;
      if (auto done = place({set, ElementKey(family), duration}, {}); !done)
        return within(done.error(), "renew the traps");
    }
  }
  return {};
}

Result<void> Nft::stop_holds() {
  return empty_sets({kJudged, "held4", "held6", "held6net"});
}

Result<void> Nft::stop_traps() {
  return empty_sets({kAlive, kJudged, "held4", "held6", "held6net"});
}

Result<void> Nft::empty_sets(std::initializer_list<std::string_view> sets) {
  std::vector<Step> steps;
  for (const std::string_view set : sets)
    steps.push_back({NFT_MSG_DELSETELEM, 0, {}, set});
  if (auto done = commit(steps); !done) return within(done.error(), "stop the traps");
  return {};
}

Result<void> Nft::hold(const Source& source, std::chrono::seconds duration) {
  const Element element{held_set_of(source), ElementKey(source.prefix().address()), duration};
  if (auto done = place(element, {}); !done) return within(done.error(), "hold " + source.text());
  return {};
}

Result<void> Nft::release(const Source& source) {
  const Element element{held_set_of(source), ElementKey(source.prefix().address())};
  const auto removed = remove(element);
  if (!removed) return within(removed.error(), "end the hold of " + source.text());
  return {};
}

}  // namespace portsentry::enforcer
