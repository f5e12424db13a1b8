"""Somebody forges those whom this host cannot do without: its gateway, its resolver, its administrators.

Real packets over the veth, the whole daemon behind it: none of them is banned, each refusal is counted by its
reason, and portsentryctl says who is protected, why, and what was refused.
"""

import re

from lab import await_true, own_file, write_root_file
from test_ctl import CtlTest
from test_protected import RESOLV_CONF, SESSIONS, UTMP, logind_session, utmp_record

GATEWAY, GATEWAY6 = "10.77.0.254", "fd77::fe"
RESOLVER, RESOLVER6 = "198.51.100.53", "2001:db8:53::53"
AT_HOME = "203.0.113.9"  # logged in, as utmp tells
AT_WORK = "2001:db8:9::9"  # logged in, as logind tells
NEIGHBOUR = "2001:db8:53::66"  # of the resolver, on the same /64
STRANGER = "192.0.2.80"
WALK = range(10, 40)
LAST = "10.77.0.199"

# Why not: the name of it in `status` and `why`, the words of the log, and those of `protected`.
NEXT_HOP = ("next_hop", "a next hop of this host's routes", r"a next hop of this host's routes$")
NAME_SERVER = ("resolver", "a resolver of this host", r"resolver, /etc/resolv\.conf$")
SESSION = ("login_session", "somebody is logged in from there", r"login session of a user since ")
FORGED = {GATEWAY: NEXT_HOP, GATEWAY6: NEXT_HOP, RESOLVER: NAME_SERVER, RESOLVER6: NAME_SERVER, AT_HOME: SESSION,
          AT_WORK: SESSION}


class ForgedProtected(CtlTest):
    def setUp(self):
        super().setUp()
        own_file(RESOLV_CONF, f"nameserver {RESOLVER}\nnameserver {RESOLVER6}\n")
        SESSIONS.mkdir(mode=0o755, parents=True)
        write_root_file(SESSIONS / "c1", logind_session(AT_WORK))
        write_root_file(UTMP, "")
        UTMP.write_bytes(utmp_record(AT_HOME))
        self.guard.ip(f"route add default via {GATEWAY} dev eth0", f"route add default via {GATEWAY6} dev eth0")

    def shown(self):
        """`portsentryctl protected`: who -> why."""
        return {entry["prefix"].partition("/")[0]: entry["reason"] for entry in self.data("protected")["entries"]}

    def start_protecting(self, **changes):
        """It is armed, knows whom not to ban, and shows it."""
        changes = {"SCAN_TRIGGER": "2", "BLOCK_TIME_FORGEABLE": "10m", **changes}
        daemon = self.start(**changes)
        await_true(lambda: FORGED.keys() <= self.shown().keys(), "they are protected")
        shown = self.shown()
        for address, (_, _, pattern) in FORGED.items():
            self.assertRegex(shown[address], pattern)
        return daemon

    def await_judged(self, daemon):
        """Whoever came before this scanner has been judged when it is banned."""
        self.send(self.syn(98, source=LAST), self.syn(99, source=LAST))
        daemon.await_line(self.blocked_line(LAST, duration="10m"))

    def await_told(self, daemon, addresses):
        for address in addresses:
            words = FORGED[address][1]
            daemon.await_line(rf"Could not block host {re.escape(address)}/\S+? ?!! \({re.escape(words)}\)$")

    def assert_refused(self, addresses, others=(LAST,)):
        """Counted by the reason, explained, and not banned."""
        for address in addresses:
            name, words, _ = FORGED[address]
            why = self.data("why", address)
            self.assertEqual((why["decision"], why["ban"]), (name, None))
            self.assertEqual(why["reason"], f"never banned: {words}")
            self.assertRegex(why["shield"], r"^protected: ")
        text = self.ctl("status")
        counters = self.data("status")["counters"]
        for name in {FORGED[address][0] for address in addresses}:
            refused = sum(FORGED[address][0] == name for address in addresses)
            self.assertGreaterEqual(counters[f"decision_{name}"], refused)
            self.assertRegex(text, rf"(?m)^decision_{name} +[1-9]")
        self.assertEqual(self.lab.banned(), set(others))

    def test_nobody_of_them_is_banned_whoever_walks_ports_in_their_name(self):
        daemon = self.start_protecting()
        self.send(*(self.syn(port, source=source) for port in WALK for source in FORGED))
        self.await_judged(daemon)
        self.await_told(daemon, FORGED)
        self.assert_refused(FORGED)

    def test_nor_where_one_forged_packet_is_enough_for_a_ban(self):
        daemon = self.start_protecting(SCAN_TRIGGER="1")
        for source in FORGED:
            self.send(self.syn(23, source=source), self.datagram(161, source=source))
        self.await_judged(daemon)
        self.await_told(daemon, FORGED)
        self.assert_refused(FORGED)

    def test_nor_where_all_that_they_send_would_be_dropped(self):
        daemon = self.start_protecting(BAN_SCOPE="all")
        self.send(*(self.datagram(port, source=source) for port in (69, 161) for source in FORGED))
        self.await_judged(daemon)
        self.await_told(daemon, FORGED)
        self.assert_refused(FORGED)

    def test_of_a_network_that_holds_one_of_them_only_the_host_that_was_named_is_banned(self):
        daemon = self.start_protecting()
        self.send(*(self.syn(port, source=NEIGHBOUR) for port in WALK))
        daemon.await_line(self.blocked_line(NEIGHBOUR, duration="10m"))
        daemon.await_line(r"ban of 2001:db8:53::/64 narrowed to 2001:db8:53::66: the network holds a resolver")
        self.assertEqual(self.lab.banned(), {NEIGHBOUR})

    def test_decoys_of_nmap_who_are_protected_are_not_banned_and_the_scanner_is(self):
        daemon = self.start_protecting()
        decoys = [address for address in FORGED if "." in address]
        self.scanner.nmap("-sS", "-p", "10-40", "-D", ",".join([*decoys, STRANGER, "ME"]), self.guard.v4)
        for address in (STRANGER, self.scanner.v4):
            daemon.await_line(self.blocked_line(address, duration="10m"))
        self.await_told(daemon, decoys)
        self.assert_refused(decoys, others=(STRANGER, self.scanner.v4))

    def test_decoys_of_nmap_on_ipv6_too(self):
        daemon = self.start_protecting()
        decoys = [address for address in FORGED if ":" in address]
        self.scanner.nmap("-6", "-sS", "-p", "10-40", "-D", ",".join([*decoys, "ME"]), self.guard.v6)
        daemon.await_line(self.blocked_line(self.scanner.v6, duration="10m"))
        self.await_told(daemon, decoys)
        self.assert_refused(decoys, others=(self.scanner.v6,))

    def test_a_ban_of_who_logs_in_afterwards_is_lifted_and_forging_does_not_bring_it_back(self):
        UTMP.write_bytes(b"")
        daemon = self.start(SCAN_TRIGGER="2")
        await_true(lambda: RESOLVER in self.shown(), "the scout has told")
        self.send(self.syn(23, source=AT_HOME), self.syn(24, source=AT_HOME))
        daemon.await_line(self.blocked_line(AT_HOME, duration=None))
        UTMP.write_bytes(utmp_record(AT_HOME))
        daemon.await_line(rf"ban of {re.escape(AT_HOME)} lifted: it is protected now")
        self.send(*(self.syn(port, source=AT_HOME) for port in WALK))
        self.send(self.syn(98, source=LAST), self.syn(99, source=LAST))
        daemon.await_line(self.blocked_line(LAST, duration=None))
        self.assert_refused([AT_HOME])
