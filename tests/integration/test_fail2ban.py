"""The guide's "Integration with Fail2ban": a real fail2ban-server with its stock portsentry filter.

What the guide prints for a jail cannot work; what docs/guide.md prints instead does. The first class
holds the recipe against lines of the exact shape that the daemon writes; the second holds the daemon.
"""

import re

from guide_text import block
from lab import LIVE_PORT, STATE, await_true
from neighbours import SYSLOG, NeighbourTest, file_text

HISTORY = STATE / "portsentry.history"
HISTORY_LINE = "{epoch} - 08/26/2025 03:21:31 Host: {a}/{a} Port: 23 TCP Blocked\n"
# None of the other lines of an event satisfies the filter: a jail never bans who was only seen.
EVENT_LINES = (
    "attackalert: Connect from host: {a}/{a} to TCP port: 23",
    "attackalert: TCP SYN/Normal scan from host: {a}/{a} to TCP port: 23",
    "attackalert: Host: {a}/{a} is already blocked Ignoring",
    'attackalert: Host {a} has been blocked via wrappers with string: "ALL: {a}"',
)
GUIDE_JAIL = """[portsentry]
enabled = true
port = all
filter = portsentry
logpath = /var/log/syslog
maxretry = 1
bantime = 3600
findtime = 600
"""


class Fail2banTest(NeighbourTest):
    def have_history(self):
        STATE.mkdir(mode=0o755, exist_ok=True)
        HISTORY.touch(mode=0o600)

    def assert_jailed(self, address, family=4):
        await_true(lambda: address in self.fail2ban_banned(), f"fail2ban bans {address}", 30)
        tool = "ip6tables" if family == 6 else "iptables"
        await_true(lambda: address in self.sh(f"{tool} -L f2b-portsentry -n").stdout, f"{tool} holds {address}")


class Recipe(Fail2banTest):
    def test_jail_on_the_history_file_bans_every_port(self):
        self.have_history()
        self.start_fail2ban(block("fail2ban-history"))
        now = int(self.sh("date +%s").stdout)
        with HISTORY.open("a", encoding="ascii") as history:
            history.write(HISTORY_LINE.format(epoch=now, a=self.scanner.v4))
            history.write(HISTORY_LINE.format(epoch=now, a=self.scanner.v6))
        self.assert_jailed(self.scanner.v4)
        self.assert_jailed(self.scanner.v6, 6)
        self.assertEqual(self.scanner.tcp_answer(self.guard.v4, LIVE_PORT), "closed")
        self.assertNotIn(self.bystander.v4, self.fail2ban_banned())

    def test_jail_on_syslog_bans_with_rfc3339_time_stamps(self):
        self.check_syslog_jail(classic_time=False)

    def test_jail_on_syslog_bans_with_classic_time_stamps(self):
        self.check_syslog_jail(classic_time=True)

    def check_syslog_jail(self, classic_time):
        self.start_rsyslog(classic_time=classic_time)
        self.sh("logger -p local0.notice here", check=True)
        self.await_file(SYSLOG, "here$")
        self.start_fail2ban(block("fail2ban-syslog"))
        for line in EVENT_LINES:
            self.sh(f"logger -p local0.notice -t portsentry -i '{line.format(a='10.77.0.41')}'", check=True)
        blocked = "attackalert: Host: {a}/{a} Port: 23 TCP Blocked".format(a=self.scanner.v4)
        self.sh(f"logger -p local0.notice -t portsentry -i '{blocked}'", check=True)
        self.assert_jailed(self.scanner.v4)
        self.assertEqual(self.fail2ban_banned(), [self.scanner.v4])

    def test_port_all_of_the_guide_is_refused_by_iptables(self):
        """With the guide's jail fail2ban says that it bans, and its firewall command fails."""
        SYSLOG.touch()
        self.start_fail2ban(GUIDE_JAIL)
        with SYSLOG.open("a", encoding="ascii") as log:
            stamp = self.sh("date '+%b %e %H:%M:%S'").stdout.strip()
            log.write(f"{stamp} guard portsentry[7]: attackalert: Host: 10.77.0.43/10.77.0.43 Port: 23 TCP Blocked\n")
        self.await_file("/var/log/fail2ban.log", r"invalid port|Error starting action|Failed to execute ban")
        self.assertNotIn("10.77.0.43", self.sh("iptables -L -n").stdout)


class WithTheDaemon(Fail2banTest):
    def test_scan_ends_in_the_jail_by_way_of_the_history_file(self):
        self.have_history()
        self.start_fail2ban(block("fail2ban-history"))
        daemon = self.start()
        self.scanner.nmap("-sS", "-p", "20-30", self.guard.v4)
        daemon.await_line(rf"attackalert: Host {re.escape(self.scanner.v4)} has been blocked")
        self.assert_jailed(self.scanner.v4)

    def test_scan_ends_in_the_jail_by_way_of_syslog(self):
        self.start_rsyslog()
        self.sh("logger -p local0.notice here", check=True)
        self.await_file(SYSLOG, "here$")
        self.start_fail2ban(block("fail2ban-syslog"))
        self.start(LOG_OUTPUT="stdout syslog")
        self.send(self.syn(23))
        self.await_file(SYSLOG, rf"portsentry\[\d+\]: attackalert: Host: {self.scanner.v4}/{self.scanner.v4} Port: 23 "
                        r"TCP Blocked$")
        self.assert_jailed(self.scanner.v4)

    def test_whitelisted_and_observed_hosts_are_not_jailed(self):
        self.have_history()
        self.start_fail2ban(block("fail2ban-history"))
        daemon = self.start(ignore=f"{self.scanner.v4}\n", BLOCK_UDP="0")
        self.send(self.syn(23), self.datagram(69, source="10.77.0.31"), self.syn(24, source="10.77.0.32"))
        daemon.await_line(r"attackalert: Host 10\.77\.0\.32 has been blocked")
        self.assert_jailed("10.77.0.32")
        self.assertEqual(self.fail2ban_banned(), ["10.77.0.32"])
        self.assertNotIn(self.scanner.v4, file_text(HISTORY))
