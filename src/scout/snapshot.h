// What the files say, put together: one look at all of them. Pure.
#pragma once

#include <cstdint>
#include <ctime>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "common/scout_messages.h"

namespace portsentry::scout {

class Snapshot {
 public:
  // `content` of a file that is kept at such a place, at `now`.
  void add(FoundIn where, std::string_view content, std::time_t now);

  // In the order of addresses, none twice; at most kMaxFound, of which sessions never take the room
  // of resolvers and servers.
  [[nodiscard]] std::vector<Found> found() const;
  [[nodiscard]] std::uint32_t files() const { return files_; }

  // Worth telling again.
  bool operator==(const Snapshot&) const = default;

 private:
  void add(const Address& address, FoundIn where, std::int64_t since = 0);

  // Since when, of several sessions from one place the longest.
  std::map<std::pair<Address, FoundIn>, std::int64_t> servers_;
  std::map<std::pair<Address, FoundIn>, std::int64_t> sessions_;
  std::uint32_t files_ = 0;
};

}  // namespace portsentry::scout
