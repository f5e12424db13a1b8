#include "sensor/inquiry.h"

#include <algorithm>
#include <utility>

namespace portsentry::sensor {

bool Inquiry::ask_connections(const Address& address) {
  ends_.clear();
  if (!means_.dump.connections_with(address)) return false;
  what_ = What::connections;
  return true;
}

bool Inquiry::list_ports(Clock::time_point now) {
  bound_ = {};
  asked_ = now;
  listing_ = Listing::tcp_listeners;
  if (!means_.dump.list(listing_)) return false;
  what_ = What::ports;
  return true;
}

void Inquiry::found(const ListedSocket& socket) {
  if (what_ == What::connections) {
    const bool known = std::ranges::any_of(ends_, [&](const ListedSocket& end) {
      return end.local == socket.local && end.local_port == socket.local_port;
    });
    if (!known && ends_.size() < kMostEnds) ends_.push_back(socket);
    return;
  }
  const auto port = Port::make(socket.local_port);
  if (port) (listing_ == Listing::tcp_listeners ? bound_.tcp : bound_.udp).add(*port);
}

void Inquiry::read(const Answers& answers) {
  switch (means_.dump.read([this](const ListedSocket& socket) { found(socket); })) {
    case ListingStep::foreign:
    case ListingStep::more:
      return;
    case ListingStep::failed:
      return finish(answers, false);
    case ListingStep::done:
      break;
  }
  if (what_ != What::ports || listing_ == Listing::udp_v6) return finish(answers, true);
  listing_ = listing_ == Listing::tcp_listeners ? Listing::udp_v4 : Listing::udp_v6;
  // A kernel without IPv6 has nothing to list.
  if (!means_.dump.list(listing_)) finish(answers, listing_ == Listing::udp_v6);
}

void Inquiry::finish(const Answers& answers, bool complete) {
  switch (std::exchange(what_, What::nothing)) {
    case What::nothing:
      return;
    case What::connections:
      return answers.connections(
          std::ranges::any_of(ends_, [this](const ListedSocket& end) { return is_service(end); }));
    case What::ports:
      return answers.ports(complete ? std::optional(bound_) : std::nullopt, asked_);
  }
}

// Whether somebody listens where the connection ends: we may have made it ourselves. Asked as for a
// SYN from a port that nobody has, 0, so that not the connection itself is found.
bool Inquiry::is_service(const ListedSocket& end) {
  const Segment syn{.source = end.remote,
                    .target = end.local,
                    .protocol = Protocol::tcp,
                    .source_port = 0,
                    .target_port = end.local_port,
                    .flags = {TcpFlags::syn},
                    .ip_options = false,
                    .fragmented = false};
  return means_.lookup.ask(syn, end.interface) == Wanted::yes;
}

}  // namespace portsentry::sensor
