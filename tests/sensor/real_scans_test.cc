// What nmap 7.93 really sent: the packets in tests/fuzz/corpus/packet (captured on a veth pair)
// through parser, fragment table and classifier.
#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "sensor/classify.h"
#include "sensor/fragments.h"
#include "sensor/packet.h"

namespace portsentry::sensor {
namespace {

// The probes in one capture; what is none is left out.
std::vector<Segment> probes(const std::string& name) {
  const std::string path = PORTSENTRY_SOURCE_ROOT "/tests/fuzz/corpus/packet/" + name;
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"),
                                                             std::fclose);
  std::vector<Segment> found;
  EXPECT_TRUE(file) << path;
  if (!file) return found;
  std::vector<std::byte> bytes(4096);
  bytes.resize(std::fread(bytes.data(), 1, bytes.size(), file.get()));
  ByteReader reader(bytes);
  FragmentTable fragments;
  SensorTally tally;
  while (const auto kind = reader.u8()) {
    const auto length = reader.u8();
    const auto packet = reader.take(length.value_or(0));
    EXPECT_TRUE(packet) << path;
    if (!packet) break;
    const Parsed parsed = parse(*packet, *kind == 0 ? 0x0800 : 0x86dd);
    if (const auto* segment = std::get_if<Segment>(&parsed)) found.push_back(*segment);
    if (const auto* piece = std::get_if<HeaderPiece>(&parsed)) {
      const auto whole = fragments.add(*piece, Clock::time_point{}, tally);
      found.insert(found.end(), whole.begin(), whole.end());
    }
  }
  return found;
}

// The ports that were probed, each of them with this name.
std::set<unsigned> ports_of(const std::string& name, std::optional<ScanKind> kind) {
  std::set<unsigned> ports;
  for (const Segment& probe : probes(name)) {
    EXPECT_EQ(classify(probe.protocol, probe.flags), kind) << name;
    ports.insert(probe.target_port);
  }
  return ports;
}

const std::set<unsigned> kThree{21, 22, 23};

TEST(RealScans, StealthScansHaveTheirNames) {
  EXPECT_EQ(ports_of("nmap-sS", ScanKind::syn), kThree);
  EXPECT_EQ(ports_of("nmap-sT", ScanKind::syn), kThree);
  EXPECT_EQ(ports_of("nmap-sF", ScanKind::fin), kThree);
  EXPECT_EQ(ports_of("nmap-sN", ScanKind::null), kThree);
  EXPECT_EQ(ports_of("nmap-sX", ScanKind::xmas), kThree);
}

TEST(RealScans, AckAndMaimonScansStayUnclaimed) {
  EXPECT_EQ(ports_of("nmap-sA", std::nullopt), kThree);
  EXPECT_EQ(ports_of("nmap-sM", std::nullopt), kThree);
}

TEST(RealScans, AUdpScanIsSeen) {
  EXPECT_EQ(ports_of("nmap-sU", ScanKind::udp).size(), 2U);  // two payloads for one of its ports
}

TEST(RealScans, FragmentsOfEightAndSixteenBytesAreSeenThrough) {
  EXPECT_EQ(ports_of("nmap-fragments", ScanKind::syn).size(), 2U);  // six packets of nine
  EXPECT_EQ(ports_of("nmap-fragments16", ScanKind::syn).size(), 2U);
  for (const char* name : {"nmap-fragments", "nmap-fragments16"}) {
    for (const Segment& probe : probes(name))
      EXPECT_TRUE(probe.fragmented) << name;
  }
}

TEST(RealScans, IPv6ScansAreSeen) {
  EXPECT_EQ(ports_of("nmap6-sS", ScanKind::syn), kThree);
  EXPECT_EQ(ports_of("nmap6-sU", ScanKind::udp), std::set<unsigned>{161});  // its two payloads
}

TEST(RealScans, IpOptionsAreNoticed) {
  for (const Segment& probe : probes("nmap-ip-options"))
    EXPECT_TRUE(probe.ip_options);
  EXPECT_EQ(ports_of("nmap-ip-options", ScanKind::syn).size(), 2U);
}

TEST(RealScans, SynFinIsAnOddCombination) {
  EXPECT_EQ(ports_of("nmap-data", ScanKind::odd_flags).size(), 2U);
}

}  // namespace
}  // namespace portsentry::sensor
