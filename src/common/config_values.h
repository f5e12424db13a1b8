// The values of portsentry.conf, one reader per type. Pure. The Error of each says what was found
// and what was expected, and is printed after file, line and key. Blanks around a value are
// ignored, except in a path.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/port_set.h"
#include "common/result.h"

namespace portsentry {

struct PortList {
  PortSet ports;
  // "1,,2" or a comma at either end. 1.2 read over these, and their meaning is plain: tolerated,
  // and worth a warning because a number may be missing there.
  bool has_empty_items = false;
  bool has_ranges = false;  // "1-10", of which 1.2 took the 1
  std::size_t items = 0;    // that are not empty; 1.2 took at most 64
};

// "1,11, 6000-6063": ports 1..65535 and ranges that include both ends. "" is the empty list.
Result<PortList> parse_port_list(std::string_view value);

// Decimal digits only, `least`..`most`.
Result<std::uint32_t> parse_number(std::string_view value, std::uint32_t least, std::uint32_t most);

// "90", "90s", "30m", "12h", "1d", "2w": whole numbers, 1 s .. 365 d; no letter means seconds.
Result<std::chrono::seconds> parse_duration(std::string_view value);

// An absolute path of a file, or "" for none. Whether it may be opened is for root to judge.
Result<std::string> parse_path(std::string_view value);

// "0" or "1".
Result<bool> parse_switch(std::string_view value);

// Any integer, as a switch: not 0 is on. What 1.2's atoi made of RESOLVE_HOST and others, but only
// for what is a number. `unusual` where it is neither "0" nor "1", and for the empty value (off).
struct OldSwitch {
  bool on = false;
  bool unusual = false;
};
Result<OldSwitch> parse_old_switch(std::string_view value);

// What names the program in syslog lines: 1..32 of letters, digits, '.', '_' and '-'.
Result<std::string> parse_tag(std::string_view value);

// One of `words`, spelt exactly: its index.
Result<std::size_t> parse_word(std::string_view value, const std::vector<std::string_view>& words);

// Any of `words`, separated by blanks or commas: which of them stand there.
Result<std::vector<bool>> parse_words(std::string_view value,
                                      const std::vector<std::string_view>& words);

// Interface names separated by blanks or commas, each as the kernel allows them (dev_valid_name in
// net/core/dev.c), without repetitions; "" is the empty list. The loopback interface is refused.
Result<std::vector<std::string>> parse_interfaces(std::string_view value);

inline constexpr std::size_t kMaxProtectNetworks = 64;

// Networks in CIDR notation or single addresses, separated by blanks or commas, at most
// kMaxProtectNetworks, without repetitions. An address with bits beyond its length is a mistake, not
// a shorthand.
Result<std::vector<Prefix>> parse_networks(std::string_view value);

}  // namespace portsentry
