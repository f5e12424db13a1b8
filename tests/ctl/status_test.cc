#include "ctl/status.h"

#include <gtest/gtest.h>

#include "samples.h"

namespace portsentry::ctl {
namespace {

const std::vector<NamedCount> kCounters{{"detections", 7}, {"decision_ban", 0}};

TEST(Status, OneScreenWithTheModeFirst) {
  EXPECT_EQ(status_text(busy_status(), kCounters, kNow, kPipe),
            "mode           armed, by `arm` of 2026-11-18 11:05:40, for 4m more unless it is "
            "confirmed; the file says BLOCK_TCP=\"0\" BLOCK_UDP=\"0\"\n"
            "ALARM          the sensor died\n"
            "detection      active\n"
            "firewall       nftables, scope inbound (replies to our own connections pass)\n"
            "bans           12 enforced, 1 pending, 2 failed, 5 permanent, 4 unverifiable (made by "
            "a command), 3 not on the disk yet\n"
            "drift          none: the kernel holds what is wanted (compared 12s ago)\n"
            "capacity       1 % of the fullest set\n"
            "protected      7\n"
            "allowed        6\n"
            "budget proven  300 of 300 left, 30 a second\n"
            "budget single  0 of 300 left, 30 a second, 1203 turned away; SPENT: alerts only\n"
            "daemon         0.1.0, up 3h 12m, configuration 3 of /etc/portsentry/portsentry.conf\n"
            "\n"
            "PROCESS  STATE     PID  RESTARTS  SANDBOX\n"
            "monitor  running  4711         0  on\n"
            "sensor   down        -         1  -\n"
            "\n"
            "detections  7\n");
}

TEST(Status, ANarrowTerminalWrapsEachValue) {
  EXPECT_EQ(status_text(busy_status(), kCounters, kNow, kNarrow),
            "mode           armed, by `arm` of\n"
            "               2026-11-18 11:05:40, for\n"
            "               4m more unless it is\n"
            "               confirmed; the file says\n"
            "               BLOCK_TCP=\"0\"\n"
            "               BLOCK_UDP=\"0\"\n"
            "ALARM          the sensor died\n"
            "detection      active\n"
            "firewall       nftables, scope inbound\n"
            "               (replies to our own\n"
            "               connections pass)\n"
            "bans           12 enforced, 1 pending, 2\n"
            "               failed, 5 permanent, 4\n"
            "               unverifiable (made by a\n"
            "               command), 3 not on the\n"
            "               disk yet\n"
            "drift          none: the kernel holds\n"
            "               what is wanted (compared\n"
            "               12s ago)\n"
            "capacity       1 % of the fullest set\n"
            "protected      7\n"
            "allowed        6\n"
            "budget proven  300 of 300 left, 30 a\n"
            "               second\n"
            "budget single  0 of 300 left, 30 a\n"
            "               second, 1203 turned away;\n"
            "               SPENT: alerts only\n"
            "daemon         0.1.0, up 3h 12m,\n"
            "               configuration 3 of\n"
            "               /etc/portsentry/portsentr\n"
            "               y.conf\n"
            "\n"
            "PROCESS   monitor\n"
            "STATE     running\n"
            "PID       4711\n"
            "RESTARTS  0\n"
            "SANDBOX   on\n"
            "\n"
            "PROCESS   sensor\n"
            "STATE     down\n"
            "PID       -\n"
            "RESTARTS  1\n"
            "SANDBOX   -\n"
            "\n"
            "detections  7\n");
}

TEST(Status, JsonHasStableKeysAndEveryCounter) {
  EXPECT_EQ(
      status_json(busy_status(), kCounters),
      R"({"version":1,"verb":"status","active":true,"armed":true,"observing":false,)"
      R"("override":{"armed":true,"since":1794999940,"confirm_by":1795000240},)"
      R"("file":{"block_tcp":0,"block_udp":0},"firewall":"nftables","scope":"inbound","holds":false,)"
      R"("enforced":12,"pending":1,"failed":2,"unrecorded":3,"unverifiable":4,)"
      R"("permanent":5,"allowed":6,"drift":"none","compared":1794999988,)"
      R"("capacity_percent":1,"budgets":[{"name":"proven","left":300,"burst":300,)"
      R"("per_second":30,"tripped":false,"turned_away":0},{"name":"single","left":0,)"
      R"("burst":300,"per_second":30,"tripped":true,"turned_away":1203}],"protected":7,)"
      R"("scout":"complete","sensor_restarts":1,"processes":[{"name":"monitor",)"
      R"("state":"running","pid":4711,"restarts":0,"sandbox":"on"},{"name":"sensor","state":"down",)"
      R"("pid":null,"restarts":1,"sandbox":"unknown"}],"alarms":["the sensor died"],)"
      R"("daemon_version":"0.1.0","started":1794988480,"generation":3,)"
      R"("conf":"/etc/portsentry/portsentry.conf","counters":{"detections":7,)"
      R"("decision_ban":0}})"
      "\n");
}

TEST(Status, OfASandboxOnlyWhatIsKnownIsSaid) {
  StatusReply status = busy_status();
  status.processes = {{.name = "launcher"},
                      {.name = "enforcer"},
                      {.name = "sensor", .state = ProcessState::starting},
                      {.name = "resolver"},
                      {.name = "scout", .state = ProcessState::not_wanted}};
  const std::string text = status_text(status, {}, kNow, kPipe);
  EXPECT_NE(text.find("\nPROCESS   STATE       PID  RESTARTS  SANDBOX\n"
                      "launcher  running       -         0  none: root, it starts the others\n"
                      "enforcer  running       -         0  on\n"
                      "sensor    starting      -         0  not reported yet\n"
                      "resolver  running       -         0  not reported\n"
                      "scout     not_wanted    -         0  -\n"),
            std::string::npos)
      << text;
  const std::string json = status_json(status, {});
  EXPECT_NE(json.find(R"("name":"launcher","state":"running","pid":null,"restarts":0,)"
                      R"("sandbox":"none")"),
            std::string::npos)
      << json;
}

TEST(Status, WithoutAnOverrideTheFileDecides) {
  StatusReply status = busy_status();
  status.override_mode.reset();
  status.armed = false;
  const std::string text = status_text(status, {}, kNow, kPipe);
  EXPECT_TRUE(
      text.starts_with("mode           observing: nothing is blocked, as the file says: "
                       "BLOCK_TCP=\"0\" BLOCK_UDP=\"0\"\n"))
      << text;
}

TEST(Status, WhatIsWrongIsColouredAndSaid) {
  StatusReply status = busy_status();
  status.active = false;
  status.drift = Drift::drifting;
  status.capacity_percent = 80;
  status.scout = ScoutShown::unknown;
  const std::string text =
      status_text(status, {}, kNow, {.width = 200, .colour = true, .ascii = false});
  for (const char* bad : {"\x1b[31mnot active", "\x1b[31mthe kernel does not hold what is wanted",
                          "\x1b[31m80 % of the fullest set",
                          "\x1b[31m7, not complete yet: nobody is banned before that"}) {
    EXPECT_NE(text.find(bad), std::string::npos) << bad << "\n" << text;
  }
}

TEST(Status, WhatTheDaemonSaysReachesNoTerminalRaw) {
  StatusReply status = busy_status();
  status.version = status.conf_path = kEvil;
  status.alarms = {kEvil};
  status.processes.at(0).name = kEvil;
  EXPECT_TRUE(is_harmless(status_text(status, {{kEvil, 1}}, kNow, kPipe)));
  EXPECT_TRUE(is_harmless(status_json(status, {{kEvil, 1}})));
}

}  // namespace
}  // namespace portsentry::ctl
