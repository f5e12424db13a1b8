#include "monitor/ignore_line.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <utility>
#include <vector>

namespace portsentry::monitor {
namespace {

constexpr std::string_view kBlanks = " \t";
constexpr std::string_view kDigits = "0123456789";
constexpr std::size_t kInterfaceName = 15;  // IFNAMSIZ without its zero

using Conditions = IgnoreList::Conditions;

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  for (;;) {
    const std::size_t first = line.find_first_not_of(kBlanks);
    if (first == std::string_view::npos) return words;
    line.remove_prefix(first);
    words.push_back(line.substr(0, line.find_first_of(kBlanks)));
    line.remove_prefix(words.back().size());
  }
}

std::string lower(std::string_view word) {
  std::string text(word);
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

std::string found(std::string_view word) {
  return "found " + in_quotes(word) + ", ";
}

// All of `text`, decimal digits only, at most `most`.
std::optional<unsigned> number(std::string_view text, unsigned most) {
  unsigned value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || kDigits.find(text.front()) == std::string_view::npos || code != std::errc() ||
      end != text.data() + text.size() || value > most) {
    return std::nullopt;
  }
  return value;
}

// ---- the address --------------------------------------------------------------------------------

// The length that a dotted mask stands for; nothing when its one bits are not all in front.
std::optional<unsigned> mask_length(const Address& mask) {
  std::uint32_t bits = 0;
  for (const std::byte b : mask.bytes())
    bits = (bits << 8U) | std::to_integer<std::uint32_t>(b);
  const int ones = std::countl_one(bits);
  if (ones != std::popcount(bits)) return std::nullopt;
  return static_cast<unsigned>(ones);
}

// "10.9.2": one host to inet_addr(3), which read it for PortSentry, and a network to most people.
std::string short_form(std::string_view text) {
  std::vector<std::string> parts;
  for (std::string_view rest = text;;) {
    const std::size_t dot = std::min(rest.find('.'), rest.size());
    const auto part = number(rest.substr(0, dot), 255);
    if (!part || parts.size() == 3) return "";
    parts.push_back(std::to_string(*part));
    if (dot == rest.size()) break;
    rest.remove_prefix(dot + 1);
  }
  std::string as_host;
  std::string as_network;
  for (std::size_t i = 0; i + 1 < parts.size(); ++i)
    as_host += parts[i] + ".";
  for (std::size_t i = parts.size(); i < 4; ++i)
    as_host += "0.";
  for (std::size_t i = 0; i < 4; ++i)
    as_network += (i == 0 ? "" : ".") + (i < parts.size() ? parts[i] : std::string("0"));
  return "expected four numbers: write " + as_host + parts.back() +
         " for that host, as PortSentry read it, or " + as_network + "/" +
         std::to_string(8 * parts.size()) + " for the network";
}

bool looks_like_a_name(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return (c >= 'g' && c <= 'z') || (c >= 'G' && c <= 'Z'); }) &&
         text.find_first_of(":/[%") == std::string_view::npos;
}

// Why `word` is no prefix, and what to write instead where that is plain.
std::string complaint(std::string_view word) {
  const std::size_t slash = word.find('/');
  const std::string_view before = word.substr(0, slash);
  const auto address = Address::parse(before);
  if (!address) {
    if (const std::string full = short_form(before); !full.empty() && before == word) {
      return found(word) + full;
    }
    if (looks_like_a_name(before)) {
      return found(word) +
             "expected an IPv4 or IPv6 address: names are not looked up, or whoever answers for "
             "this one would decide who is ignored";
    }
    return found(word) + "expected an IPv4 or IPv6 address, or ADDRESS/LENGTH";
  }
  // A v4-mapped address counts its length in IPv6 bits, of which the first 96 are not its own.
  const bool mapped = address->is_v4() && before.find(':') != std::string_view::npos;
  return found(word) + "expected a length from " +
         (mapped ? "96 to 128" : "0 to " + std::to_string(address->bit_length())) +
         " after the '/'";
}

// "192.0.2.0/255.255.255.0": PortSentry 1.2 skipped such a line at every packet, 2.x did not start.
// It can mean only one thing.
std::optional<Prefix> with_dotted_mask(std::string_view word) {
  const std::size_t slash = word.find('/');
  if (slash == std::string_view::npos || word.find(':') != std::string_view::npos) {
    return std::nullopt;
  }
  const auto address = Address::parse(word.substr(0, slash));
  const auto mask = Address::parse(word.substr(slash + 1));
  if (!address || !address->is_v4() || !mask || !mask->is_v4()) return std::nullopt;
  const auto length = mask_length(*mask);
  return length ? Prefix::make(*address, *length) : std::nullopt;
}

// ---- the conditions -----------------------------------------------------------------------------

std::string read_protocol(std::string_view word, Conditions& into) {
  const std::string name = lower(word);
  if (name == "tcp") into.protocol = Protocol::tcp;
  if (name == "udp") into.protocol = Protocol::udp;
  return into.protocol ? "" : found(word) + "expected tcp or udp after proto";
}

std::string read_ports(std::string_view word, Conditions& into) {
  for (std::string_view rest = word;;) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    const std::string_view item = rest.substr(0, comma);
    const std::size_t dash = std::min(item.find('-'), item.size());
    const auto first = number(item.substr(0, dash), 65535);
    const auto last = dash < item.size() ? number(item.substr(dash + 1), 65535) : first;
    if (!first || !last || *first == 0 || *first > *last) {
      return found(item) + "expected a port from 1 to 65535, or a range FIRST-LAST, after port";
    }
    into.ports.push_back({static_cast<std::uint16_t>(*first), static_cast<std::uint16_t>(*last)});
    if (comma == rest.size()) return "";
    rest.remove_prefix(comma + 1);
  }
}

