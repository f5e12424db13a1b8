"""Who has proven to be where they say is banned for longer each time, up to a bound; and that fades."""

import re
import time

from lab import DEADLINE, LabTest, await_true


def seconds(text):
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)([smhd])", text))


class Escalation(LabTest):
    BIND = {"TCP_MODE": "tcp", "UDP_MODE": "", "SCAN_TRIGGER": "1", "TCP_PORTS": "20-60"}

    def connect(self, port):
        """A completed handshake: nobody does that in another's name."""
        self.scanner.tcp_answer(self.guard.v4, port, timeout=3)

    def banned_for(self, daemon, since):
        found = daemon.await_line(
            rf'Host {re.escape(self.scanner.v4)} has been blocked via nftables set .* for (\w+)$', since=since)
        return seconds(found.group(1))

    def end_ban(self, daemon):
        since = daemon.mark()
        self.guard.run(["nft", "delete", "element", "inet", "portsentry", "ban4", f"{{ {self.scanner.v4} }}"])
        daemon.await_line(rf"ban of {re.escape(self.scanner.v4)} was lifted by hand", since=since)

    def offend(self, daemon, port):
        since = daemon.mark()
        self.connect(port)
        granted = self.banned_for(daemon, since)
        self.end_ban(daemon)
        return granted

    def assert_about(self, granted, wanted):
        """A ban may be stretched a little, so that many do not end in one instant."""
        self.assertGreaterEqual(granted, wanted - (2 if wanted > 30 else 0))
        self.assertLessEqual(granted, wanted * 1.05 + 2)

    def test_repeater_in_bind_mode_gets_30m_then_2h_then_8h(self):
        daemon = self.start(**self.BIND, BLOCK_TIME="30m", BLOCK_TIME_FORGEABLE="10m")
        for port, wanted in zip(range(20, 23), (1800, 7200, 28800)):
            self.assert_about(self.offend(daemon, port), wanted)

    def test_offences_outlive_a_restart(self):
        daemon = self.start(**self.BIND, BLOCK_TIME="30m")
        self.assert_about(self.offend(daemon, 20), 1800)
        self.assertEqual(daemon.stop(), 0)
        daemon = self.launch().await_ready()
        self.assert_about(self.offend(daemon, 21), 7200)

    def test_no_ban_is_longer_than_the_longest(self):
        daemon = self.start(**self.BIND, BLOCK_TIME="1m", BLOCK_TIME_MAX="5m")
        for port, wanted in zip(range(20, 24), (60, 240, 300, 300)):
            self.assert_about(self.offend(daemon, port), wanted)

    def test_a_quiet_time_halves_the_count(self):
        daemon = self.start(**self.BIND, BLOCK_TIME="1s", BLOCK_TIME_MAX="4s")
        for port, wanted in zip(range(20, 22), (1, 4)):
            self.assert_about(self.offend(daemon, port), wanted)
        time.sleep(5)  # the quiet time itself is what is tested
        self.assert_about(self.offend(daemon, 22), 4)  # two, halved, is one
        time.sleep(9)
        self.assert_about(self.offend(daemon, 23), 1)  # two, halved twice, is none

    def test_forged_packets_add_nothing_to_a_record(self):
        daemon = self.start(SCAN_TRIGGER="2", BLOCK_TIME="30m", BLOCK_TIME_FORGEABLE="2s")
        for first in (30, 40, 50):
            since = daemon.mark()
            # Again and again: the kernel rounds the end of a ban up.
            again = rf"Host {self.scanner.v4} has been blocked"
            await_true(lambda: self.send(self.syn(first), self.syn(first + 1)) or daemon.matching(again, since), "a ban")
            self.assert_about(self.banned_for(daemon, since), 2)
            daemon.await_line("has expired", timeout=3 + DEADLINE, since=since)
