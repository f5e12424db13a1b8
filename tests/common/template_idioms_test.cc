// undo() and twin(), as tables. What the derived commands do to a real kernel is in
// commands_root_test.cc.
#include <gtest/gtest.h>

#include "common/templates.h"
#include "template_lab.h"

namespace portsentry {
namespace {

std::string undone(const std::string& text) {
  const auto made = undo(*Template::parse(text));
  return made ? made->text() : "unknown";
}

std::string twinned(const std::string& text) {
  const auto made = twin(*Template::parse(text));
  return made ? made->text() : "none";
}

struct Pair {
  const char* text;
  const char* expected;
};

TEST(TemplateStillThere, AsksTheToolsThatCanBeAsked) {
  const auto asked = [](const std::string& text) {
    const auto made = still_there(*Template::parse(text));
    return made ? made->text() : "cannot";
  };
  EXPECT_EQ(asked("/sbin/iptables -D INPUT -s $TARGET$ -j DROP"),
            "/sbin/iptables -C INPUT -s $TARGET$ -j DROP");
  EXPECT_EQ(asked("ip6tables -w 5 --delete INPUT -s $TARGET$ -j DROP"),
            "ip6tables -w 5 -C INPUT -s $TARGET$ -j DROP");
  EXPECT_EQ(asked("ipset del blocked $TARGET$"), "ipset test blocked $TARGET$");
  EXPECT_EQ(asked("nft delete element inet f s '{ $TARGET$ }'"),
            "nft get element inet f s '{ $TARGET$ }'");
  EXPECT_EQ(asked("iptables -D INPUT 3"), "cannot") << "another rule has the number by now";
  EXPECT_EQ(asked("ip route del blackhole $TARGET$"), "cannot");
  EXPECT_EQ(asked("/usr/local/sbin/free-host $TARGET$"), "cannot");
  EXPECT_EQ(asked("iptables -D INPUT -s $TARGET$ -j DROP | logger"), "cannot");
}

TEST(TemplateUndo, KnowsTheIdiomsThatPeopleBlockWith) {
  for (const auto& [text, expected] : std::to_array<Pair>({
           {"/sbin/iptables -I INPUT -s $TARGET$ -j DROP",
            "/sbin/iptables -D INPUT -s $TARGET$ -j DROP"},
           {"iptables -A INPUT -s $TARGET$ -j DROP", "iptables -D INPUT -s $TARGET$ -j DROP"},
           {"iptables -w 5 -t filter --insert INPUT 1 -s $TARGET$ -j DROP",
            "iptables -w 5 -t filter -D INPUT -s $TARGET$ -j DROP"},
           {"/usr/sbin/iptables-legacy -I INPUT 12 -s $TARGET$ -m limit --limit 3/minute -j LOG",
            "/usr/sbin/iptables-legacy -D INPUT -s $TARGET$ -m limit --limit 3/minute -j LOG"},
           {"ip6tables -I INPUT -s $TARGET$ -j DROP", "ip6tables -D INPUT -s $TARGET$ -j DROP"},
           {"iptables -I INPUT -s $TARGET$ -m comment --comment 'by portsentry' -j DROP",
            "iptables -D INPUT -s $TARGET$ -m comment --comment 'by portsentry' -j DROP"},
           {"/sbin/route add -host $TARGET$ reject", "/sbin/route del -host $TARGET$ reject"},
           {"ip route add blackhole $TARGET$", "ip route del blackhole $TARGET$"},
           {"/sbin/ip -4 rule add from $TARGET$ blackhole",
            "/sbin/ip -4 rule del from $TARGET$ blackhole"},
           {"ip route replace unreachable $TARGET$", "ip route del unreachable $TARGET$"},
           {"ipset add blocked $TARGET$ timeout 3600", "ipset del blocked $TARGET$"},
           {"ipset -exist add blocked $TARGET$", "ipset -exist del blocked $TARGET$"},
           {"ipset -A blocked $TARGET$", "ipset del blocked $TARGET$"},
           {"nft add element inet filter blocked { $TARGET$ }",
            "nft delete element inet filter blocked '{ $TARGET$ }'"},
           {"nft 'add element inet filter blocked {$TARGET$ timeout 1h comment x}'",
            "nft delete element inet filter blocked '{ $TARGET$ }'"},
           {"ufw insert 1 deny from $TARGET$ to any", "ufw delete deny from $TARGET$ to any"},
           {"ufw --force reject from $TARGET$ comment 'a scan'",
            "ufw --force delete reject from $TARGET$"},
           {"ufw prepend deny from $TARGET$", "ufw delete deny from $TARGET$"},
           {"firewall-cmd --zone=drop --add-source=$TARGET$",
            "firewall-cmd --zone=drop --remove-source=$TARGET$"},
           {"firewall-cmd --timeout=600 --add-rich-rule='rule source address=$TARGET$ drop'",
            "firewall-cmd '--remove-rich-rule=rule source address=$TARGET$ drop'"},
       }))
    EXPECT_EQ(undone(text), expected) << text;
}

TEST(TemplateUndo, SaysThatItDoesNotKnowRatherThanGuess) {
  for (const char* text : {"/usr/local/bin/block $TARGET$",
                           "iptables -I INPUT -s $TARGET$ -j DROP > /dev/null",
                           "iptables -N $TARGET$",
                           "iptables -I",
                           "iptables -I INPUT -s $TARGET$ -p tcp --dport $PORT$",
                           "iptables -I INPUT -j DROP",
                           "iptables -I A -s $TARGET$ -A B",
                           "ip route flush $TARGET$",
                           "ip link add $TARGET$",
                           "nft add rule inet f input ip saddr $TARGET$ drop",
                           "nft add element inet f s { $TARGET$, 10.0.0.1 }",
                           "nft add element inet f s { $TARGET$ . 22 }",
                           "nft add element f { $TARGET$ ",
                           "ipset add blocked",
                           "ipset create $TARGET$ hash:ip",
                           "ufw allow from $TARGET$",
                           "firewall-cmd --add-a=1 --add-source=$TARGET$",
                           "firewall-cmd --reload $TARGET$",
                           "ufw deny",
                           "route del -host $TARGET$"})
    EXPECT_EQ(undone(text), "unknown") << text;
}

TEST(TemplateTwin, GivesIpv4CommandsTheirIpv6Program) {
  for (const auto& [text, expected] : std::to_array<Pair>({
           {"/sbin/iptables -I INPUT -s $TARGET$ -j DROP",
            "/sbin/ip6tables -I INPUT -s $TARGET$ -j DROP"},
           {"iptables-legacy -A INPUT -p icmp -s $TARGET$ -j REJECT --reject-with "
            "icmp-port-unreachable",
            "ip6tables-legacy -A INPUT -p ipv6-icmp -s $TARGET$ -j REJECT --reject-with "
            "icmp6-port-unreachable"},
           {"iptables -I INPUT -s $TARGET$ -j REJECT --reject-with icmp-host-prohibited",
            "ip6tables -I INPUT -s $TARGET$ -j REJECT --reject-with icmp6-adm-prohibited"},
           {"/sbin/route add -host $TARGET$ reject", "/sbin/route -A inet6 add $TARGET$ dev lo"},
           {"/sbin/route del -host $TARGET$ reject", "/sbin/route -A inet6 del $TARGET$ dev lo"},
           {"ip route add blackhole $TARGET$", "ip route add blackhole $TARGET$"},
           {"ip -4 route add blackhole $TARGET$", "ip -6 route add blackhole $TARGET$"},
           {"firewall-cmd --add-rich-rule='rule family=ipv4 source address=$TARGET$ drop'",
            "firewall-cmd '--add-rich-rule=rule family=ipv6 source address=$TARGET$ drop'"},
           {"firewall-cmd --direct --add-rule ipv4 filter INPUT 0 -s $TARGET$ -j DROP",
            "firewall-cmd --direct --add-rule ipv6 filter INPUT 0 -s $TARGET$ -j DROP"},
           {"nft add element inet f s { $TARGET$ }", "nft add element inet f s { $TARGET$ }"},
           {"/usr/local/bin/block $TARGET$", "/usr/local/bin/block $TARGET$"},
           {"mail -s x root < /dev/null", "mail -s x root < /dev/null"},
           {"case $TARGET$ in *:*) ip6tables -A I -s $TARGET$;; *) iptables -A I -s $TARGET$;; "
            "esac",
            "case $TARGET$ in *:*) ip6tables -A I -s $TARGET$;; *) iptables -A I -s $TARGET$;; "
            "esac"},
       }))
    EXPECT_EQ(twinned(text), expected) << text;
}

TEST(TemplateTwin, IsNoneWhereACommandCanOnlyMeanIpv4) {
  for (const char* text :
       {"iptables -I INPUT -s $TARGET$ -d 192.0.2.1 -j DROP",
        "route add -host $TARGET$ gw 127.0.0.1", "route add $TARGET$ 333.444.555.666",
        "ip route add $TARGET$ via 192.0.2.1", "nft add element ip filter blocked { $TARGET$ }",
        "iptables -I INPUT -s $TARGET$ -j DROP && logger blocked",
        "/sbin/iptables -I INPUT -s $TARGET$ -j DROP > /dev/null"})
    EXPECT_EQ(twinned(text), "none") << text;
}

}  // namespace
}  // namespace portsentry
