"""The guide's "SIEM Integration": a real rsyslog forwards local0.* to a second one on another host."""

import re

from guide_text import block
from lab import DEADLINE, TREE, own_file
from neighbours import GUIDE_FILES, LOG_FILE, SIEM_LOG, SYSLOG, NeighbourTest, file_text

RETRY = 5  # seconds between two tries, as the snippet says
SAMPLE = 'attackalert: Connect from host: 10.77.0.9/10.77.0.9 to TCP port: 23'


class SiemTest(NeighbourTest):
    def setUp(self):
        super().setUp()
        own_file("/etc/hosts", f"127.0.0.1 localhost\n{self.bystander.v4} siem-server\n")

    def forward(self):
        self.start_siem(self.bystander)
        self.start_rsyslog(extra=block("siem"))


class Recipe(SiemTest):
    def test_local0_reaches_the_second_receiver_and_nothing_else_does(self):
        self.forward()
        self.sh("logger -p daemon.notice -t other 'not for the SIEM'", check=True)
        self.sh(f"logger -p local0.notice -t portsentry -i '{SAMPLE}'", check=True)
        self.await_file(SIEM_LOG, rf"portsentry\[\d+\]: {SAMPLE}$")
        self.await_file(SYSLOG, "not for the SIEM$")
        self.assertNotIn("not for the SIEM", file_text(SIEM_LOG))


    def test_shipped_snippet_keeps_lines_until_the_receiver_is_there(self):
        self.start_rsyslog(extra=f"cp {TREE}/contrib/rsyslog/portsentry.conf /etc/rsyslog.d/portsentry.conf")
        self.sh(f"logger -p local0.notice -t portsentry -i '{SAMPLE}'", check=True)
        self.await_file(SYSLOG, f"{SAMPLE}$")
        self.start_siem(self.bystander)
        self.await_file(SIEM_LOG, rf"portsentry\[\d+\]: {SAMPLE}$", timeout=2 * RETRY + DEADLINE)
        self.assertEqual(file_text(SYSLOG).count(SAMPLE), 1)  # and this machine's own log has it once


class WithTheDaemon(SiemTest):
    def test_every_line_of_a_ban_reaches_the_second_receiver_once(self):
        self.forward()
        daemon = self.start(**GUIDE_FILES, LOG_OUTPUT="stdout syslog")
        self.send(self.syn(23))
        a = re.escape(self.scanner.v4)
        for line in (rf"attackalert: TCP SYN/Normal scan from host: {a}/{a} to TCP port: 23",
                     rf'attackalert: Host {a} has been blocked via nftables set "inet portsentry ban4" for 3[01]m(\d+s)?',
                     rf"attackalert: Host: {a}/{a} Port: 23 TCP Blocked"):
            for path in (SIEM_LOG, SYSLOG, LOG_FILE):
                self.await_file(path, rf" portsentry\[{daemon.pid}\]: {line}$")
                self.assertEqual(len(re.findall(rf"{line}$", file_text(path), re.M)), 1, path)
            self.assertEqual(len(daemon.matching(line + "$")), 1)

    def test_readiness_is_a_line_of_the_facility_too(self):
        self.forward()
        self.start(**GUIDE_FILES, LOG_OUTPUT="stdout syslog")
        self.await_file(SIEM_LOG, r"portsentry\[\d+\]: adminalert: PortSentry is now active and listening\.$")

    def test_another_facility_stays_at_home(self):
        self.forward()
        self.start(**GUIDE_FILES, LOG_OUTPUT="stdout syslog", LOG_FACILITY="authpriv")
        self.sh("logger -p local0.notice 'the wire works'", check=True)
        self.await_file("/var/log/auth.log", r"portsentry\[\d+\]: adminalert: PortSentry is now active")
        self.await_file(SIEM_LOG, "the wire works$")
        self.assertNotIn("portsentry", file_text(SIEM_LOG))

    def test_tag_is_the_administrators(self):
        self.forward()
        self.start(**GUIDE_FILES, LOG_OUTPUT="stdout syslog", LOG_TAG="guard-1")
        self.await_file(SIEM_LOG, r"guard-1\[\d+\]: adminalert: PortSentry is now active")
        self.await_file(LOG_FILE, r"guard-1\[\d+\]: adminalert: PortSentry is now active")

    def test_restarted_rsyslog_gets_the_next_line(self):
        self.start_siem(self.bystander)
        self.start_rsyslog()
        self.start(**GUIDE_FILES, LOG_OUTPUT="stdout syslog")
        self.await_file(SYSLOG, "now active and listening")
        self.neighbours[-1].stop()
        self.start_rsyslog(extra=block("siem"))
        self.send(self.syn(23))
        self.await_file(SIEM_LOG, "23 TCP Blocked$")
