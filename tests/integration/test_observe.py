"""Observe mode is what the shipped configuration does: everything is said, nothing is blocked."""

import shutil

from lab import CONF, IGNORE, STATE, TREE, LabTest


class Observe(LabTest):
    def test_scan_is_reported_with_the_line_that_arms(self):
        daemon = self.start(BLOCK_TCP="0", BLOCK_UDP="0")
        self.scanner.nmap("-sS", "-p", "1-20", self.guard.v4)
        daemon.await_line(self.event_line(self.scanner.v4, "TCP SYN/Normal"))
        daemon.await_line(r"attackalert: Ignoring TCP response per configuration file setting\.$")
        daemon.await_line(rf'would ban {self.scanner.v4} for 30m .*BLOCK_TCP="1" in {CONF}')
        self.send(self.datagram(69, source="10.77.0.31"))
        daemon.await_line(r"attackalert: Ignoring UDP response per configuration file setting\.$")
        daemon.await_line(rf'would ban 10\.77\.0\.31 for 30m .*BLOCK_UDP="1" in {CONF}')
        self.assertEqual(daemon.matching("has been blocked| Blocked$"), [])
        self.assert_reachable(4)

    def test_kernel_is_not_touched(self):
        before = self.lab.tables()
        daemon = self.start(BLOCK_TCP="0", BLOCK_UDP="0")
        self.send(self.syn(23))
        daemon.await_line("would ban")
        self.assertEqual(self.lab.tables(), before)
        self.assertNotIn("Blocked", (STATE / "portsentry.history").read_text())

    def test_each_protocol_has_its_own_switch(self):
        daemon = self.start(BLOCK_TCP="1", BLOCK_UDP="0")
        self.send(self.datagram(69, source="10.77.0.31"), self.syn(23, source="10.77.0.32"))
        daemon.await_line(r"would ban 10\.77\.0\.31 ")
        self.await_ban(daemon, "10.77.0.32")
        self.assertNotIn("10.77.0.31", self.lab.banned())

    def test_probe_of_the_protocol_that_is_only_watched_hides_none_of_the_other(self):
        daemon = self.start(BLOCK_TCP="1", BLOCK_UDP="0")
        self.send(self.datagram(69), self.syn(23))
        daemon.await_line(rf"would ban {self.scanner.v4} ")
        self.await_ban(daemon, self.scanner.v4)

    def test_shipped_files_start_as_they_are_and_observe(self):
        shutil.copy(TREE / "etc/portsentry.conf", CONF)
        shutil.copy(TREE / "etc/portsentry.ignore", IGNORE)
        daemon = self.launch(arguments=()).await_ready()
        self.assertEqual(daemon.matching("warning|error|unknown"), [])
        daemon.stop()
        self.assertFalse(self.lab.has_table())
