#include "monitor/evidence_book.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace portsentry::monitor {
namespace {

int strength(Proof proof) {
  switch (proof) {
    case Proof::forgeable:
      return 0;
    case Proof::established:
      return 1;
    case Proof::handshake:
      return 2;
  }
  return 0;
}

bool same_place(const SeenProbe& probe, Protocol protocol, Port port) {
  return probe.protocol == protocol && probe.port == port;
}

void add_probe(std::vector<SeenProbe>& probes, const Detection& detection, std::time_t now) {
  const SeenProbe::Packet packet{detection.address, detection.target, detection.kind,
                                 detection.flags};
  SeenProbe seen{.at = now,
                 .protocol = detection.protocol,
                 .port = detection.port,
                 .times = 1,
                 .packet = packet};
  // The port was touched by the same kind of packet, or nobody knew by which.
  const auto known = std::find_if(probes.begin(), probes.end(), [&](const SeenProbe& probe) {
    return same_place(probe, detection.protocol, detection.port) &&
           (!probe.packet || *probe.packet == packet);
  });
  if (known != probes.end()) {
    if (known->packet) seen.times = known->times + 1;
    probes.erase(known);
  }
  probes.insert(probes.begin(), seen);
}

void add_touch(std::vector<SeenProbe>& probes, const Touch& touch, std::time_t now) {
  const bool known = std::any_of(probes.begin(), probes.end(), [&](const SeenProbe& probe) {
    return same_place(probe, touch.protocol, touch.port);
  });
  if (known) return;
  const std::time_t age = touch.age.count();
  probes.push_back({.at = now > age ? now - age : 0,
                    .protocol = touch.protocol,
                    .port = touch.port,
                    .times = 1,
                    .packet = {}});
}

}  // namespace

bool EvidenceBook::saw(const Detection& detection, const Decision& decision, std::time_t now) {
  forget_old(now);
  const auto [found, is_new] =
      entries_.try_emplace(detection.source, Entry{.probes = {},
                                                   .detections = 0,
                                                   .distinct_ports = 0,
                                                   .how = class_of(detection),
                                                   .proof = detection.proof,
                                                   .first = now,
                                                   .last = now,
                                                   .decision = decision});
  Entry& entry = found->second;
  const bool news = is_new || entry.decision.reason != decision.reason ||
                    class_of(detection) > entry.how || now < entry.told ||
                    now - entry.told >= std::chrono::seconds(kNewsAgain).count();
  if (news) entry.told = now;
  if (!is_new) ranks_.erase({entry.how, entry.last, detection.source});
  entry.detections += 1;
  entry.distinct_ports = detection.distinct_ports;
  entry.how = std::max(entry.how, class_of(detection));
  if (strength(detection.proof) > strength(entry.proof)) entry.proof = detection.proof;
  entry.last = now;
  entry.decision = decision;
  add_probe(entry.probes, detection, now);
  for (const Touch& touch : detection.touches)
    add_touch(entry.probes, touch, now);
  std::stable_sort(entry.probes.begin(), entry.probes.end(),
                   [](const SeenProbe& a, const SeenProbe& b) { return a.at > b.at; });
  if (entry.probes.size() > kMaxProbes)
    entry.probes.erase(entry.probes.begin() + kMaxProbes, entry.probes.end());
  ranks_.emplace(entry.how, entry.last, detection.source);
  if (entries_.size() <= kMaxSources) return news;
  // Not the one that came just now, unless everybody else is worse.
  auto least = ranks_.begin();
  if (std::get<Source>(*least) == detection.source && std::next(least) != ranks_.end() &&
      std::get<BanClass>(*std::next(least)) == entry.how) {
    ++least;
  }
  entries_.erase(std::get<Source>(*least));
  ranks_.erase(least);
  return news;
}

const std::pair<const Source, EvidenceBook::Entry>* EvidenceBook::of(const Address& address) const {
  for (const bool exact : {true, false}) {
    const auto found = entries_.find(Source::of(address, exact));
    if (found != entries_.end()) return &*found;
  }
  return nullptr;
}

// Of each class the oldest, if it is too old: more come than go only until all are young.
void EvidenceBook::forget_old(std::time_t now) {
  const std::time_t kept = std::chrono::seconds(kKept).count();
  const Source lowest = Source::of(Address::v4(0, 0, 0, 0), true);
  for (const BanClass how : {BanClass::single, BanClass::spread, BanClass::proven}) {
    const auto oldest = ranks_.lower_bound({how, 0, lowest});
    if (oldest == ranks_.end() || std::get<BanClass>(*oldest) != how) continue;
    if (std::get<std::time_t>(*oldest) > now - kept) continue;
    entries_.erase(std::get<Source>(*oldest));
    ranks_.erase(oldest);
  }
}

}  // namespace portsentry::monitor
