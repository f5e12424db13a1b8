#include "enforcer/trap_rules.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "enforcer/ruleset.h"

namespace portsentry::enforcer {
namespace {

// Each discrete element of a set costs the kernel a walk over those before it (65,535 of them: 24
// seconds), a range nothing of the kind; nft makes a set of ranges where there is one.
std::string port_list(const PortSet& ports) {
  std::string text;
  for (const auto& [first, last] : ports.ranges()) {
    text += text.empty() ? "{ " : ", ";
    text += std::to_string(first.number());
    if (first != last) text += "-" + std::to_string(last.number());
  }
  return text.empty() ? text : text + " }";
}

bool is_plain(const std::string& interface) {
  return !interface.empty() && std::ranges::all_of(interface, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '@' || c == ':' || c == '-';
  });
}

std::string interface_list(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) {
    text += text.empty() ? "{ \"" : ", \"";
    text += name + "\"";
  }
  return text.empty() ? text : text + " }";
}

// A placeholder's text; nothing: lines with it are left out.
using Value = std::pair<std::string_view, std::optional<std::string>>;

std::optional<std::string> unless_empty(std::string text) {
  if (text.empty()) return std::nullopt;
  return text;
}

// Empty where one of its placeholders has no value.
std::string fill_line(std::string line, std::span<const Value> values) {
  for (const auto& [name, value] : values) {
    const std::string placeholder = "${" + std::string(name) + "}";
    for (std::size_t at = line.find(placeholder); at != std::string::npos;
         at = line.find(placeholder)) {
      if (!value) return {};
      line.replace(at, placeholder.size(), *value);
    }
  }
  return line;
}

std::string fill(std::string_view text, std::span<const Value> values) {
  std::string filled;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
    filled += fill_line(std::string(text.substr(0, end)), values);
    text.remove_prefix(end);
  }
  return filled;
}

// From it on an ACK may be a late word of a connection of ours: by default, and wherever connections
// were opened before somebody narrowed the range.
constexpr std::uint16_t kUsualFirst = 32768;

std::string trap_rules(const Config& config, std::uint16_t group, const EphemeralPorts& ephemeral) {
  const PortSets ports = config.watched_capture();
  const bool at_once = config.scan_trigger <= 1;
  const auto when = [](bool condition) {
    return condition ? std::optional<std::string>("") : std::nullopt;
  };
  const std::vector<Value> common{
      {"TCP_PORTS", unless_empty(port_list(ports.tcp))},
      {"UDP_PORTS", unless_empty(port_list(ports.udp))},
      {"INTERFACES", unless_empty(interface_list(config.interfaces))},
      {"OWN_PORTS", std::to_string(std::min(ephemeral.first, kUsualFirst))},
      {"GROUP", std::to_string(group)},
      {"WINDOW", std::to_string(config.scan_window.count()) + "s"},
      {"EARLIER", at_once ? std::nullopt
                          : std::optional<std::string>(std::to_string(config.scan_trigger - 1))},
      {"AT_FIRST", when(at_once)},
      {"LATER", when(!at_once)},
      {"INBOUND", when(config.ban_scope == BanScope::inbound)},
      // A file that arms neither may be overruled (portsentryctl arm): then both ban.
      {"TCP_OBSERVES", when(config.armed() && config.block_tcp != BlockMode::ban)},
      {"UDP_OBSERVES", when(config.armed() && config.block_udp != BlockMode::ban)},
  };
  struct Kind {
    std::string_view kind, suffix, type, match, key;
  };
  static constexpr std::array<Kind, 3> kKinds{{
      {"IPv4", "4", "ipv4_addr", "meta nfproto ipv4", "ip saddr"},
      {"an IPv6 address of our own links", "6", "ipv6_addr", "ip6 saddr @onlink6", "ip6 saddr"},
      {"an IPv6 site", "6net", "ipv6_addr", "meta nfproto ipv6",
       "ip6 saddr & ffff:ffff:ffff:ffff::"},
  }};
  std::string text = fill(kRulesetTraps, common);
  for (const Kind& kind : kKinds) {
    std::vector<Value> values = common;
    const auto set = [&](std::string_view name, std::string_view value) {
      values.emplace_back(name, std::string(value));
    };
    set("KIND", kind.kind);
    set("S", kind.suffix);
    set("TYPE", kind.type);
    set("MATCH", kind.match);
    set("KEY", kind.key);
    // Headers may be longer than what is told of other packets.
    values.emplace_back("LONG", kind.suffix == "4"
                                    ? std::nullopt
                                    : std::optional<std::string>("ip6 nexthdr != { tcp, udp }"));
    text += fill(kRulesetTouch, values);
  }
  return text;
}

}  // namespace

NoTraps why_no_traps(const Config& config) {
  if (config.hold == Hold::none) return NoTraps::not_wanted;
  if (config.watched_capture().empty()) return NoTraps::nothing_watched;
  if (!config.local_check || !config.service_check) return NoTraps::every_packet;
  if (!std::ranges::all_of(config.interfaces, is_plain)) return NoTraps::interface_names;
  return NoTraps::none;
}

std::string firewall_rules(const Config& config, std::optional<std::uint16_t> group,
                           const EphemeralPorts& ephemeral) {
  std::string rules(kRuleset);
  if (config.ban_scope == BanScope::all) rules += kRulesetAll;
  if (group && why_no_traps(config) == NoTraps::none) {
    rules += trap_rules(config, *group, ephemeral);
  } else {
    rules += kRulesetNoTraps;
  }
  return rules;
}

}  // namespace portsentry::enforcer
