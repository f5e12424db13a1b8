"""Interfaces come and go while the daemon runs."""

import time

from lab import PATIENCE, LabTest


class Interfaces(LabTest):
    def second_cable(self):
        self.lab.cable(self.guard, self.scanner, "eth1", ["10.78.0.1/24", "fd79::1/64"], ["10.78.0.2/24", "fd79::2/64"])

    def probe_second_cable(self, family, port):
        source, target = ("fd79::2", "fd79::1") if family == 6 else ("10.78.0.2", "10.78.0.1")
        self.send(self.syn(port, source=source, target=target), interface="eth1",
                  target_mac=self.lab.mac_of(self.guard, "eth1"))
        return source

    def test_interface_added_while_running_is_covered_within_a_second(self):
        daemon = self.start()
        for family in (4, 6):
            if family == 4:
                self.second_cable()
            begin = time.monotonic()
            source = self.probe_second_cable(family, 23)
            self.await_ban(daemon, source)
            self.assertLess(time.monotonic() - begin, 1.0 * PATIENCE)

    def test_address_added_while_running_is_covered(self):
        daemon = self.start()
        self.guard.ip("addr add 10.77.0.77/24 dev eth0", "addr add fd77::77/64 dev eth0 nodad")
        self.send(self.syn(23, target="10.77.0.77"), self.syn(23, source=self.scanner.v6, target="fd77::77"))
        self.await_ban(daemon, self.scanner.v4)
        self.await_ban(daemon, self.scanner.v6)

    def test_address_removed_while_running_is_no_longer_ours(self):
        daemon = self.start()
        self.guard.ip("addr add 10.77.0.77/24 dev eth0")
        self.send(self.syn(23, source="10.77.0.31", target="10.77.0.77"))
        self.await_ban(daemon, "10.77.0.31")
        self.guard.ip("addr del 10.77.0.77/24 dev eth0")
        self.send(self.syn(23, source="10.77.0.32", target="10.77.0.77"))
        self.await_sentinel(daemon)
        self.assert_unnoticed(daemon, "10.77.0.32")

    def test_interface_that_goes_takes_nothing_with_it(self):
        self.second_cable()
        daemon = self.start()
        self.await_ban(daemon, self.probe_second_cable(4, 23))
        self.guard.ip("link del eth1")
        self.send(self.syn(23))
        self.await_ban(daemon, self.scanner.v4)
        self.assertEqual(daemon.matching(r"sensor.*(ended|restart|lost)"), [])

    def test_only_the_named_interfaces_are_watched(self):
        self.second_cable()
        daemon = self.start(INTERFACES="eth1")
        self.send(self.syn(23))
        source = self.probe_second_cable(4, 23)
        self.await_ban(daemon, source)
        self.assert_unnoticed(daemon)

    def test_named_interface_may_appear_later(self):
        daemon = self.start(INTERFACES="eth1")
        self.second_cable()
        self.await_ban(daemon, self.probe_second_cable(4, 23))
