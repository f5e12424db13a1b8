"""KILL_ROUTE as the guide prints it, with the real iptables: the nft one, and the legacy one."""

import re

from lab import DEADLINE, await_true
from neighbours import BLOCKED, GUIDE_FILES, GUIDE_KILL_ROUTE, NeighbourTest, file_text


class IptablesTest(NeighbourTest):
    variant = None

    def setUp(self):
        super().setUp()
        self.use_iptables(self.variant)

    def await_command_ban(self, daemon, address, tool="iptables", flag="-I"):
        daemon.await_line(rf"attackalert: Host {re.escape(address)} has been blocked via dropped route using command: "
                          rf'"/sbin/{tool} {flag} INPUT -s {re.escape(address)} -j DROP"$')


class Sentences:
    """Each holds for either iptables; the classes below run them twice."""

    def test_ban_is_where_the_guide_looks_for_it_and_ends_by_its_inverse(self):
        daemon = self.start(**GUIDE_FILES, **GUIDE_KILL_ROUTE, BLOCK_TIME="4s")
        self.scanner.nmap("-sS", "-p", "20-60", self.guard.v4)
        self.await_command_ban(daemon, self.scanner.v4)
        self.assertEqual(self.input_drops(), [self.scanner.v4])  # one rule, however many ports
        self.assertFalse(self.lab.banned())                # and no second ban anywhere else
        self.assert_cut_off(4)
        await_true(lambda: not self.input_drops(), "the rule gone with its ban", 4 + DEADLINE)
        self.assert_reachable(4)
        await_true(lambda: self.scanner.v4 not in file_text(BLOCKED), "no line in the blocked file")

    def test_ipv6_scanner_is_dropped_by_the_twin(self):
        daemon = self.start(**GUIDE_FILES, **GUIDE_KILL_ROUTE, BLOCK_TIME="4s")
        self.send(self.syn(23, source=self.scanner.v6))
        self.await_command_ban(daemon, self.scanner.v6, "ip6tables")
        self.assertEqual(self.input_drops(6), [self.scanner.v6])
        self.assertEqual(self.input_drops(4), [])
        await_true(lambda: not self.input_drops(6), "the rule gone with its ban", 4 + DEADLINE)

    def test_inverse_is_derived_when_none_is_given(self):
        daemon = self.start(**GUIDE_FILES, KILL_ROUTE="/sbin/iptables -A INPUT -s $TARGET$ -j DROP", BLOCK_TIME="3s")
        self.send(self.syn(23))
        self.await_command_ban(daemon, self.scanner.v4, flag="-A")
        await_true(lambda: not self.input_drops(), "the rule gone with its ban", 3 + DEADLINE)

    def test_stop_in_a_storm_leaves_no_rule_that_the_next_run_does_not_know(self):
        daemon = self.start(**GUIDE_FILES, **GUIDE_KILL_ROUTE)
        self.send(*(self.syn(23, source=f"198.51.100.{n}") for n in range(1, 201)))
        await_true(lambda: len(self.input_drops()) > 20, "the storm")
        daemon.stop()
        self.launch().await_ready()
        await_true(lambda: set(self.input_drops()) == set(re.findall(r"^(\S+) - ", file_text(BLOCKED), re.M)),
                   "one rule for each ban that is known")

    def test_failing_command_is_no_ban(self):
        daemon = self.start(**GUIDE_FILES, KILL_ROUTE="/sbin/iptables -I NOSUCHCHAIN -s $TARGET$ -j DROP")
        self.send(self.syn(23))
        daemon.await_line(rf"ERROR: Could not block host {re.escape(self.scanner.v4)}")
        self.assertEqual(daemon.matching("has been blocked| Blocked$"), [])
        self.assertNotIn(self.scanner.v4, file_text(BLOCKED))
        self.assert_reachable(4)

    def test_address_that_ends_another_address_is_banned_too(self):
        """1.2 took 1.2.3.4 for blocked once 11.2.3.4 was (PEERS 6.5)."""
        daemon = self.start(**GUIDE_FILES, **GUIDE_KILL_ROUTE)
        self.send(self.syn(23, source="110.77.0.9"), self.syn(23, source="10.77.0.9"))
        for address in ("110.77.0.9", "10.77.0.9"):
            self.await_command_ban(daemon, address)
        self.assertEqual(sorted(self.input_drops()), ["10.77.0.9", "110.77.0.9"])


class Nft(Sentences, IptablesTest):
    variant = "nft"


class Legacy(Sentences, IptablesTest):
    variant = "legacy"
