#include "enforcer/verbs.h"

#include <gtest/gtest.h>

namespace portsentry::enforcer {
namespace {

const Source kSource = *Source::from_prefix(Address::v4(192, 0, 2, 1), 32);
const BanCause kCause{Protocol::tcp, *Port::make(1)};

std::vector<MonitorToEnforcer> every_verb() {
  return {Accept{},
          Ban{1, kSource, std::chrono::seconds(1), kCause},
          Unban{1, kSource},
          Restore{1, kSource, std::chrono::seconds(1)},
          RestoreDone{},
          DropSensor{},
          RunCommand{1, Command::external, kSource, kCause},
          Ready{},
          ReloadAccept{2},
          ReloadRefuse{2},
          ReloadCommit{2},
          ReloadAbandon{2},
          Arm{true},
          Audit{1},
          ListHeld{},
          TestFirewall{1},
          RequestReload{},
          Exempt{},
          Release{1, kSource}};
}

TEST(Verbs, TheTableIsInTheOrderOfTheVariant) {
  const auto verbs = every_verb();
  ASSERT_EQ(verbs.size(), kVerbs.size());
  const std::vector<std::string_view> names{
      "Accept",       "Ban",           "Unban",  "Restore",      "RestoreDone",
      "DropSensor",   "RunCommand",    "Ready",  "ReloadAccept", "ReloadRefuse",
      "ReloadCommit", "ReloadAbandon", "Arm",    "Audit",        "ListHeld",
      "TestFirewall", "RequestReload", "Exempt", "Release"};
  for (std::size_t i = 0; i < verbs.size(); ++i)
    EXPECT_EQ(row_of(verbs[i]).verb, names[i]);
}

TEST(Verbs, OnlyAcceptIsLegalBeforeTheConfigurationIsAccepted) {
  for (const auto& verb : every_verb())
    EXPECT_EQ(legal(verb, Phase::waiting), std::holds_alternative<Accept>(verb));
}

TEST(Verbs, NothingIsLegalWhileTheFirstTableIsBeingMade) {
  for (const auto& verb : every_verb())
    EXPECT_FALSE(legal(verb, Phase::preparing)) << row_of(verb).verb;
}

TEST(Verbs, RestoreIsLegalOnlyInItsWindow) {
  const MonitorToEnforcer restore = every_verb()[3];
  EXPECT_TRUE(legal(restore, Phase::restoring));
  for (const Phase phase : {Phase::waiting, Phase::preparing, Phase::serving})
    EXPECT_FALSE(legal(restore, phase));
}

TEST(Verbs, AcceptIsNeverLegalTwice) {
  for (const Phase phase : {Phase::preparing, Phase::restoring, Phase::serving})
    EXPECT_FALSE(legal(Accept{}, phase));
}

}  // namespace
}  // namespace portsentry::enforcer
