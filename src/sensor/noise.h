// How neighbours find each other: the ports of discovery protocols. A printer, a telephone or a
// television that looks for its like touches several of them on every host of its link, all day
// long, and scans nobody. From our own link such a probe is no evidence; from anywhere else it is,
// because these protocols do not cross a router, and who knocks there from afar looks for something
// to misuse (reflectors, file shares). Pure.
//
// What a scanner on our link gains: these few ports, of all, do not count against it.
#pragma once

#include "common/local_view.h"
#include "common/net_types.h"

namespace portsentry::sensor {

// A port that a discovery protocol has; each with its reason in noise.cc.
[[nodiscard]] bool is_discovery_port(Protocol protocol, Port port);

// And from our own link: in a connected network of one of our interfaces, or link-local.
[[nodiscard]] bool is_discovery_noise(const Address& source, Protocol protocol, Port port,
                                      const LocalView& view);

}  // namespace portsentry::sensor
