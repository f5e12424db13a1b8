#include "sensor/own_flows.h"

#include <algorithm>
#include <bit>

namespace portsentry::sensor {

static_assert(std::has_single_bit(OwnFlows::kBuckets));

namespace {

constexpr std::uint16_t kFirstUnprivileged = 1024;

bool looks_like_an_answer(const Segment& incoming, const EphemeralPorts& ephemeral) {
  return incoming.source_port < kFirstUnprivileged && ephemeral.contains(incoming.target_port);
}

// The broadcast address of a network is not known here; nearly always it ends so. Where such an
// address is a host's, its neighbours are expected as well, and nothing else comes of it.
bool goes_to_many(const Address& target) {
  return target.is_multicast() || (target.is_v4() && target.bytes().back() == std::byte{255});
}

// Whoever they are: no flow has this for its peer.
Address anybody() {
  return Address::v4(0, 0, 0, 0);
}

}  // namespace

OwnFlows::OwnFlows(const HashKey& seed, Clock::time_point born, const EphemeralPorts& ephemeral)
    : seed_(seed), born_(born), ephemeral_(ephemeral), buckets_(kBuckets) {}

std::uint64_t OwnFlows::hash_of(const Address& local, std::uint16_t local_port, const Address& peer,
                                std::uint16_t peer_port) const {
  const AddressWords here = words_of(local);
  const AddressWords there = words_of(peer);
  const std::uint64_t ports = (std::uint64_t{local_port} << 16U) | peer_port;
  return keyed_hash(seed_, {here.high, here.low, there.high, there.low, ports});
}

void OwnFlows::sent(const Segment& outgoing, Clock::time_point now) {
  const bool many = goes_to_many(outgoing.target);
  const std::uint64_t hash =
      hash_of(outgoing.source, outgoing.source_port, many ? anybody() : outgoing.target,
              many ? std::uint16_t{0} : outgoing.target_port);
  Bucket& bucket = buckets_[hash % kBuckets];
  auto place = std::find_if(bucket.begin(), bucket.end(),
                            [hash](const Flow& flow) { return flow.used && flow.hash == hash; });
  if (place == bucket.end()) {
    // Unused places are older than any flow.
    place = std::min_element(bucket.begin(), bucket.end(), [](const Flow& a, const Flow& b) {
      return a.used != b.used ? b.used : a.sent < b.sent;
    });
  }
  *place = {.hash = hash, .sent = now, .used = true};
}

bool OwnFlows::answers(const Segment& incoming, Clock::time_point now, bool neighbour) const {
  if (now - born_ <= kYoung && looks_like_an_answer(incoming, ephemeral_)) return true;
  const Address& here = incoming.target;
  return knows(hash_of(here, incoming.target_port, incoming.source, incoming.source_port), now) ||
         (neighbour && knows(hash_of(here, incoming.target_port, anybody(), 0), now));
}

bool OwnFlows::knows(std::uint64_t hash, Clock::time_point now) const {
  const Bucket& bucket = buckets_[hash % kBuckets];
  return std::any_of(bucket.begin(), bucket.end(), [hash, now](const Flow& flow) {
    return flow.used && flow.hash == hash && now - flow.sent <= kLifetime;
  });
}

}  // namespace portsentry::sensor
