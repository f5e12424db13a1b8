#include "ctl/print.h"

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace portsentry::ctl {
namespace {

constexpr std::string_view truth(bool yes) {
  return yes ? "true" : "false";
}

// `text` came over a channel whose far end is trusted to be our daemon, and is printable ASCII
// (wire.cc); quotes and backslashes are what is left to escape.
std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

std::string_view name(Backend backend) {
  switch (backend) {
    case Backend::none:
      return "none";
    case Backend::nftables:
      return "nftables";
    case Backend::command:
      return "command";
  }
  return "";
}

std::string row(std::string_view name, std::string_view value, std::size_t width) {
  std::string line(name);
  line.append(width - name.size() + 2, ' ');
  line += value;
  line += '\n';
  return line;
}

}  // namespace

std::string table(const StatusReply& status, const std::vector<NamedCount>& counters) {
  std::vector<std::pair<std::string_view, std::string>> rows{
      {"detection", status.active ? "active" : "not active"},
      {"mode", status.armed ? "armed" : "observe (nothing is blocked)"},
      {"firewall", std::string(name(status.backend))},
      {"bans in force", std::to_string(status.enforced)},
      {"bans pending", std::to_string(status.pending)},
      {"bans failed", std::to_string(status.failed)},
      {"sensor restarts", std::to_string(status.sensor_restarts)},
  };
  for (const NamedCount& counter : counters) {
    if (counter.value != 0) rows.emplace_back(counter.name, std::to_string(counter.value));
  }
  std::size_t width = 0;
  for (const auto& [label, value] : rows)
    width = std::max(width, label.size());
  std::string text;
  for (const auto& [label, value] : rows)
    text += row(label, value, width);
  return text;
}

std::string json(const StatusReply& status, const std::vector<NamedCount>& counters) {
  std::string text = "{";
  const auto add = [&text](std::string_view key, std::string_view value) {
    text += quoted(key);
    text += ':';
    text += value;
    text += ',';
  };
  add("active", truth(status.active));
  add("observing", truth(!status.armed));
  add("firewall", quoted(name(status.backend)));
  add("enforced", std::to_string(status.enforced));
  add("pending", std::to_string(status.pending));
  add("failed", std::to_string(status.failed));
  add("sensor_restarts", std::to_string(status.sensor_restarts));
  text += "\"counters\":{";
  bool first = true;
  for (const NamedCount& counter : counters) {
    if (!std::exchange(first, false)) text += ',';
    text += quoted(counter.name) + ":" + std::to_string(counter.value);
  }
  return text + "}}\n";
}

}  // namespace portsentry::ctl
