#include "common/config_values.h"

#include <algorithm>
#include <charconv>
#include <system_error>
#include <utility>

#include "common/finding.h"
#include "common/messages.h"

namespace portsentry {
namespace {

constexpr std::string_view kBlanks = " \t";

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

// The head of `text` up to a character of `separators`, which both leave `text`; at the end, all.
std::string_view take_item(std::string_view& text, std::string_view separators) {
  const std::size_t end = std::min(text.find_first_of(separators), text.size());
  const std::string_view item = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return item;
}

bool is_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

// Digits only (no sign, no blank, no 0x); nothing too when the number does not fit.
template <class T>
std::optional<T> decimal(std::string_view text) {
  if (!is_digits(text)) return std::nullopt;
  T value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Error bad(std::string what) {
  return Error{.what = std::move(what)};
}

Result<Port> parse_port(std::string_view text, std::string_view item) {
  if (!is_digits(text)) {
    return bad(in_quotes(item) +
               " is not a port: expected numbers from 1 to 65535 and ranges such as 6000-6063, "
               "separated by commas");
  }
  const auto number = decimal<std::uint32_t>(text);
  const auto port = Port::make(number.value_or(0));
  if (!port) return bad("port " + in_quotes(text) + " is out of range: expected 1 to 65535");
  return *port;
}

Result<void> add_ports(std::string_view item, PortList& list) {
  const std::size_t dash = item.find('-');
  const auto first = parse_port(item.substr(0, dash), item);
  if (!first) return first.error();
  if (dash == std::string_view::npos) {
    list.ports.add(*first);
    return {};
  }
  list.has_ranges = true;
  const auto last = parse_port(item.substr(dash + 1), item);
  if (!last) return last.error();
  if (*last < *first) {
    return bad("the range " + in_quotes(item) + " runs backwards: write " +
               std::to_string(last->number()) + "-" + std::to_string(first->number()));
  }
  list.ports.add_range(*first, *last);
  return {};
}

// What a letter stands for; nothing when it stands for nothing.
std::optional<std::chrono::seconds> unit(char letter) {
  using std::chrono::hours;
  switch (letter) {
    case 's':
      return std::chrono::seconds(1);
    case 'm':
      return std::chrono::minutes(1);
    case 'h':
      return hours(1);
    case 'd':
      return hours(24);
    case 'w':
      return hours(24) * 7;
    default:
      return std::nullopt;
  }
}

std::optional<std::chrono::seconds> duration(std::string_view text) {
  const auto letter = text.empty() ? std::nullopt : unit(text.back());
  if (letter) text.remove_suffix(1);
  const std::chrono::seconds each = letter.value_or(std::chrono::seconds(1));
  const auto count = decimal<std::int64_t>(text);
  // Compared before multiplying, so that no count can overflow.
  if (!count || *count < 1 || *count > kMaxBan / each) return std::nullopt;
  return each * *count;
}

// What a valid duration may have been typed as: "30M", "1 h".
std::string respelt(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (kBlanks.find(c) != std::string_view::npos) continue;
    out += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return out;
}

Result<void> check_interface(std::string_view name) {
  if (name == "lo") {
    return bad("'lo' is refused: traffic on loopback is this host talking to itself");
  }
  // The kernel keeps "all" and "default" for itself; the others are what 2.x and pcap call it.
  const std::string word = respelt(name);
  if (word == "all" || word == "all_nlo" || word == "any" || word == "default") {
    return bad(in_quotes(name) + " is no interface: to watch all of them write \"\"");
  }
  if (name.size() > kInterfaceNameSize) {
    return bad(in_quotes(name) + " is too long for an interface: expected at most " +
               std::to_string(kInterfaceNameSize) + " characters");
  }
  const std::size_t colon = name.find(':');
  if (colon != std::string_view::npos && colon > 0) {
    return bad(in_quotes(name) + " is an alias: write the interface, " +
               in_quotes(name.substr(0, colon)));
  }
  if (name == "." || name == ".." || name.find_first_of("/:") != std::string_view::npos) {
    return bad(in_quotes(name) + " is no interface name: expected names such as eth0");
  }
  return {};
}

}  // namespace

Result<PortList> parse_port_list(std::string_view value) {
  PortList list;
  value = trimmed(value);
  list.has_empty_items = value.ends_with(',');  // take_item() sees no item after the last comma
  while (!value.empty()) {
    const std::string_view item = trimmed(take_item(value, ","));
    if (item.empty()) {
      list.has_empty_items = true;
      continue;
    }
    const auto added = add_ports(item, list);
    if (!added) return added.error();
    ++list.items;
  }
  return list;
}

Result<std::uint32_t> parse_number(std::string_view value, std::uint32_t least,
                                   std::uint32_t most) {
  const auto number = decimal<std::uint32_t>(trimmed(value));
  if (!number || *number < least || *number > most) {
    return bad("found " + in_quotes(value) + ", expected a number from " + std::to_string(least) +
               " to " + std::to_string(most));
  }
  return *number;
}

Result<std::chrono::seconds> parse_duration(std::string_view value) {
  const auto found = duration(trimmed(value));
  if (found) return *found;
  std::string what =
      "found " + in_quotes(value) +
      ", expected 1s to 365d: a whole number of seconds, or one with s, m, h, d or w";
  const std::string guess = respelt(value);
  if (duration(guess)) what += "; did you mean " + in_quotes(guess) + "?";
  return bad(std::move(what));
}

Result<std::string> parse_path(std::string_view value) {
  if (value.empty()) return std::string();
  if (trimmed(value).size() != value.size()) {
    return bad("the path " + in_quotes(value) + " begins or ends with a blank");
  }
  if (!value.starts_with('/')) {
    return bad("found " + in_quotes(value) +
               ", expected a full path that begins with '/', or \"\" for no such file");
  }
  if (value.ends_with('/')) return bad(in_quotes(value) + " is a directory: expected a file");
  return std::string(value);
}

Result<bool> parse_switch(std::string_view value) {
  const std::string_view digit = trimmed(value);
  if (digit == "0" || digit == "1") return digit == "1";
  return bad("found " + in_quotes(value) + ", expected 0 (off) or 1 (on)");
}

Result<OldSwitch> parse_old_switch(std::string_view value) {
  const std::string_view text = trimmed(value);
  if (text == "0" || text == "1") return OldSwitch{.on = text == "1"};
  std::string_view digits = text;
  if (digits.starts_with('-') || digits.starts_with('+')) digits.remove_prefix(1);
  if (!text.empty() && !is_digits(digits))
    return bad("found " + in_quotes(value) + ", expected 0 (off) or 1 (on)");
  return OldSwitch{.on = digits.find_first_not_of('0') != std::string_view::npos, .unusual = true};
}

Result<std::string> parse_tag(std::string_view value) {
  constexpr std::size_t kMaxTag = 32;  // RFC 3164 4.1.3
  constexpr std::string_view kTagCharacters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
  const std::string_view tag = trimmed(value);
  if (tag.empty() || tag.size() > kMaxTag ||
      tag.find_first_not_of(kTagCharacters) != std::string_view::npos) {
    return bad("found " + in_quotes(value) + ", expected 1 to " + std::to_string(kMaxTag) +
               " letters, digits, '.', '_' or '-'");
  }
  return std::string(tag);
}

Result<std::size_t> parse_word(std::string_view value, const std::vector<std::string_view>& words) {
  const std::string_view word = trimmed(value);
  const auto found = std::find(words.begin(), words.end(), word);
  if (found != words.end()) return static_cast<std::size_t>(found - words.begin());
  std::string what = "found " + in_quotes(value) + ", expected ";
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) what += i + 1 == words.size() ? " or " : ", ";
    what += words[i];
  }
  const std::string_view guess = nearest(word, words);
  if (!guess.empty()) what += "; did you mean " + in_quotes(guess) + "?";
  return bad(std::move(what));
}

