#include "common/wire.h"

#include <gtest/gtest.h>

#include <string>

#include "common/counters.h"

namespace portsentry {
namespace {

Address addr(std::string_view text) {
  return *Address::parse(text);
}
Source src(std::string_view text) {
  const auto prefix = Prefix::parse(text);
  return *Source::from_prefix(prefix->address(), prefix->length());
}

using Raw = std::vector<std::byte>;

Raw raw(std::string_view text) {
  Raw out;
  for (const char c : text)
    out.push_back(static_cast<std::byte>(c));
  return out;
}

Raw join(std::initializer_list<Raw> parts) {
  Raw out;
  for (const Raw& part : parts)
    out.insert(out.end(), part.begin(), part.end());
  return out;
}

// One protobuf field, by hand, so that messages can be built that no encoder of ours would write.
Raw varint(std::uint64_t value) {
  Raw out;
  for (; value >= 0x80; value >>= 7)
    out.push_back(static_cast<std::byte>(value | 0x80));
  out.push_back(static_cast<std::byte>(value));
  return out;
}
Raw number(unsigned field, std::uint64_t value) {
  return join({varint(field << 3), varint(value)});
}
Raw block(unsigned field, const Raw& content) {
  return join({varint((field << 3) | 2), varint(content.size()), content});
}

Raw source_field(unsigned field, std::string_view address, unsigned length) {
  const Address a = addr(address);
  return block(field, join({block(1, block(1, Raw(a.bytes().begin(), a.bytes().end()))),
                            number(2, length)}));
}

// A ban as an honest monitor writes it; the villains below change one thing each.
struct BanBytes {
  std::uint64_t id = 7;
  Raw source = source_field(2, "192.0.2.9", 32);
  std::uint64_t seconds = 60;
  std::uint64_t protocol = 6;
  std::uint64_t port = 23;
  [[nodiscard]] Raw message() const {
    return block(
        2, join({number(1, id), source, number(3, seconds), number(4, protocol), number(5, port)}));
  }
};

const Ban kBan{7, src("192.0.2.9"), std::chrono::seconds(60), {Protocol::tcp, *Port::make(23)}};

Detection detection() {
  return {.source = src("2001:db8::/64"),
          .address = addr("2001:db8::7"),
          .target = addr("2001:db8:1::1"),
          .protocol = Protocol::tcp,
          .port = *Port::make(65535),
          .kind = ScanKind::odd_flags,
          .flags = TcpFlags{0x03},
          .distinct_ports = 1000,
          .first = true,
          .ip_options = true,
          .fragmented = true};
}

Evidence evidence(std::size_t touches = kMaxTouches) {
  return {src("192.0.2.9"),
          std::vector<Touch>(touches, Touch{Protocol::tcp, *Port::make(65535), kMaxBan}), true};
}

template <class Envelope, class Decode>
void round_trip(const Envelope& message, Decode decode, unsigned descriptors = 0) {
  const auto bytes = encode(message);
  EXPECT_FALSE(bytes.empty());
  const auto back = decode(bytes, descriptors);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->index(), message.index());
  EXPECT_EQ(encode(*back), bytes);
}

TEST(Wire, EveryVerbOfChannelASurvivesTheTrip) {
  for (const MonitorToEnforcer& m : std::initializer_list<MonitorToEnforcer>{
           Accept{},
           kBan,
           Unban{1, src("2001:db8::/64")},
           Restore{~0ULL, src("fd00::1"), kMaxBan},
           RestoreDone{},
           DropSensor{},
           RunCommand{9, Command::run_cmd, src("192.0.2.9"), {Protocol::udp, *Port::make(53)}},
           Ready{},
           ReloadAccept{2},
           ReloadRefuse{3},
           ReloadCommit{4},
           ReloadAbandon{~0U},
           Accept{false},
           Arm{true},
           Arm{false},
           Audit{1},
           ListHeld{},
           TestFirewall{~0ULL},
           RequestReload{},
           Exempt{{}, false},
           Exempt{{*Prefix::parse("0.0.0.0/0"), *Prefix::parse("2001:db8::/33")}, true},
           Exempt{std::vector<Prefix>(kMaxExempt, *Prefix::parse("2001:db8::1")), true},
           Release{1, src("2001:db8::/64")},
           Ban{1, src("192.0.2.9"), std::chrono::seconds(0), {Protocol::tcp, *Port::make(1)}, true},
           Restore{1, src("fd00::1"), std::chrono::seconds(0), true}}) {
    round_trip(m, decode_monitor_to_enforcer);
  }
  for (const EnforcerToMonitor& m : std::initializer_list<EnforcerToMonitor>{
           Outcome{1, Verdict::kernel_refused, ENOENT}, TableCreated{Backend::command, true},
           TableCreated{Backend::none, false}, TableCreated{Backend::nftables, true, true},
           Adopted{src("192.0.2.9"), std::chrono::seconds(0)}, AdoptedDone{},
           SensorLost{true, 31, std::chrono::milliseconds(100), true}, TableLost{1},
           Lifted{src("fd00::1")}, Outcome{2, Verdict::no_command, 0}, ReloadOffer{2, true},
           ReloadFailed{ReloadProblem::other, EPERM, 7}, ResolverLost{}, Audited{1, 100'000, ~0ULL},
           ScoutLost{}, Outcome{3, Verdict::not_read_back, 0}, ReloadFollowed{7}}) {
    round_trip(m, decode_enforcer_to_monitor);
  }
  for (const EnforcerToMonitor& m : std::initializer_list<EnforcerToMonitor>{
           SensorChannel{true}, SensorChannel{false}, CommandOutput{~0ULL},
           ReloadFile{2, ReloadedFile::log_file}, ResolverChannel{}, ScoutChannel{}}) {
    round_trip(m, decode_enforcer_to_monitor, 1);
  }
}

TEST(Wire, EveryVerbOfChannelBSurvivesTheTrip) {
  round_trip(MonitorToSensor(SensorConfig{3, std::chrono::hours(24), 65536, {"eth0", "wg-home"}}),
             decode_monitor_to_sensor);
  round_trip(MonitorToSensor(HandOver{}), decode_monitor_to_sensor);
  round_trip(MonitorToSensor(UseTraps{}), decode_monitor_to_sensor);
  round_trip(SensorToMonitor(Acquitted{src("2001:db8::/64"), Protocol::udp, *Port::make(53)}),
             decode_sensor_to_monitor);
  round_trip(MonitorToSensor(evidence()), decode_monitor_to_sensor);
  round_trip(MonitorToSensor(TestSensor{~0ULL}), decode_monitor_to_sensor);
  round_trip(SensorToMonitor(SensorTested{1, TestHop::classified}), decode_sensor_to_monitor);
  round_trip(SensorToMonitor(evidence()), decode_sensor_to_monitor);
  round_trip(SensorToMonitor(HandedOver{}), decode_sensor_to_monitor);
  round_trip(SensorToMonitor(BindFailed{Protocol::udp, *Port::make(53), EADDRINUSE}),
             decode_sensor_to_monitor);
  round_trip(SensorToMonitor(SensorReady{}), decode_sensor_to_monitor);
  round_trip(SensorToMonitor(detection()), decode_sensor_to_monitor);
  round_trip(SensorToMonitor(SensorCounters{std::vector<std::uint64_t>(kSensorCounters, ~0ULL)}),
             decode_sensor_to_monitor);
}

TEST(Wire, ValuesArriveAsTheyWereSent) {
  const auto ban = decode_monitor_to_enforcer(encode(MonitorToEnforcer(kBan)), 0);
  ASSERT_TRUE(ban);
  EXPECT_EQ(std::get<Ban>(*ban).id, 7U);
  EXPECT_EQ(std::get<Ban>(*ban).source.text(), "192.0.2.9");
  EXPECT_EQ(std::get<Ban>(*ban).duration.count(), 60);
  EXPECT_EQ(std::get<Ban>(*ban).cause.port.number(), 23);
  const auto seen = decode_sensor_to_monitor(encode(SensorToMonitor(detection())), 0);
  ASSERT_TRUE(seen);
  EXPECT_EQ(std::get<Detection>(*seen).address.text(), "2001:db8::7");
  EXPECT_EQ(std::get<Detection>(*seen).flags.bits, 3);
  EXPECT_TRUE(std::get<Detection>(*seen).fragmented);
}

TEST(Wire, AListOfExemptNetworksHasItsLimitAndOneSpellingOfEach) {
  EXPECT_FALSE(decode_monitor_to_enforcer(
      encode(MonitorToEnforcer(
          Exempt{std::vector<Prefix>(kMaxExempt + 1, *Prefix::parse("192.0.2.1")), false})),
      0));
  auto bytes = encode(MonitorToEnforcer(Exempt{{*Prefix::parse("192.0.2.0/24")}, true}));
  ASSERT_TRUE(decode_monitor_to_enforcer(bytes, 0));
  const std::array first{std::byte{192}, std::byte{0}, std::byte{2}, std::byte{0}};
  const auto at = std::search(bytes.begin(), bytes.end(), first.begin(), first.end());
  ASSERT_NE(at, bytes.end());
  *(at + 3) = std::byte{1};  // host bits
  EXPECT_FALSE(decode_monitor_to_enforcer(bytes, 0));
}

TEST(Wire, GenerationZeroWasNeverCommitted) {
  EXPECT_FALSE(decode_enforcer_to_monitor(encode(EnforcerToMonitor(ReloadFollowed{0})), 0));
}

TEST(Wire, EvidenceWithoutOrWithTooManyTouchesIsRefused) {
  EXPECT_FALSE(decode_sensor_to_monitor(encode(SensorToMonitor(evidence(0))), 0));
  EXPECT_FALSE(decode_sensor_to_monitor(encode(SensorToMonitor(evidence(kMaxTouches + 1))), 0));
}

TEST(Wire, OnlyADatagramInBindModeMayHaveNoTarget) {
  Detection seen = detection();
  seen.flags = {};
  seen.target = addr("::");
  EXPECT_FALSE(decode_sensor_to_monitor(encode(SensorToMonitor(seen)), 0));
  seen.kind = ScanKind::connect;
  EXPECT_FALSE(decode_sensor_to_monitor(encode(SensorToMonitor(seen)), 0)) << "TCP has one";
  seen.protocol = Protocol::udp;
  EXPECT_TRUE(decode_sensor_to_monitor(encode(SensorToMonitor(seen)), 0));
}

TEST(Wire, OnlyAConnectionByTcpProvesAHandshake) {
  Detection seen = detection();
  seen.proof = Proof::handshake;
  EXPECT_FALSE(decode_sensor_to_monitor(encode(SensorToMonitor(seen)), 0));
  seen.kind = ScanKind::connect;
  seen.flags = {};
  EXPECT_TRUE(decode_sensor_to_monitor(encode(SensorToMonitor(seen)), 0));
  seen.protocol = Protocol::udp;
  EXPECT_FALSE(decode_sensor_to_monitor(encode(SensorToMonitor(seen)), 0));
}

TEST(Wire, DetectionTellsSoManyTouchesAndNoMore) {
  Detection seen = detection();
  seen.touches.assign(kMaxToldTouches, {Protocol::udp, *Port::make(9), std::chrono::seconds(1)});
  const auto back = decode_sensor_to_monitor(encode(SensorToMonitor(seen)), 0);
  ASSERT_TRUE(back);
  EXPECT_EQ(std::get<Detection>(*back).touches.size(), kMaxToldTouches);
  seen.touches.push_back(seen.touches.front());
  EXPECT_FALSE(decode_sensor_to_monitor(encode(SensorToMonitor(seen)), 0));
}

TEST(Wire, AConnectionHasNoFlags) {
  Detection seen = detection();
  seen.kind = ScanKind::connect;
  EXPECT_FALSE(decode_sensor_to_monitor(encode(SensorToMonitor(seen)), 0));
  seen.flags = {};
  EXPECT_TRUE(decode_sensor_to_monitor(encode(SensorToMonitor(seen)), 0));
}

TEST(Wire, AVerbWithADescriptorIsRefusedWithoutIt) {
  EXPECT_FALSE(decode_enforcer_to_monitor(encode(EnforcerToMonitor(CommandOutput{1})), 0));
  EXPECT_FALSE(decode_enforcer_to_monitor(
      encode(EnforcerToMonitor(ReloadFile{2, ReloadedFile::config})), 0));
  EXPECT_FALSE(decode_enforcer_to_monitor(encode(EnforcerToMonitor(ReloadOffer{2, true})), 1));
}

TEST(Wire, AnAnswerToNoGenerationIsRefused) {
  EXPECT_FALSE(decode_monitor_to_enforcer(encode(MonitorToEnforcer(ReloadCommit{0})), 0));
  EXPECT_FALSE(decode_enforcer_to_monitor(encode(EnforcerToMonitor(ReloadOffer{0, false})), 0));
}

TEST(Wire, HandMadeBytesOfAnHonestBanAreAccepted) {
  EXPECT_EQ(BanBytes().message(), encode(MonitorToEnforcer(kBan)));
  EXPECT_TRUE(decode_monitor_to_enforcer(BanBytes().message(), 0));
}

TEST(Wire, BanWithOneValueOutOfRangeIsRefused) {
  const std::vector<std::pair<const char*, BanBytes>> villains{
      {"id 0", {.id = 0}},
      {"no source", {.source = {}}},
      {"IPv4 /24", {.source = source_field(2, "192.0.2.0", 24)}},
      {"everything", {.source = source_field(2, "0.0.0.0", 0)}},
      {"IPv6 /48", {.source = source_field(2, "2001:db8::", 48)}},
      {"host bits in a /64", {.source = source_field(2, "2001:db8::1", 64)}},
      {"length 300", {.source = source_field(2, "192.0.2.9", 300)}},
      {"5-byte address",
       {.source = block(2, join({block(1, block(1, raw("12345"))), number(2, 32)}))}},
      {"empty address", {.source = block(2, join({block(1, block(1, raw(""))), number(2, 32)}))}},
      {"v4-mapped address",
       {.source = block(
            2, join({block(1, block(1, join({Raw(10), raw("\xff\xff\x7f"), Raw(2), raw("\x01")}))),
                     number(2, 32)}))}},
      {"0 seconds", {.seconds = 0}},
      {"a year and a second", {.seconds = 31'536'001}},
      {"2^64-1 seconds", {.seconds = ~0ULL}},
      {"protocol 0", {.protocol = 0}},
      {"ICMP", {.protocol = 1}},
      {"protocol -1", {.protocol = ~0ULL}},
      {"port 0", {.port = 0}},
      {"port 65536", {.port = 65536}},
      {"port 2^32+23", {.port = (1ULL << 32) + 23}},
  };
  for (const auto& [what, villain] : villains)
    EXPECT_FALSE(decode_monitor_to_enforcer(villain.message(), 0)) << what;
}

TEST(Wire, ShapeThatIsNotExactlyOursIsRefused) {
  const Raw honest = BanBytes().message();
  const Raw accept = block(1, {});
  EXPECT_FALSE(decode_monitor_to_enforcer({}, 0)) << "empty";
  EXPECT_FALSE(decode_monitor_to_enforcer(raw("\xff\xff\xff\xff"), 0)) << "no protobuf";
  for (std::size_t size = 0; size < honest.size(); ++size) {
    EXPECT_FALSE(decode_monitor_to_enforcer(Bytes(honest).first(size), 0))
        << "truncated to " << size;
  }
  EXPECT_FALSE(decode_monitor_to_enforcer(join({accept, honest}), 0)) << "two arms";
  EXPECT_FALSE(decode_monitor_to_enforcer(join({honest, honest}), 0)) << "one arm twice";
  EXPECT_FALSE(decode_monitor_to_enforcer(join({honest, number(99, 1)}), 0)) << "unknown field";
  EXPECT_FALSE(decode_monitor_to_enforcer(number(99, 1), 0)) << "only an unknown field";
  EXPECT_FALSE(decode_monitor_to_enforcer(block(1, number(2, 1)), 0)) << "unknown field inside";
  EXPECT_FALSE(decode_monitor_to_enforcer(join({honest, Raw(1)}), 0)) << "a byte too many";
  EXPECT_FALSE(decode_monitor_to_enforcer(
      block(2, join({number(5, 23), number(1, 7), source_field(2, "192.0.2.9", 32), number(3, 60),
                     number(4, 6)})),
      0))
      << "fields in another order";
  Raw padded = honest;
  padded.resize(kSensorCounters * 1000, std::byte{0});
  EXPECT_FALSE(decode_monitor_to_enforcer(padded, 0)) << "above the cap";
}

TEST(Wire, DescriptorsAreExactlyAsExpected) {
  const auto channel = encode(EnforcerToMonitor(SensorChannel{false}));
  EXPECT_FALSE(decode_enforcer_to_monitor(channel, 0));
  EXPECT_TRUE(decode_enforcer_to_monitor(channel, 1));
  EXPECT_FALSE(decode_enforcer_to_monitor(channel, 2));
  EXPECT_FALSE(decode_enforcer_to_monitor(encode(EnforcerToMonitor(AdoptedDone{})), 1));
  EXPECT_FALSE(decode_monitor_to_enforcer(encode(MonitorToEnforcer(kBan)), 1));
  EXPECT_FALSE(decode_sensor_to_monitor(encode(SensorToMonitor(SensorReady{})), 1));
}

TEST(Wire, DetectionThatContradictsItselfIsRefused) {
  const auto refused = [](auto change) {
    Detection d = detection();
    change(d);
    return !decode_sensor_to_monitor(encode(SensorToMonitor(d)), 0);
  };
  EXPECT_TRUE(refused([](Detection& d) { d.address = addr("2001:db9::7"); }))
      << "address outside its source";
  EXPECT_TRUE(refused([](Detection& d) { d.target = addr("192.0.2.1"); }))
      << "target of another family";
  EXPECT_TRUE(refused([](Detection& d) { d.kind = ScanKind::udp; })) << "UDP scan over TCP";
  EXPECT_TRUE(refused([](Detection& d) { d.protocol = Protocol::udp; })) << "TCP scan over UDP";
  EXPECT_TRUE(refused([](Detection& d) {
    d.protocol = Protocol::udp;
    d.kind = ScanKind::udp;
  })) << "flags on UDP";
  EXPECT_TRUE(refused([](Detection& d) { d.distinct_ports = 0; }));
  EXPECT_TRUE(refused([](Detection& d) { d.distinct_ports = kMaxTrigger + 1; }));
}

TEST(Wire, SensorConfigOutOfRangeIsRefused) {
  const auto refused = [](SensorConfig c) {
    return !decode_monitor_to_sensor(encode(MonitorToSensor(c)), 0);
  };
  EXPECT_FALSE(refused({1, std::chrono::seconds(1), 16, {}}));
  EXPECT_TRUE(refused({0, std::chrono::seconds(1), 16, {}}));
  EXPECT_TRUE(refused({kMaxTrigger + 1, std::chrono::seconds(1), 16, {}}));
  EXPECT_TRUE(refused({1, std::chrono::seconds(0), 16, {}}));
  EXPECT_TRUE(refused({1, kMaxBan + std::chrono::seconds(1), 16, {}}));
  EXPECT_TRUE(refused({1, std::chrono::seconds(1), 15, {}}));
  EXPECT_TRUE(refused({1, std::chrono::seconds(1), kMaxSources + 1, {}}));
  EXPECT_TRUE(refused({1, std::chrono::seconds(1), 16, {""}}));
  EXPECT_TRUE(refused({1, std::chrono::seconds(1), 16, {"sixteen-letters-"}}));
  EXPECT_TRUE(refused({1, std::chrono::seconds(1), 16, {"eth 0"}}));
  EXPECT_TRUE(refused(
      {1, std::chrono::seconds(1), 16, std::vector<std::string>(kMaxInterfaces + 1, "eth0")}));
}

TEST(Wire, CountersOfAnotherLengthAreRefused) {
  for (const std::size_t size : {std::size_t{1}, kSensorCounters - 1, kSensorCounters + 1}) {
    EXPECT_FALSE(decode_sensor_to_monitor(
        encode(SensorToMonitor(SensorCounters{std::vector<std::uint64_t>(size, 1)})), 0));
  }
}

TEST(Wire, NumbersFromTheEnforcerStayInRange) {
  EXPECT_FALSE(
      decode_enforcer_to_monitor(encode(EnforcerToMonitor(Outcome{0, Verdict::ok, 0})), 0));
  EXPECT_FALSE(
      decode_enforcer_to_monitor(encode(EnforcerToMonitor(Outcome{1, Verdict::ok, 5000})), 0));
  EXPECT_FALSE(decode_enforcer_to_monitor(encode(EnforcerToMonitor(Outcome{1, Verdict{9}, 0})), 0));
  EXPECT_FALSE(
      decode_enforcer_to_monitor(encode(EnforcerToMonitor(SensorLost{false, 256, {}, false})), 0));
  EXPECT_FALSE(decode_enforcer_to_monitor(
      encode(EnforcerToMonitor(SensorLost{false, 0, std::chrono::milliseconds(60'001), false})),
      0));
}

TEST(Wire, EveryVerbOfChannelRSurvivesTheTrip) {
  for (const char* address : {"192.0.2.9", "2001:db8::7"})
    round_trip(MonitorToResolver(Resolve{~0ULL, addr(address)}), decode_monitor_to_resolver);
  for (const std::string& text : {std::string(), std::string("gate.example-7.ORG."),
                                  std::string("\\000\\032\\255"), std::string(kMaxHostName, 'a')}) {
    round_trip(ResolverToMonitor(HostName{1, text}), decode_resolver_to_monitor);
  }
}

TEST(Wire, AQuestionWithoutAnIdOrAnAddressIsRefused) {
  const Raw address = block(2, block(1, raw(std::string("\xc0\x00\x02\x09", 4))));
  ASSERT_TRUE(decode_monitor_to_resolver(block(1, join({number(1, 7), address})), 0));
  EXPECT_FALSE(decode_monitor_to_resolver(block(1, join({number(1, 7), address})), 1));
  EXPECT_FALSE(decode_monitor_to_resolver(block(1, address), 0));
  EXPECT_FALSE(decode_monitor_to_resolver(block(1, number(1, 7)), 0));
  EXPECT_FALSE(decode_monitor_to_resolver(
      block(1, join({number(1, 7), block(2, block(1, raw("12345")))})), 0));
  EXPECT_FALSE(decode_monitor_to_resolver(block(2, join({number(1, 7), address})), 0));
  EXPECT_FALSE(decode_monitor_to_resolver(raw(""), 0));
}

// A captured resolver, or a name server that found a way around its escaping.
TEST(Wire, AHostNameThatCouldForgeALogLineIsRefused) {
  const auto accepted = [](std::string_view text) {
    return decode_resolver_to_monitor(block(1, join({number(1, 7), block(2, raw(text))})), 0)
        .has_value();
  };
  ASSERT_TRUE(accepted("a.example"));
  ASSERT_TRUE(accepted("a\\010b"));
  for (const std::string_view bad :
       {"a\nb", "a b", "\x1b[2J", "a/b", "a_b", "a\"", "\\", "\\01", "a\\0", "\\1a0", "\\256",
        "\\999", "\\097", "\\045", "\\\\", "\xff", "$(x)"}) {
    EXPECT_FALSE(accepted(bad)) << bad;
  }
  EXPECT_FALSE(accepted(std::string_view("\0", 1)));
  EXPECT_TRUE(accepted(std::string(kMaxHostName, 'a')));
  EXPECT_FALSE(accepted(std::string(kMaxHostName + 1, 'a')));
  EXPECT_FALSE(decode_resolver_to_monitor(block(1, block(2, raw("a"))), 0));
  EXPECT_FALSE(decode_resolver_to_monitor(block(1, number(1, 7)), 1));
}

TEST(Wire, WhatTheScoutFoundArrivesAsItWasSent) {
  round_trip(ScoutToMonitor(SnapshotBegin{}), decode_scout_to_monitor);
  round_trip(ScoutToMonitor(SnapshotEnd{0}), decode_scout_to_monitor);
  round_trip(ScoutToMonitor(SnapshotEnd{7}), decode_scout_to_monitor);
  for (int where = 1; where <= static_cast<int>(kLastFoundIn); ++where) {
    for (const char* address : {"198.51.100.7", "2001:db8::7"}) {
      round_trip(ScoutToMonitor(Found{addr(address), static_cast<FoundIn>(where), 0}),
                 decode_scout_to_monitor);
    }
  }
  round_trip(ScoutToMonitor(Found{addr("198.51.100.7"), FoundIn::logind, 1'756'178'490}),
             decode_scout_to_monitor);
}

// A captured scout: it can name addresses, and only such as somebody could be banned for.
TEST(Wire, AFoundThatCannotBeIsRefused) {
  const auto found = [](std::string_view address, std::uint64_t where, std::uint64_t since) {
    const Address a = addr(address);
    Raw body =
        join({block(1, block(1, Raw(a.bytes().begin(), a.bytes().end()))), number(2, where)});
    if (since != 0) body = join({body, number(3, since)});
    return decode_scout_to_monitor(block(2, body), 0).has_value();
  };
  EXPECT_TRUE(found("198.51.100.7", 8, 5));
  EXPECT_FALSE(found("198.51.100.7", 0, 0));
  EXPECT_FALSE(found("198.51.100.7", 10, 0));
  EXPECT_FALSE(found("198.51.100.7", 1, 5)) << "a resolver has no beginning";
  EXPECT_FALSE(found("198.51.100.7", 8, std::uint64_t{1} << 62U));
  for (const char* never : {"127.0.0.1", "0.0.0.0", "224.0.0.1", "169.254.1.1", "fe80::1", "::1"})
    EXPECT_FALSE(found(never, 1, 0)) << never;
  EXPECT_FALSE(decode_scout_to_monitor(block(1, raw("")), 1)) << "no descriptor ever";
  EXPECT_FALSE(decode_scout_to_monitor(raw(""), 0));
  EXPECT_FALSE(decode_scout_to_monitor(join({block(1, raw("")), block(1, raw(""))}), 0));
}

}  // namespace
}  // namespace portsentry
