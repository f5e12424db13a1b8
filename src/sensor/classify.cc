#include "sensor/classify.h"

namespace portsentry::sensor {

std::optional<ScanKind> classify(Protocol protocol, TcpFlags flags) {
  if (protocol == Protocol::udp) return ScanKind::udp;
  if ((flags.bits & (TcpFlags::ack | TcpFlags::rst)) != 0) return std::nullopt;
  if (flags.bits == 0) return ScanKind::null;

  constexpr std::uint8_t kNamed = TcpFlags::fin | TcpFlags::syn | TcpFlags::psh | TcpFlags::urg;
  const std::uint8_t named = flags.bits & kNamed;
  constexpr std::uint8_t kXmas = TcpFlags::fin | TcpFlags::urg | TcpFlags::psh;
  if (named == TcpFlags::syn) return ScanKind::syn;
  if (named == TcpFlags::fin) return ScanKind::fin;
  if (named == kXmas || named == (kXmas | TcpFlags::syn)) return ScanKind::xmas;
  return ScanKind::odd_flags;
}

std::optional<ScanKind> classify_stray(Protocol protocol, TcpFlags flags) {
  if (protocol == Protocol::udp || !flags.has(TcpFlags::ack)) return classify(protocol, flags);
  if ((flags.bits & (TcpFlags::rst | TcpFlags::syn)) != 0) return std::nullopt;
  return flags.has(TcpFlags::fin) ? ScanKind::maimon : ScanKind::ack;
}

}  // namespace portsentry::sensor