Result<std::vector<bool>> parse_words(std::string_view value,
                                      const std::vector<std::string_view>& words) {
  std::vector<bool> found(words.size());
  while (!value.empty()) {
    const std::string_view item = take_item(value, " \t,");
    if (item.empty()) continue;
    const auto word = parse_word(item, words);
    if (!word) return word.error();
    found[*word] = true;
  }
  return found;
}

Result<std::vector<std::string>> parse_interfaces(std::string_view value) {
  std::vector<std::string> names;
  while (!value.empty()) {
    const std::string_view name = take_item(value, " \t,");
    if (name.empty() || std::find(names.begin(), names.end(), name) != names.end()) continue;
    const auto checked = check_interface(name);
    if (!checked) return checked.error();
    if (names.size() == kMaxInterfaces) {
      return bad("more than " + std::to_string(kMaxInterfaces) +
                 " interfaces: write \"\" to watch all of them");
    }
    names.emplace_back(name);
  }
  return names;
}

Result<std::vector<Prefix>> parse_networks(std::string_view value) {
  std::vector<Prefix> networks;
  while (!value.empty()) {
    const std::string_view item = take_item(value, " \t,");
    if (item.empty()) continue;
    const auto network = Prefix::parse(item);
    if (!network) {
      return bad("found " + in_quotes(item) +
                 ", expected an address or a network, as in \"192.0.2.0/24, 2001:db8::/32\"");
    }
    const std::string_view written = item.substr(0, item.find('/'));
    if (Address::parse(written) != network->address()) {
      return bad("found " + in_quotes(item) + ", which has bits beyond its length: is " +
                 network->text() + " meant?");
    }
    if (std::find(networks.begin(), networks.end(), *network) != networks.end()) continue;
    if (networks.size() == kMaxProtectNetworks)
      return bad("more than " + std::to_string(kMaxProtectNetworks) + " networks");
    networks.push_back(*network);
  }
  return networks;
}

}  // namespace portsentry
