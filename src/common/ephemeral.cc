#include "common/ephemeral.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <charconv>

#include "common/unique_fd.h"

namespace portsentry {
namespace {

constexpr const char* kPath = "/proc/sys/net/ipv4/ip_local_port_range";

// One number at the begin of `text`, which it takes off; 0, which no range has, when there is none.
std::uint16_t take_number(std::string_view& text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t'))
    text.remove_prefix(1);
  std::uint16_t number = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  if (read.ec != std::errc{}) return 0;
  text.remove_prefix(static_cast<std::size_t>(read.ptr - text.data()));
  return number;
}

}  // namespace

EphemeralPorts parse_ephemeral_ports(std::string_view text) {
  const std::uint16_t first = take_number(text);
  const std::uint16_t last = take_number(text);
  const bool ends = text.empty() || text == "\n";
  if (first == 0 || last < first || !ends) return {};
  return {.first = first, .last = last};
}

EphemeralPorts read_ephemeral_ports() {
  const UniqueFd fd(::open(kPath, O_RDONLY | O_CLOEXEC));
  std::array<char, 32> text{};
  const ssize_t size = fd ? ::read(fd.get(), text.data(), text.size()) : -1;
  if (size <= 0) return {};
  return parse_ephemeral_ports({text.data(), static_cast<std::size_t>(size)});
}

}  // namespace portsentry
