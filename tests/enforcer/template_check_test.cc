#include <gtest/gtest.h>

#include "common/templates.h"
#include "enforcer/template_check.h"

namespace portsentry::enforcer {
namespace {

bool all_exist(const std::string&) {
  return true;
}
bool only_iptables(const std::string& program) {
  return program == "/sbin/iptables";
}

std::string said(const TemplateKeys& keys, ProgramExists exists = all_exist) {
  std::string out;
  for (const auto& [key, note] : describe(keys, exists)) {
    constexpr std::array<const char*, 3> kKinds{"", " warning", " error"};
    out +=
        std::string(key) + kKinds.at(static_cast<std::size_t>(note.kind)) + ": " + note.text + "\n";
  }
  return out;
}

TEST(TemplateCheck, SaysHowTheGuidesLinesAreRunAndUndone) {
  EXPECT_EQ(said({.kill_route = "/sbin/iptables -I INPUT -s $TARGET$ -j DROP",
                  .kill_hosts_deny = "ALL: $TARGET$ : DENY"}),
            "KILL_ROUTE: run directly: /sbin/iptables -I INPUT -s $TARGET$ -j DROP\n"
            "KILL_ROUTE: for IPv6 sources: /sbin/ip6tables -I INPUT -s $TARGET$ -j DROP\n"
            "KILL_ROUTE: undone by: /sbin/iptables -D INPUT -s $TARGET$ -j DROP\n");
  EXPECT_EQ(said({.external_command = "/usr/bin/mail -s 'PortSentry Alert' root < /dev/null"}),
            "EXTERNAL_COMMAND: run by /bin/sh -c because of '<': /usr/bin/mail -s 'PortSentry "
            "Alert' root < /dev/null\n");
}

TEST(TemplateCheck, AMissingProgramIsAnErrorAndAMissingTwinAWarning) {
  const std::string text = said({.kill_route = "/sbin/iptables -I INPUT -s $TARGET$ -j DROP",
                                 .kill_run_cmd = "/usr/local/bin/gone $TARGET$"},
                                only_iptables);
  EXPECT_NE(text.find("KILL_ROUTE warning: program /sbin/ip6tables does not exist\n"),
            std::string::npos);
  EXPECT_NE(text.find("KILL_RUN_CMD error: program /usr/local/bin/gone does not exist\n"),
            std::string::npos);
  EXPECT_EQ(text.find("KILL_ROUTE error"), std::string::npos);
}

TEST(TemplateCheck, WhoIsToBeBlockedMustBeInTheText) {
  EXPECT_NE(said({.kill_route = "/sbin/iptables -I INPUT -j DROP"})
                .find("KILL_ROUTE error: No target variable specified"),
            std::string::npos);
  EXPECT_NE(said({.kill_hosts_deny = "ALL: ALL"})
                .find("KILL_HOSTS_DENY error: No target variable specified"),
            std::string::npos);
  EXPECT_NE(said({.kill_route_remove = "/sbin/iptables -F"})
                .find("KILL_ROUTE_REMOVE error: No target variable specified"),
            std::string::npos);
  EXPECT_EQ(said({.kill_run_cmd = "/bin/true"}).find("error"), std::string::npos);
}

TEST(TemplateCheck, NamesWhatCannotBeUndoneOrIsDangerous) {
  EXPECT_NE(said({.kill_route = "/opt/block $TARGET$"}).find("warning: no undo is known"),
            std::string::npos);
  EXPECT_EQ(said({.kill_route = "/opt/block $TARGET$", .kill_route_remove = "/opt/free $TARGET$"})
                .find("no undo"),
            std::string::npos);
  EXPECT_EQ(said({.kill_route = "/sbin/route add -host $TARGET$ reject"}).find("warning"),
            std::string::npos)
      << "that a route is no filter is said by config_checks.cc, and once is enough";
  EXPECT_NE(said({.kill_route = "/opt/block $TARGET$ $PORT$"}).find("after a restart"),
            std::string::npos);
  EXPECT_NE(
      said({.kill_route = "/opt/block $TARGET$", .kill_route_remove = "/opt/x $TARGET$ $PORT$"})
          .find("KILL_ROUTE_REMOVE error: cannot use $PORT$"),
      std::string::npos);
  EXPECT_NE(said({.kill_route = "iptables -I INPUT -s $TARGET$ -j DROP > /dev/null"})
                .find("warning: not for IPv6 sources"),
            std::string::npos);
}

TEST(TemplateCheck, WithoutCommandsThereIsNothingToSay) {
  EXPECT_EQ(said({}), "");
}

}  // namespace
}  // namespace portsentry::enforcer
