#include "sensor/noise.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

namespace portsentry::sensor {
namespace {

struct Row {
  Protocol protocol;
  std::uint16_t port;
  std::string_view who;  // for the reader
};

// Neither SSH nor file sharing (TCP 139, 445), the desktop or a database: a neighbour who tries
// those on a host that has no such service is what a trap is for.
// clang-format off
constexpr auto kNoise = std::to_array<Row>({
    {Protocol::udp,    67, "DHCP: clients to servers"},
    {Protocol::udp,    68, "DHCP: servers to clients"},
    {Protocol::udp,   137, "NetBIOS: who has this name?"},
    {Protocol::udp,   138, "NetBIOS: announcements"},
    {Protocol::udp,   520, "RIP: routers tell their routes"},
    {Protocol::udp,   521, "RIPng"},
    {Protocol::udp,   546, "DHCPv6: servers to clients"},
    {Protocol::udp,   547, "DHCPv6: clients to servers"},
    {Protocol::udp,   631, "IPP: printers browse"},
    {Protocol::tcp,   631, "IPP: desktops ask whoever might be a printer"},
    {Protocol::udp,  1900, "SSDP: UPnP"},
    {Protocol::udp,  1985, "HSRP: routers agree who serves"},
    {Protocol::udp,  2029, "HSRP for IPv6"},
    {Protocol::udp,  3222, "GLBP"},
    {Protocol::udp,  3702, "WSD: Windows and scanners discover"},
    {Protocol::udp,  5353, "mDNS"},
    {Protocol::udp,  5355, "LLMNR"},
    {Protocol::udp,  5678, "MNDP: MikroTik routers"},
    {Protocol::udp,  6771, "BitTorrent's local peer discovery"},
    {Protocol::tcp,  7070, "AnyDesk looks for its like"},
    {Protocol::tcp,  7680, "Windows shares its updates"},
    {Protocol::udp, 10001, "Ubiquiti devices"},
    {Protocol::udp, 17500, "Dropbox on the LAN"},
    {Protocol::udp, 27036, "Steam streams in the house"},
    {Protocol::udp, 32412, "Plex players"},
    {Protocol::udp, 32414, "Plex players"},
    {Protocol::udp, 57621, "Spotify Connect"},
});
// clang-format on

}  // namespace

bool is_discovery_port(Protocol protocol, Port port) {
  return std::ranges::any_of(kNoise, [&](const Row& row) {
    return row.protocol == protocol && row.port == port.number();
  });
}

bool is_discovery_noise(const Address& source, Protocol protocol, Port port,
                        const LocalView& view) {
  return is_discovery_port(protocol, port) && (source.is_link_local() || view.is_on_link(source));
}

}  // namespace portsentry::sensor
