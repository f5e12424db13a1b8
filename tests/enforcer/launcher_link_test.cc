#include "enforcer/launcher_link.h"

#include <gtest/gtest.h>

namespace portsentry::enforcer {
namespace {

Source src(std::string_view text) {
  const auto prefix = Prefix::parse(text);
  return *Source::from_prefix(prefix->address(), prefix->length());
}

std::optional<ModeWord> stealth(Protocol protocol) {
  return ModeWord{.protocol = protocol, .mode = WatchMode::stealth};
}

const BanCause kCause{Protocol::udp, *Port::make(161)};

TEST(LauncherLink, ARunArrivesAsItWasAsked) {
  for (const auto* text : {"192.0.2.9", "2001:db8::9", "2001:db8:1:2::/64"}) {
    const auto command =
        command_of(run_request(7, LauncherCommand::run_cmd, src(text), kCause), stealth);
    ASSERT_TRUE(command) << text;
    EXPECT_EQ(command->id, 7U);
    EXPECT_EQ(command->kind, CommandKind::kill_run_cmd);
    EXPECT_EQ(command->values.source, src(text));
    EXPECT_EQ(command->values.port, Port::make(161));
    EXPECT_EQ(command->values.mode->text(), "sudp");
  }
}

TEST(LauncherLink, WithoutAProbeThereIsNeitherPortNorMode) {
  const auto command = command_of(
      run_request(7, LauncherCommand::kill_route_remove, src("192.0.2.9"), std::nullopt), stealth);
  ASSERT_TRUE(command);
  EXPECT_EQ(command->kind, CommandKind::undo_route);
  EXPECT_FALSE(command->values.port);
  EXPECT_FALSE(command->values.mode);
}

TEST(LauncherLink, ValuesOfNoTypeAreNoCommand) {
  const auto good = run_request(7, LauncherCommand::external, src("192.0.2.9"), kCause);
  ASSERT_TRUE(command_of(good, stealth));
  const auto refused = [&](auto&& spoil) {
    LauncherRequest bad = good;
    spoil(bad);
    EXPECT_FALSE(command_of(bad, stealth));
  };
  refused([](LauncherRequest& r) { r.id = 0; });
  refused([](LauncherRequest& r) { r.command = LauncherCommand::none; });
  refused([](LauncherRequest& r) { r.command = LauncherCommand{99}; });
  refused([](LauncherRequest& r) { r.length = 24; });
  refused([](LauncherRequest& r) { r.v4 = 0; });
  refused([](LauncherRequest& r) { r.protocol = 1; });
  refused([](LauncherRequest& r) { r.port = 0; });  // and a protocol
  refused([](LauncherRequest& r) { r.v4 = 2; });
  refused([](LauncherRequest& r) { r.length = 128; });
  refused([](LauncherRequest& r) { r.address[4] = std::byte{1}; });
  refused([](LauncherRequest& r) { r.padding[6] = 1; });
}

TEST(LauncherLink, OnlyWhatACommandCanComeToIsAVerdict) {
  EXPECT_EQ(verdict_of(4), Verdict::command_failed);
  EXPECT_EQ(verdict_of(1), Verdict::ok);
  for (const std::uint32_t other : {0U, 2U, 10U, 11U, 16U, 99U})
    EXPECT_FALSE(verdict_of(other)) << other;
}

TEST(LauncherLink, ABackendHasOneWord) {
  for (const Backend backend : {Backend::none, Backend::nftables, Backend::command})
    EXPECT_EQ(backend_of_word(backend_word(backend)), backend);
  EXPECT_FALSE(backend_of_word("iptables"));
}

TEST(LauncherLink, NetworksArriveAsTheyWereSentAndNoOthers) {
  std::vector<Prefix> networks{*Prefix::parse("0.0.0.0/0"), *Prefix::parse("192.0.2.0/24"),
                               *Prefix::parse("2001:db8::/32"), *Prefix::parse("::/0")};
  EXPECT_EQ(networks_of(networks_event(networks)), networks);
  EXPECT_EQ(networks_of(networks_event({})), std::vector<Prefix>{});
  networks.assign(kMaxProtectNetworks, *Prefix::parse("192.0.2.0/24"));
  EXPECT_EQ(networks_of(networks_event(networks)), networks);
  LauncherNetworks bad = networks_event(networks);
  bad.count += 1;
  EXPECT_FALSE(networks_of(bad));
  bad = networks_event(networks);
  bad.networks[0].length = 33;
  EXPECT_FALSE(networks_of(bad));
}

}  // namespace
}  // namespace portsentry::enforcer
