#include "monitor/shown.h"

#include <gtest/gtest.h>

#include "common/wire.h"

namespace portsentry::monitor {
namespace {

TEST(Shown, AnEventSaysWhomItIsAbout) {
  const auto source = Source::of(*Address::parse("2001:db8::7"), false);
  const EventShown told = shown(
      Event{.at = 5, .kind = EventKind::banned, .source = source, .until = 9, .detail = "x"}, 3);
  EXPECT_EQ(told.id, 3U);
  EXPECT_EQ(told.at, 5);
  EXPECT_EQ(told.kind, "banned");
  EXPECT_EQ(told.subject->text(), "2001:db8::/64");
  EXPECT_EQ(told.until, 9);
  EXPECT_EQ(told.text, "x");
}

TEST(Shown, WhateverWasStoredFitsAMessageThatItsReaderTakes) {
  for (int kind = 1; kind <= static_cast<int>(kEventNames.size()); ++kind) {
    const EventShown told = shown(Event{.at = -7,
                                        .kind = static_cast<EventKind>(kind),
                                        .until = kMaxMoment + 1,
                                        .detail = "\x1b[2J\xff" + std::string(2000, 'y')},
                                  ~std::uint64_t{0});
    EXPECT_TRUE(decode_control_reply(encode(ControlReply(Watched{told})), 0)) << kind;
  }
  const AllowedShown entry = shown(Allowed{.prefix = *Prefix::parse("10.0.0.0/8"),
                                           .until = -1,
                                           .since = -1,
                                           .note = std::string(300, '\n')});
  EXPECT_TRUE(decode_control_reply(encode(ControlReply(AllowedPage{{entry}, false})), 0));
}

TEST(Shown, WhatIsChangedIsToldAndWhatIsLookedAtIsNot) {
  const Prefix net = *Prefix::parse("2001:db8::/64");
  EXPECT_EQ(command_of(BanAsk{net, std::chrono::seconds(60)}), "ban 2001:db8::/64 --for 60s");
  EXPECT_EQ(command_of(BanAsk{.prefix = net, .permanent = true, .note = "evil\n"}),
            "ban 2001:db8::/64 --permanent");
  EXPECT_EQ(command_of(UnbanAsk{}), "unban all");
  EXPECT_EQ(command_of(UnbanAsk{net, std::chrono::seconds(60), false}),
            "unban 2001:db8::/64 --allow-for 60s");
  EXPECT_EQ(command_of(UnbanAsk{.permanent_too = true}), "unban all --permanent");
  EXPECT_EQ(command_of(FlushAsk{true}), "flush --permanent");
  EXPECT_EQ(command_of(AllowAddAsk{net}), "allow add 2001:db8::/64");
  EXPECT_EQ(command_of(AllowRemoveAsk{net}), "allow remove 2001:db8::/64");
  EXPECT_EQ(command_of(ArmAsk{std::chrono::seconds(300)}), "arm --confirm-within 300s");
  for (const ControlRequest& request : std::initializer_list<ControlRequest>{
           ReloadAsk{}, ConfirmAsk{}, ObserveAsk{}, FollowFileAsk{}, SelfTestAsk{}, FlushAsk{},
           AllowRemoveAsk{net}, AllowAddAsk{net}}) {
    EXPECT_FALSE(command_of(request).empty()) << request.index();
    EXPECT_EQ(needed(request), Access::change);
  }
  for (const ControlRequest& request :
       std::initializer_list<ControlRequest>{StatusRequest{}, ListAsk{}, HistoryAsk{}, WatchAsk{}})
    EXPECT_EQ(command_of(request), "") << request.index();
}

}  // namespace
}  // namespace portsentry::monitor