std::string read_interface(std::string_view word, Conditions& into) {
  // What the kernel takes for a name (dev_valid_name), printable besides.
  const bool fits = word.size() <= kInterfaceName && word != "." && word != ".." &&
                    std::all_of(word.begin(), word.end(),
                                [](char c) { return c > ' ' && c <= '~' && c != '/' && c != ':'; });
  if (!fits) return found(word) + "expected the name of an interface after iface";
  into.interface = word;
  return "";
}

// Days from 1970-01-01 to the given day of the Gregorian calendar, year 1970 or later.
std::time_t days_to(unsigned year, unsigned month, unsigned day) {
  // A year that begins in March has its leap day last.
  const unsigned y = month <= 2 ? year - 1 : year;
  const unsigned day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  return static_cast<std::time_t>(y) * 365 + y / 4 - y / 100 + y / 400 + day_of_year - 719468;
}

unsigned days_of(unsigned year, unsigned month) {
  static constexpr std::array<unsigned, 12> kDays{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return kDays.at(month - 1) + (month == 2 && leap ? 1 : 0);
}

// Exactly `size` digits at the front of `text`, which is then past them and `after`.
std::optional<unsigned> take(std::string_view& text, std::size_t size, std::string_view after) {
  if (text.size() < size) return std::nullopt;
  const std::string_view digits = text.substr(0, size);
  if (digits.find_first_not_of(kDigits) != std::string_view::npos) return std::nullopt;
  text.remove_prefix(size);
  if (!text.starts_with(after)) return std::nullopt;
  text.remove_prefix(after.size());
  return number(digits, 9999);
}

std::optional<std::time_t> moment(std::string_view text) {
  const auto year = take(text, 4, "-");
  const auto month = year ? take(text, 2, "-") : std::nullopt;
  const auto day = month ? take(text, 2, "") : std::nullopt;
  if (!day || *year < 1970 || *month < 1 || *month > 12 || *day < 1 ||
      *day > days_of(*year, *month)) {
    return std::nullopt;
  }
  const std::time_t midnight = days_to(*year, *month, *day) * 86400;
  if (text.empty()) return midnight + 86400;
  if (text.front() != 'T' && text.front() != 't') return std::nullopt;
  text.remove_prefix(1);
  const auto hour = take(text, 2, ":");
  const auto minute = hour ? take(text, 2, "") : std::nullopt;
  if (!minute || *hour > 23 || *minute > 59) return std::nullopt;
  unsigned second = 0;
  if (text.starts_with(':')) {
    text.remove_prefix(1);
    const auto given = take(text, 2, "");
    if (!given || *given > 59) return std::nullopt;
    second = *given;
  }
  if (text == "Z" || text == "z") text = {};
  if (!text.empty()) return std::nullopt;
  return midnight + static_cast<std::time_t>(*hour * 3600 + *minute * 60 + second);
}

std::string read_until(std::string_view word, Conditions& into) {
  into.until = moment(word);
  if (into.until) return "";
  return found(word) + "expected YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS (UTC) after until";
}

struct Condition {
  std::string_view word;
  std::string (*read)(std::string_view value, Conditions& into);  // what is wrong with it, or ""
};
constexpr std::array<Condition, 4> kConditions{{{"proto", read_protocol},
                                                {"port", read_ports},
                                                {"iface", read_interface},
                                                {"until", read_until}}};

std::string unknown_word(std::string_view word) {
  if (Prefix::parse(word) || word.front() == '/') {
    return found(word) + "expected one address or ADDRESS/LENGTH per line";
  }
  std::vector<std::string_view> known;
  known.reserve(std::size(kConditions));
  for (const Condition& condition : kConditions)
    known.push_back(condition.word);
  const std::string_view meant = nearest(word, known);
  return found(word) + "expected proto, port, iface or until after the address" +
         (meant.empty() ? "" : "; did you mean " + std::string(meant) + "?");
}

// `words` from the second on.
std::string read_conditions(const std::vector<std::string_view>& words, Conditions& into) {
  std::array<bool, kConditions.size()> seen{};
  for (std::size_t i = 1; i < words.size(); i += 2) {
    const std::string word = lower(words[i]);
    std::size_t which = 0;
    while (which < kConditions.size() && kConditions.at(which).word != word)
      ++which;
    if (which == kConditions.size()) return unknown_word(words[i]);
    if (std::exchange(seen.at(which), true)) {
      return found(words[i]) + "expected it once at most on a line";
    }
    if (i + 1 == words.size()) {
      return found(words[i]) + "expected a value after it";
    }
    if (std::string wrong = kConditions.at(which).read(words[i + 1], into); !wrong.empty()) {
      return wrong;
    }
  }
  return "";
}

}  // namespace

IgnoreLine read_ignore_line(std::string_view line) {
  IgnoreLine result;
  if (line.ends_with('\r')) line.remove_suffix(1);
  const std::vector<std::string_view> words = words_of(line.substr(0, line.find('#')));
  if (words.empty()) return result;

  std::optional<Prefix> prefix = Prefix::parse(words[0]);
  if (!prefix) {
    prefix = with_dotted_mask(words[0]);
    if (!prefix) {
      result.error = complaint(words[0]);
      return result;
    }
    result.warning = in_quotes(words[0]) + " is read as " + prefix->text() +
                     (prefix->is_host() ? "" : ", which says the same");
  }
  result.error = read_conditions(words, result.conditions);
  if (result.error.empty()) result.prefix = prefix;
  return result;
}

}  // namespace portsentry::monitor
