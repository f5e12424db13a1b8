#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "common/channel.h"
#include "common/wire.h"

namespace portsentry {
namespace {

constexpr std::chrono::seconds kMinute{60};

Address addr(std::string_view text) {
  return *Address::parse(text);
}
Prefix net(std::string_view text) {
  return *Prefix::parse(text);
}
Source src(std::string_view text) {
  return *Source::from_prefix(net(text).address(), net(text).length());
}

BanShown ban_shown() {
  return {.source = src("2001:db8::/64"),
          .state = BanStateShown::not_undone,
          .origin = OriginShown::recovered,
          .backend = Backend::command,
          .proof = Proof::handshake,
          .since = 1,
          .until = 0,
          .offences = 3,
          .recorded = false,
          .trouble = "no undo is known"};
}
EventShown event() {
  return {.id = 7,
          .at = kMaxMoment,
          .kind = "would_ban",
          .subject = net("10.0.0.0/8"),
          .text = "für",
          .until = 5};
}

std::vector<ControlRequest> every_request() {
  return {StatusRequest{},
          CountersAsk{64},
          ListAsk{},
          ListAsk{ListFilter::unverifiable, src("192.0.2.1")},
          WhyAsk{addr("2001:db8::1")},
          BanAsk{net("192.0.2.1")},
          BanAsk{net("192.0.2.1"), kMaxBan, false, std::string(kMaxUserText, 'x')},
          BanAsk{net("2001:db8::/64"), std::nullopt, true, "für immer"},
          UnbanAsk{},
          UnbanAsk{.permanent_too = true},
          UnbanAsk{net("0.0.0.0/0"), kMinute, false},
          AllowListAsk{},
          AllowListAsk{net("::/0")},
          AllowAddAsk{net("10.0.0.0/8")},
          AllowAddAsk{net("10.0.0.0/8"), kMinute, "lab"},
          AllowRemoveAsk{net("10.0.0.0/8")},
          ProtectedAsk{1},
          TopAsk{TopBy::network, kMaxMoment, kMaxEntries},
          WatchAsk{},
          ReloadAsk{},
          ArmAsk{},
          ArmAsk{kMinute},
          ConfirmAsk{1},
          ObserveAsk{},
          FollowFileAsk{},
          SelfTestAsk{},
          FlushAsk{true},
          HistoryAsk{},
          HistoryAsk{5, ~std::uint64_t{0}, net("192.0.2.0/24")},
          ReportAsk{5, src("192.0.2.1")}};
}

std::vector<ControlReply> every_reply() {
  StatusReply status{.version = "0.1.0",
                     .conf_path = "/etc/portsentry/portsentry.conf",
                     .started = 1,
                     .generation = 2,
                     .active = true,
                     .armed = true,
                     .file_tcp = 2,
                     .file_udp = 1,
                     .override_mode = OverrideShown{true, 3, 4},
                     .backend = Backend::command,
                     .inbound_only = false,
                     .holds = true,
                     .enforced = 1,
                     .pending = 2,
                     .failed = 3,
                     .unrecorded = 4,
                     .unverifiable = 5,
                     .permanent = 6,
                     .allowed = 7,
                     .drift = Drift::drifting,
                     .compared = 8,
                     .capacity_percent = 100,
                     .budgets = {{"proven", 1, 2, 3, true, 4}},
                     .protected_entries = 9,
                     .scout = ScoutShown::stale,
                     .sensor_restarts = 10,
                     .processes = {{"sensor", ProcessState::down, 77, 3}, {.name = "enforcer"}},
                     .alarms = {"the disk is full"}};
  return {
      status,
      StatusReply{},
      Refused{RefusedCode::failed, "no"},
      Working{1, 2},
      Done{"done"},
      CounterPage{{{"ignored", 5}}, true},
      CounterPage{},
      BanPage{{ban_shown(), BanShown{.source = src("192.0.2.1")}}, true},
      WhyReply{.address = addr("192.0.2.1")},
      WhyReply{.address = addr("2001:db8::1"),
               .ban = ban_shown(),
               .source = src("2001:db8::/64"),
               .scan_class = "spread",
               .proof = Proof::established,
               .first = 1,
               .last = 0,
               .distinct_ports = 5,
               .offences = 2,
               .touches = {{1, Protocol::tcp, *Port::make(23), ScanKind::xmas, TcpFlags{0x29}},
                           {.at = 2, .protocol = Protocol::udp, .port = *Port::make(65535)}},
               .decision = "ban",
               .reason = "five trap ports",
               .shield = "a next hop",
               .undo = "portsentryctl unban 2001:db8::/64"},
      BanDone{src("192.0.2.1"), 5, true, "narrowed"},
      BanDone{.source = src("192.0.2.1")},
      UnbanDone{1, 2, 3, true},
      AllowedPage{{{net("::/0"), 1, 2, "für"}, {.prefix = net("10.0.0.0/8")}}, true},
      AllowDone{{.prefix = net("10.0.0.0/8")}, 4},
      ProtectedPage{{{net("192.0.2.1"), "next hop"}}, true},
      TopReply{{{"TCP 23", 5, 6}}},
      TopReply{},
      Watching{},
      Watched{event()},
      Watched{{.kind = "armed"}},
      Missed{9},
      ReloadDone{3},
      ModeDone{true, OverrideShown{.armed = true, .since = 1}},
      ModeDone{},
      SelfTestReply{{{"sensor", true, 120, "tracked"}}},
      HistoryPage{{event()}, true},
      ReportPage{
          {{src("192.0.2.1"), "would_ban", "single", 1, 2, 3, 4, kMinute, "x"},
           {.source = src("192.0.2.1"), .outcome = "banned", .ban_time = std::chrono::seconds(0)}},
          true}};
}

template <class Message, class Decode>
void round_trip(const Message& message, Decode decode) {
  const auto bytes = encode(message);
  const auto back = decode(bytes, 0U);
  ASSERT_TRUE(back) << "verb " << message.index();
  EXPECT_EQ(back->index(), message.index());
  EXPECT_EQ(encode(*back), bytes) << "verb " << message.index();
}

TEST(WireControl, EveryVerbSurvivesTheTrip) {
  // Sets of verbs: g++ 12 at -O1 takes gtest's printing of a vector<bool> for a use before initialisation.
  std::set<size_t> asked;
  for (const ControlRequest& request : every_request()) {
    round_trip(request, decode_control_request);
    asked.insert(request.index());
  }
  std::set<size_t> answered;
  for (const ControlReply& reply : every_reply()) {
    round_trip(reply, decode_control_reply);
    answered.insert(reply.index());
  }
  EXPECT_EQ(asked.size(), std::variant_size_v<ControlRequest>) << "a verb without an example here";
  EXPECT_EQ(answered.size(), std::variant_size_v<ControlReply>) << "a verb without an example here";
}

TEST(WireControl, ValuesArriveAsTheyWereSent) {
  const auto ban = decode_control_request(
      encode(ControlRequest(BanAsk{net("192.0.2.7"), kMinute, false, "für"})), 0);
  ASSERT_TRUE(ban);
  EXPECT_EQ(std::get<BanAsk>(*ban).prefix.text(), "192.0.2.7");
  EXPECT_EQ(std::get<BanAsk>(*ban).duration, kMinute);
  EXPECT_EQ(std::get<BanAsk>(*ban).note, "für");
  const auto page = decode_control_reply(encode(ControlReply(BanPage{{ban_shown()}, true})), 0);
  ASSERT_TRUE(page);
  const BanShown shown = std::get<BanPage>(*page).bans.at(0);
  EXPECT_EQ(shown.until, 0) << "which is a moment, and not permanent";
  EXPECT_EQ(shown.proof, Proof::handshake);
  EXPECT_EQ(shown.trouble, "no undo is known");
  EXPECT_TRUE(std::get<BanPage>(*page).more);
  const auto all = decode_control_request(encode(ControlRequest(UnbanAsk{})), 0);
  ASSERT_TRUE(all);
  EXPECT_FALSE(std::get<UnbanAsk>(*all).prefix);
}

TEST(WireControl, NoDescriptorIsEverExpected) {
  for (const ControlRequest& request : every_request())
    EXPECT_FALSE(decode_control_request(encode(request), 1));
  for (const ControlReply& reply : every_reply())
    EXPECT_FALSE(decode_control_reply(encode(reply), 1));
}

TEST(WireControl, AnythingCutShortOrAppendedToIsNothing) {
  for (const ControlRequest& request : every_request()) {
    auto bytes = encode(request);
    bytes.push_back(std::byte{0});
    EXPECT_FALSE(decode_control_request(bytes, 0));
    bytes.pop_back();
    bytes.pop_back();
    // What is left may be a whole message that says less, and then it is exactly that.
    const auto less = decode_control_request(bytes, 0);
    EXPECT_TRUE(!less || encode(*less) == bytes);
  }
}

TEST(WireControl, TwoVerbsInOneMessageAreNone) {
  auto both = encode(ControlRequest(StatusRequest{}));
  const auto flush = encode(ControlRequest(FlushAsk{true}));
  both.insert(both.end(), flush.begin(), flush.end());
  EXPECT_FALSE(decode_control_request(both, 0));
}

TEST(WireControl, RequestsOutOfRangeAreRefused) {
  const auto refused = [](const ControlRequest& request) {
    return !decode_control_request(encode(request), 0);
  };
  EXPECT_TRUE(refused(BanAsk{net("192.0.2.1"), kMaxBan + std::chrono::seconds(1)}));
  EXPECT_TRUE(refused(BanAsk{net("192.0.2.1"), std::chrono::seconds(-1)}));
  EXPECT_TRUE(refused(BanAsk{net("192.0.2.1"), kMinute, true})) << "for a minute and for ever";
  EXPECT_TRUE(refused(BanAsk{.prefix = net("192.0.2.1"), .note = "a\nb"}));
  EXPECT_TRUE(
      refused(BanAsk{.prefix = net("192.0.2.1"), .note = std::string(kMaxUserText + 1, 'a')}));
  EXPECT_TRUE(refused(UnbanAsk{.allow_for = kMinute})) << "everybody is not to be allowed";
  EXPECT_TRUE(refused(AllowAddAsk{.prefix = net("::/0"), .note = "\x1b[2J"}));
  EXPECT_TRUE(refused(ListAsk{ListFilter{0}}));
  EXPECT_TRUE(refused(ListAsk{ListFilter{8}}));
  EXPECT_TRUE(refused(TopAsk{.by = TopBy{5}}));
  EXPECT_TRUE(refused(TopAsk{.limit = 0}));
  EXPECT_TRUE(refused(TopAsk{.limit = kMaxEntries + 1}));
  EXPECT_TRUE(refused(HistoryAsk{.since = kMaxMoment + 1}));
  EXPECT_TRUE(refused(HistoryAsk{.since = -1}));
  EXPECT_TRUE(refused(ConfirmAsk{-1}));
}

TEST(WireControl, APrefixWithHostBitsIsASecondSpellingAndRefused) {
  auto bytes = encode(ControlRequest(AllowRemoveAsk{net("10.0.0.0/8")}));
  ASSERT_TRUE(decode_control_request(bytes, 0));
  // verb, size, prefix, size, address, size, bytes, size, 10, 0, 0, 0
  ASSERT_EQ(bytes.at(8), std::byte{10});
  bytes.at(11) = std::byte{1};
  EXPECT_FALSE(decode_control_request(bytes, 0));
}

TEST(WireControl, TextsAndWordsOfTheDaemonCannotHurtATerminal) {
  const auto refused = [](const ControlReply& reply) {
    return !decode_control_reply(encode(reply), 0);
  };
  EXPECT_TRUE(refused(Refused{RefusedCode::policy, "\x1b[2J"}));
  EXPECT_TRUE(refused(Done{"a\nb"}));
  EXPECT_TRUE(refused(CounterPage{{{"Evil\n", 1}}}));
  EXPECT_TRUE(refused(CounterPage{{{"", 1}}}));
  EXPECT_TRUE(refused(CounterPage{{{std::string(kMaxWord + 1, 'a'), 1}}}));
  EXPECT_TRUE(refused(Watched{{.kind = "two words"}}));
  EXPECT_TRUE(refused(Watched{{.kind = "armed", .text = "\xff"}}));
  EXPECT_TRUE(refused(StatusReply{.conf_path = std::string(kMaxText + 1, '/')}));
  EXPECT_TRUE(refused(StatusReply{.alarms = {"\a"}}));
  EXPECT_TRUE(refused(AllowedPage{{{.prefix = net("::/0"), .note = "\t"}}}));
  EXPECT_TRUE(refused(SelfTestReply{{{"sensor", true, 0, "\r"}}}));
}

TEST(WireControl, NumbersOfTheDaemonStayInRange) {
  const auto refused = [](const ControlReply& reply) {
    return !decode_control_reply(encode(reply), 0);
  };
  EXPECT_TRUE(refused(Refused{RefusedCode{0}, ""}));
  EXPECT_TRUE(refused(Refused{RefusedCode{8}, ""}));
  EXPECT_TRUE(refused(StatusReply{.file_tcp = 3}));
  EXPECT_TRUE(refused(StatusReply{.capacity_percent = 101}));
  EXPECT_TRUE(refused(StatusReply{.drift = Drift{0}}));
  EXPECT_TRUE(refused(StatusReply{.budgets = std::vector<BudgetShown>(9, {.name = "a"})}));
  EXPECT_TRUE(refused(StatusReply{.processes = std::vector<ProcessShown>(13, {.name = "a"})}));
  EXPECT_TRUE(refused(BanDone{.source = src("192.0.2.1"), .until = kMaxMoment + 1}));
  EXPECT_TRUE(refused(CounterPage{std::vector<NamedCount>(kMaxEntries + 1, {"a", 1})}));
  EXPECT_TRUE(
      refused(WhyReply{.address = addr("192.0.2.1"),
                       .touches = std::vector<TouchShown>(
                           33, {.at = 1, .protocol = Protocol::tcp, .port = *Port::make(1)})}));
}

TEST(WireControl, TheFullestRepliesWithoutPagesFitOneMessage) {
  const std::string text(kMaxText, 'x');
  const std::string word(kMaxWord, 'x');
  constexpr auto kMost = ~std::uint64_t{0};
  constexpr auto kMost32 = ~std::uint32_t{0};
  EXPECT_TRUE(fits(StatusReply{
      .version = text,
      .conf_path = text,
      .started = kMaxMoment,
      .generation = kMost32,
      .override_mode = OverrideShown{true, kMaxMoment, kMaxMoment},
      .enforced = kMost,
      .compared = kMaxMoment,
      .budgets = std::vector<BudgetShown>(8, {word, kMost32, kMost32, kMost32, true, kMost}),
      .processes = std::vector<ProcessShown>(12, {word, ProcessState::down, kMost32, kMost}),
      // More than one at a time is rare, and the handler leaves out what does not fit.
      .alarms = std::vector<std::string>(4, std::string(kMaxText, 'x'))}));
  BanShown ban = ban_shown();
  ban.trouble = text;
  ban.until = kMaxMoment;
  EXPECT_TRUE(fits(WhyReply{
      .address = addr("2001:db8::1"),
      .ban = ban,
      .source = src("2001:db8::/64"),
      .scan_class = word,
      .first = kMaxMoment,
      .last = kMaxMoment,
      .touches = std::vector<TouchShown>(
          32, {kMaxMoment, Protocol::udp, *Port::make(65535), ScanKind::connect, TcpFlags{255}}),
      .decision = word,
      .reason = text,
      .shield = text,
      .undo = text}));
  EXPECT_TRUE(fits(SelfTestReply{std::vector<HopShown>(12, {word, true, kMost, text})}));
}

TEST(WireControl, WhoMayOnlyLookCannotChangeAnything) {
  for (const ControlRequest& request : every_request()) {
    const bool looks = is_one_of<StatusRequest, CountersAsk, ListAsk, WhyAsk, AllowListAsk,
                                 ProtectedAsk, TopAsk, WatchAsk, HistoryAsk, ReportAsk>(request);
    EXPECT_EQ(needed(request), looks ? Access::view : Access::change) << request.index();
  }
  EXPECT_EQ(needed(ReloadAsk{}), Access::change);
  EXPECT_EQ(needed(SelfTestAsk{}), Access::change);
}

}  // namespace
}  // namespace portsentry
