#include "enforcer/options.h"

#include <gtest/gtest.h>

#include <vector>

namespace portsentry::enforcer {
namespace {

using Action = Options::Action;
using Ground = Options::Ground;
using Arguments = std::vector<std::string_view>;

Result<Options> parse(const Arguments& arguments) {
  return parse_options(arguments);
}

std::string refused(const Arguments& arguments) {
  const auto options = parse(arguments);
  return options ? std::string() : options.error().what;
}

// "TCP_MODE=tcp UDP_MODE=", in the order in which they are set.
std::string set_by(const Arguments& arguments) {
  const auto options = parse(arguments);
  if (!options) return "refused: " + options.error().what;
  std::string all;
  for (const ConfigOverride& o : options->overrides)
    all += (all.empty() ? "" : " ") + o.key + "=" + o.value;
  return all;
}

TEST(Options, NothingGivenServesTheDefaultFileInTheForeground) {
  const auto options = parse({});
  ASSERT_TRUE(options);
  EXPECT_EQ(options->action, Action::serve);
  EXPECT_EQ(options->ground, Ground::foreground);
  EXPECT_EQ(options->config, "/etc/portsentry/portsentry.conf");
  EXPECT_TRUE(options->overrides.empty());
}

TEST(Options, FileAndCheckComeInAnyOrder) {
  for (const auto& arguments : {Arguments{"-t", "-f", "/x"}, {"-f", "/x", "-t"}}) {
    const auto options = parse(arguments);
    ASSERT_TRUE(options);
    EXPECT_EQ(options->action, Action::check);
    EXPECT_EQ(options->config, "/x");
  }
}

TEST(Options, HelpAndVersionAnswerWhateverStandsBesideThem) {
  EXPECT_EQ(parse({"-h"})->action, Action::help);
  EXPECT_EQ(parse({"--help", "-tcp"})->action, Action::help);
  for (const std::string_view word : {"-v", "-V", "--version"})
    EXPECT_EQ(parse({"-tcp", word})->action, Action::version) << word;
}

TEST(Options, AClassicWordReplacesBothModes) {
  EXPECT_EQ(set_by({"-tcp"}), "TCP_MODE=tcp UDP_MODE=");
  EXPECT_EQ(set_by({"-sudp"}), "TCP_MODE= UDP_MODE=sudp");
  EXPECT_EQ(set_by({"-audp", "-atcp"}), "TCP_MODE=atcp UDP_MODE=audp");
  EXPECT_EQ(set_by({"-stcp", "-udp"}), "TCP_MODE=stcp UDP_MODE=udp");
  EXPECT_EQ(set_by({"-tcp", "-tcp"}), "TCP_MODE=tcp UDP_MODE=");
}

TEST(Options, TwoModesOfOneProtocolAreRefused) {
  EXPECT_EQ(refused({"-tcp", "-stcp"}), "-tcp and -stcp are two TCP modes: choose one");
  EXPECT_EQ(refused({"-audp", "-udp"}), "-audp and -udp are two UDP modes: choose one");
  EXPECT_EQ(refused({"--stealth", "--connect"}),
            "--stealth and --connect are two modes: choose one");
  EXPECT_EQ(refused({"-udp", "--connect"}), "-udp and --connect both set the mode: choose one");
}

TEST(Options, AClassicWordGoesWhereItWasStarted) {
  EXPECT_EQ(parse({"-tcp"})->ground, Ground::as_started);
  EXPECT_EQ(parse({"-tcp", "-d"})->ground, Ground::background);
  EXPECT_EQ(parse({"-D"})->ground, Ground::background);
  EXPECT_EQ(parse({"--daemon", "--stealth"})->ground, Ground::background);
  EXPECT_EQ(parse({"-tcp", "-f", "/x"})->ground, Ground::foreground);
  EXPECT_EQ(parse({"--stealth"})->ground, Ground::foreground) << "2.x stays";
  EXPECT_EQ(refused({"-d", "-f", "/x"}),
            "-f stays in the foreground and -d does not: write -c FILE with -d");
}

TEST(Options, TheGuidesWayToCheckIsForThoseWhoAreNotRoot) {
  const auto options = parse({"-tcp", "-c", "/x"});
  ASSERT_TRUE(options);
  EXPECT_TRUE(options->check_unless_root);
  EXPECT_EQ(options->action, Action::serve);
  EXPECT_EQ(options->config, "/x");
  EXPECT_FALSE(parse({"-tcp", "-f", "/x"})->check_unless_root);
  EXPECT_FALSE(parse({"-tcp"})->check_unless_root);
}

TEST(Options, LongOptionsOfTheSecondGenerationSetTheirKeys) {
  EXPECT_EQ(set_by({"--stealth"}), "TCP_MODE=stcp UDP_MODE=sudp");
  EXPECT_EQ(set_by({"--connect"}), "TCP_MODE=tcp UDP_MODE=udp");
  EXPECT_EQ(set_by({"--interface=eth0", "-i", "wlan0"}), "INTERFACES=eth0 wlan0");
  EXPECT_EQ(set_by({"--interface", "ALL_NLO"}), "INTERFACES=");
  EXPECT_EQ(set_by({"-L", "-S"}), "LOCAL_CHECK=0 SERVICE_CHECK=0");
  EXPECT_EQ(set_by({"--disable-local-check"}), "LOCAL_CHECK=0");
  EXPECT_EQ(set_by({"--disable-service-check"}), "SERVICE_CHECK=0");
  EXPECT_EQ(set_by({"--logoutput=stdout", "-l", "syslog", "-l", "stdout"}),
            "LOG_OUTPUT=stdout syslog");
  EXPECT_EQ(parse({"--configfile=/x"})->config, "/x");
  EXPECT_EQ(set_by({"-m", "raw", "--method=pcap", "--debug", "--verbose"}), "");
}

TEST(Options, EveryInterfaceStandsAloneAndLoopbackIsToldApart) {
  EXPECT_EQ(parse({"-i", "ALL"})->warnings.size(), 1U);
  EXPECT_TRUE(parse({"-i", "ALL_NLO"})->warnings.empty());
  const std::string both = "ALL and ALL_NLO are every interface: no other can be named beside them";
  EXPECT_EQ(refused({"-i", "ALL", "-i", "eth0"}), both);
  EXPECT_EQ(refused({"-i", "eth0", "-i", "ALL_NLO"}), both);
}

TEST(Options, AValueIsNeverTakenFromAWordThatHasNone) {
  EXPECT_EQ(refused({"--daemon=yes"}), "--daemon takes no value");
  EXPECT_EQ(refused({"--method=rawfoo"}), "found \"rawfoo\" for --method, expected pcap or raw");
  EXPECT_EQ(refused({"-l", "journal"}),
            "found \"journal\" for --logoutput, expected stdout or syslog");
  EXPECT_EQ(refused({"--interface="}), "--interface needs a value");
}

TEST(Options, WhatIsNotKnownIsRefusedByNameWithTheNearestSpelling) {
  EXPECT_EQ(refused({"-x"}), "unknown argument \"-x\"");
  EXPECT_EQ(refused({"start"}), "unknown argument \"start\"");
  EXPECT_EQ(refused({""}), "unknown argument \"\"");
  EXPECT_EQ(refused({"-TCP"}), "unknown argument \"-TCP\"; did you mean -tcp?");
  EXPECT_EQ(refused({"--stelth"}), "unknown argument \"--stelth\"; did you mean --stealth?");
  EXPECT_EQ(refused({"-f"}), "-f needs a file");
  EXPECT_EQ(refused({"-f", ""}), "-f needs a file");
  EXPECT_EQ(refused({"--migrate"}), "--migrate needs a file");
  EXPECT_EQ(refused({"-f", "/a", "-f", "/b"}), "-f is given twice");
  EXPECT_EQ(refused({"-f", "/a", "-c", "/b"}), "-f and -c both name a configuration file");
}

TEST(Options, MigrateNamesItsFile) {
  const auto options = parse({"--migrate", "/old.conf"});
  ASSERT_TRUE(options);
  EXPECT_EQ(options->action, Action::migrate);
  EXPECT_EQ(options->config, "/old.conf");
}

TEST(Options, TwoProtocolsOfTwoDaemonsAreOneCommand) {
  const auto overrides = [](const Arguments& words) { return parse(words)->overrides; };
  EXPECT_EQ(both_together(overrides({"-tcp"}), overrides({"-udp"})), "portsentry -tcp -udp");
  EXPECT_EQ(both_together(overrides({"-audp"}), overrides({"-stcp"})), "portsentry -stcp -audp");
  EXPECT_EQ(both_together(overrides({"-tcp"}), overrides({"-stcp"})), "") << "both want TCP";
  EXPECT_EQ(both_together(overrides({"-tcp", "-udp"}), overrides({"-udp"})), "");
  EXPECT_EQ(both_together(overrides({"-tcp", "-udp"}), {}), "") << "it runs already";
  EXPECT_EQ(both_together({}, overrides({"-udp"})), "") << "the running one's file decides";
}

TEST(Options, UsageNamesEveryOptionAndExitStatus) {
  for (const std::string_view word : {"-f FILE",
                                      "-t",
                                      "-V",
                                      "-v",
                                      "-h",
                                      "--migrate",
                                      "-tcp",
                                      "-stcp",
                                      "-atcp",
                                      "-udp",
                                      "-sudp",
                                      "-audp",
                                      "-c",
                                      "-d",
                                      "-D",
                                      "--daemon",
                                      "--configfile",
                                      "--logoutput",
                                      "--interface",
                                      "--method",
                                      "--disable-local-check",
                                      "--disable-service-check",
                                      "--stealth",
                                      "--connect",
                                      "--debug",
                                      "--verbose",
                                      "77",
                                      "78",
                                      "/etc/portsentry/portsentry.conf"}) {
    EXPECT_NE(usage().find(word), std::string_view::npos) << word;
  }
}

}  // namespace
}  // namespace portsentry::enforcer
