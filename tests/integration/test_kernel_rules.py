"""What the kernel's traps find and what they leave alone, seen in the kernel's own sets: design LIMITS.md, section B.

The rules are those that the running daemon has loaded. The trigger is two, each source sends one packet, and whoever
the traps would count is in a set `seen...`; so a case is judged without the sensor and the monitor. Elsewhere:
scans of every kind and their names, published ports of containers, exempt sources, budgets and the life of a hold
(test_holds.py); what travels by NFLOG to a sensor (test_feed.py); late answers to many kinds of questions, broadcasts,
foreign addresses (test_never_counted.py)."""

import contextlib
import itertools
import json
import socket
import time

import packets
from lab import PATIENCE, LabTest, await_true

SOL_IPV6, IP_TRANSPARENT, IPV6_TRANSPARENT = 41, 19, 75
ETH_P_ALL = 0x0003
TCP_REPAIR = 19
TIME_WAIT = "06"  # /proc/net/tcp
STRANGER, STRANGER6 = "10.77.0.77", "fd77::77"
SECOND_ADDRESS = "10.77.0.11"  # of the guard


class KernelRules(LabTest):
    def setUp(self):
        super().setUp()
        self.numbers = itertools.count(0x100)

    def start_traps(self, trigger=2, **changes):
        changes = {"TCP_PORTS": "1-1000,40000-40010", "UDP_PORTS": "1-1000", "HOLD": "auto"} | changes
        daemon = self.start(SCAN_TRIGGER=trigger, **changes)
        await_true(lambda: len(self.lab.ban_set("alive")) == 2, "the traps to be alive")
        return daemon

    # ---- The kernel's sets -------------------------------------------------------------------------------

    def elements(self, name):
        """Keys as tuples of text and numbers."""
        result = self.guard.run(["nft", "-j", "list", "set", "inet", "portsentry", name])
        found = set()
        for item in json.loads(result.stdout)["nftables"]:
            for element in item.get("set", {}).get("elem", []):
                key = element["elem"]["val"] if isinstance(element, dict) and "elem" in element else element
                found.add(tuple(key["concat"]) if isinstance(key, dict) else (key,))
        return found

    def of_each_kind(self, name):
        return set().union(*(self.elements(name + kind) for kind in ("4", "6", "6net")))

    def dropped(self):
        """Packets that the sets of held and banned sources have cut off."""
        return sum(int(self.guard.run(["nft", "list", "counter", "inet", "portsentry", name]).stdout
                       .split("packets")[1].split()[0]) for name in ("held", "dropped"))

    # ---- Probes --------------------------------------------------------------------------------------------

    def fresh(self, family):
        number = next(self.numbers)
        return f"fd77::{number:x}" if family == 6 else f"10.79.{number >> 8}.{number & 0xff}"

    def settle(self):
        """On one link what was sent before this has been judged when this is counted."""
        source = self.fresh(4)
        self.send(self.syn(999, source=source))
        await_true(lambda: (source, "tcp", 999) in self.elements("seen4"), "the last probe to be seen")

    def seen_of(self, cases):
        """Sends each (case, packet, (source, protocol, port)); returns the cases that were counted."""
        for _, packet, _ in cases:
            self.send(packet)
        self.settle()
        seen = self.of_each_kind("seen")
        return {case for case, _, key in cases if key in seen}

    def probe(self, case, family, port, protocol="tcp", target=None, **fields):
        source = self.fresh(family)
        build = self.syn if protocol == "tcp" else self.datagram
        return case, build(port, source=source, target=target, **fields), (source, protocol, port)

    def assert_only(self, found, *cases):
        """First what must be found: of a port that a socket wants nobody is found for a minute."""
        everything = {case for case, _, _ in itertools.chain(*cases)}
        for some in cases:
            found_now = self.seen_of(some)
            self.assertEqual(sorted(found_now), sorted({case for case, _, _ in some} & found))
        self.assertLessEqual(found, everything)

    def open(self, address, port, kind=socket.SOCK_STREAM, options=(), v6only=False):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        endpoint = self.guard.endpoint(family, kind)
        self.addCleanup(endpoint.close)
        endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            endpoint.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(v6only))
        for level, option, value in options:
            endpoint.setsockopt(level, option, value)
        endpoint.bind((address, port))
        if kind == socket.SOCK_STREAM:
            endpoint.listen(16)
        return endpoint

    def forget_connections(self):
        """Empties connection tracking and the minute of grace: what a socket wants, only the socket tells now."""
        self.guard.forget_connections()
        self.guard.nft("flush set inet portsentry served")


class WhatASocketWants(KernelRules):
    """`socket transparent { 0, 1 }`: is there a socket that takes this packet?"""

    def test_a_listener_of_any_kind_is_left_alone_and_the_rest_is_not(self):
        self.guard.ip(f"addr add {SECOND_ADDRESS}/24 dev eth0", "addr add fd77::11/64 dev eth0 nodad")
        self.start_traps()
        device = (socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
        self.open("0.0.0.0", 201)
        self.open(self.guard.v4, 202)
        self.open("::", 203)
        self.open("::", 204, v6only=True)
        self.open("0.0.0.0", 205, options=[(socket.SOL_IP, IP_TRANSPARENT, 1)])
        self.open("::", 206, options=[(SOL_IPV6, IPV6_TRANSPARENT, 1)])
        self.open("0.0.0.0", 207, options=[device])
        self.open("::", 208, options=[device])
        self.open("127.0.0.1", 209)
        self.open("::1", 210)
        self.open(self.guard.v6, 211)
        found = [
            self.probe("closed, IPv4", 4, 200),
            self.probe("closed, IPv6", 6, 200),
            self.probe("IPv4 any, by IPv6", 6, 201),
            self.probe("another IPv4 address's", 4, 202, target=SECOND_ADDRESS),
            self.probe("another IPv6 address's", 6, 211, target="fd77::11"),
            self.probe("IPv6 only, by IPv4", 4, 204),
            self.probe("loopback's, IPv4", 4, 209),
            self.probe("loopback's, IPv6", 6, 210),
        ]
        left_alone = [
            self.probe("IPv4 any", 4, 201),
            self.probe("one IPv4 address", 4, 202),
            self.probe("one IPv6 address", 6, 211),
            self.probe("both families, by IPv4", 4, 203),
            self.probe("both families, by IPv6", 6, 203),
            self.probe("IPv6 only", 6, 204),
            self.probe("transparent, IPv4", 4, 205),
            self.probe("transparent, IPv6", 6, 206),
            self.probe("of a device, IPv4", 4, 207),
            self.probe("of a device, IPv6", 6, 208),
        ]
        self.assert_only({case for case, _, _ in found}, found, left_alone)

    def test_a_listener_of_another_device_does_not_want_it(self):
        self.start_traps()
        for port, address in ((221, "0.0.0.0"), (222, "::")):
            self.open(address, port, options=[(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")])
        cases = [self.probe("IPv4", 4, 221), self.probe("IPv6", 6, 222)]
        self.assert_only({"IPv4", "IPv6"}, cases)

    def test_a_bound_udp_socket_of_any_kind_is_left_alone_and_the_rest_is_not(self):
        self.guard.ip(f"addr add {SECOND_ADDRESS}/24 dev eth0")
        self.start_traps()
        for address, port, options in (
                ("0.0.0.0", 301, {}), (self.guard.v4, 302, {}), ("::", 303, {}), ("::", 304, {"v6only": True}),
                ("127.0.0.1", 305, {}), (self.guard.v6, 306, {}),
                ("0.0.0.0", 307, {"options": [(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")]})):
            self.open(address, port, socket.SOCK_DGRAM, **options)
        self.open("0.0.0.0", 308, socket.SOCK_DGRAM).connect((STRANGER, 40000))
        found = [
            self.probe("closed, IPv4", 4, 300, "udp"),
            self.probe("closed, IPv6", 6, 300, "udp"),
            self.probe("IPv4 any, by IPv6", 6, 301, "udp"),
            self.probe("another address's", 4, 302, "udp", target=SECOND_ADDRESS),
            self.probe("IPv6 only, by IPv4", 4, 304, "udp"),
            self.probe("loopback's", 4, 305, "udp"),
            self.probe("connected to somebody else", 4, 308, "udp"),
        ]
        left_alone = [
            self.probe("IPv4 any", 4, 301, "udp"),
            self.probe("one IPv4 address", 4, 302, "udp"),
            self.probe("one IPv6 address", 6, 306, "udp"),
            self.probe("both families, by IPv4", 4, 303, "udp"),
            self.probe("both families, by IPv6", 6, 303, "udp"),
            self.probe("IPv6 only", 6, 304, "udp"),
            self.probe("of a device", 4, 307, "udp"),
            ("whom it is connected to", self.datagram(308, source=STRANGER), (STRANGER, "udp", 308)),
        ]
        self.assert_only({case for case, _, _ in found}, found, left_alone)

    def test_a_socket_of_the_other_protocol_does_not_want_it(self):
        self.start_traps()
        self.open("::", 311)
        self.open("::", 312, socket.SOCK_DGRAM)
        cases = [self.probe("datagram", 4, 311, "udp"), self.probe("SYN", 6, 312)]
        self.assert_only({"datagram", "SYN"}, cases)

    def sockets(self, port):
        """(remote port, state) of the guard's TCP sockets that have this port."""
        found = set()
        for name in ("tcp", "tcp6"):
            for line in self.guard.run(["cat", f"/proc/net/{name}"]).stdout.splitlines()[1:]:
                _, local, remote, state = line.split()[:4]
                if int(local.rpartition(":")[2], 16) == port:
                    found.add((int(remote.rpartition(":")[2], 16), state))
        return found

    def test_a_handshake_under_way_is_wanted_by_itself(self):
        """SYN_RECV: not through the listener, which is taken away from this link meanwhile."""
        self.start_traps()
        for family, source in ((4, STRANGER), (6, STRANGER6)):
            self.guard.ip(f"neigh add {source} lladdr {self.scanner.mac} dev eth0")  # the SYN|ACK leads nowhere
            port = 400 + family
            listener = self.open("::", port)
            self.send(self.syn(port, source=source, source_port=50000))
            self.settle()
            with self.guard.entered():
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
            self.forget_connections()
            found = [self.probe("somebody else", family, port, flags=packets.ACK)]
            left_alone = [("its own", self.syn(port, source=source, source_port=50000, sequence=2, flags=packets.ACK),
                           (source, "tcp", port))]
            self.assert_only({"somebody else"}, found, left_alone)

    def test_a_connection_that_waits_for_its_end_is_wanted_by_itself(self):
        """TIME_WAIT: the listener is gone."""
        self.start_traps()
        for family in (4, 6):
            port = 410 + family
            listener = self.open("::", port)
            client = self.scanner.endpoint(socket.AF_INET6 if family == 6 else socket.AF_INET, socket.SOCK_STREAM)
            client.settimeout(5)
            client.connect((self.guard.address(family), port))
            served, _ = listener.accept()
            number = client.getsockname()[1]
            served.close()
            self.assertEqual(client.recv(1), b"")
            client.close()
            listener.close()
            await_true(lambda: self.sockets(port) == {(number, TIME_WAIT)}, "TIME_WAIT")
            self.forget_connections()
            found = [self.probe("somebody else", family, port, flags=packets.ACK)]
            left_alone = [("its own", self.syn(port, family=family, source_port=number, flags=packets.ACK),
                           (self.scanner.address(family), "tcp", port))]
            self.assert_only({"somebody else"}, found, left_alone)

    def test_a_connection_is_known_by_connection_tracking_too(self):
        """Though no socket wants its packets any more."""
        self.start_traps()
        listener = self.open(self.guard.v4, 421)
        client = self.scanner.endpoint(socket.AF_INET, socket.SOCK_STREAM)
        self.addCleanup(client.close)
        client.settimeout(5)
        client.connect((self.guard.v4, 421))
        served, _ = listener.accept()
        listener.close()
        # Gone without a word, no FIN and no RST, as when a machine fails over (TCP_REPAIR).
        served.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
        served.close()
        self.assertEqual(self.sockets(421), set())
        self.guard.nft("flush set inet portsentry served")
        client.send(b"anybody there?")
        self.assert_only({"of none"}, [self.probe("of none", 4, 421, flags=packets.ACK)])
        self.assertNotIn((self.scanner.v4, "tcp", 421), self.elements("seen4"))
        with self.assertRaises(ConnectionResetError):
            client.recv(1)


class WhatIsAProbe(KernelRules):
    BITS = (packets.FIN, packets.SYN, packets.RST, packets.PSH, packets.ACK, packets.URG)

    @staticmethod
    def is_probe(flags, ephemeral=False):
        answer = flags & packets.RST or flags & packets.SYN and flags & packets.ACK
        return not (answer or ephemeral and flags & packets.ACK)

    def every_combination(self, family, port):
        for taken in itertools.product((0, 1), repeat=len(self.BITS)):
            flags = sum(bit for bit, used in zip(self.BITS, taken) if used)
            yield flags, *self.probe(flags, family, port, flags=flags)[1:]

    def test_every_combination_of_flags_that_is_neither_answer_nor_reset(self):
        """NULL, FIN, Xmas, SYN+FIN, bare ACK, Maimon, and those without a name."""
        self.start_traps()
        for family in (4, 6):
            found = self.seen_of(list(self.every_combination(family, 23)))
            self.assertEqual(found, {flags for flags in range(64) if self.is_probe(flags)}, f"IPv{family}")

    def test_on_ports_of_our_own_connections_an_ack_may_be_a_late_word(self):
        self.start_traps()
        for family in (4, 6):
            found = self.seen_of(list(self.every_combination(family, 40000)))
            self.assertEqual(found, {flags for flags in range(64) if self.is_probe(flags, True)}, f"IPv{family}")

    def test_congestion_bits_and_options_change_nothing(self):
        self.start_traps()
        cases = [self.probe("ECN", 4, 23, flags=packets.SYN | packets.ECE | packets.CWR),
                 self.probe("ECN, IPv6", 6, 23, flags=packets.SYN | packets.ECE | packets.CWR),
                 self.probe("IPv4 options", 4, 23, options=b"\x01\x01\x01\x00")]
        source = self.fresh(6)
        segment = packets.tcp(source, self.guard.v6, 40000, 23, packets.SYN)
        behind = packets.options_header(packets.TCP) + segment
        cases.append(("IPv6 headers", packets.ipv6(source, self.guard.v6, packets.DESTINATION_OPTIONS, behind),
                      (source, "tcp", 23)))
        self.assert_only({case for case, _, _ in cases}, cases)

    def test_a_port_that_is_not_watched_is_none_of_ours(self):
        self.start_traps()
        cases = [self.probe(f"{protocol}{family}", family, port, protocol)
                 for protocol in ("tcp", "udp") for family in (4, 6) for port in (1001, 65535)]
        self.assert_only(set(), cases)

    def test_an_answer_that_connection_tracking_forgot_is_no_probe(self):
        """We asked by UDP, from a watched port: one peer, and everybody on the link."""
        self.start_traps()
        for family, source in ((4, STRANGER), (6, STRANGER6)):
            self.guard.ip(f"neigh add {source} lladdr {self.scanner.mac} dev eth0")
            port = 500 + family
            with contextlib.closing(self.open("::" if family == 6 else "0.0.0.0", port, socket.SOCK_DGRAM)) as asking:
                asking.sendto(b"?", (source, 5353))
            self.forget_connections()
            found = [self.probe("another peer's", family, port, "udp", source_port=5353),
                     ("of another port", self.datagram(port, source=source, source_port=5354), (source, "udp", port))]
            # One source counts once a port, so the answer goes first and is looked for last.
            self.send(self.datagram(port, source=source, source_port=5353))
            self.settle()
            self.assertNotIn((source, "udp", port), self.of_each_kind("seen"))
            self.assert_only({"another peer's", "of another port"}, found)

    def test_who_may_answer_a_question_to_all_is_who_is_on_the_link(self):
        self.start_traps()
        with contextlib.closing(self.open("0.0.0.0", 531, socket.SOCK_DGRAM)) as asking:
            asking.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            asking.sendto(b"?", ("10.77.0.255", 1900))
        self.forget_connections()
        found = [self.probe("far away", 4, 531, "udp")]
        left_alone = [("on the link", self.datagram(531, source=STRANGER), (STRANGER, "udp", 531))]
        self.assert_only({"far away"}, found, left_alone)


class WhenItHolds(KernelRules):
    SOURCES = {"4": lambda _: STRANGER, "6": lambda _: STRANGER6, "6net": lambda n: f"2001:db8:1:2::{n + 1:x}"}
    KEYS = {"4": STRANGER, "6": STRANGER6, "6net": "2001:db8:1:2::"}

    def assert_holds_at(self, trigger):
        """On the probe that reaches the trigger, neither earlier nor later; a port counts once."""
        self.guard.ip("route add default via fd77::2")
        daemon = self.start_traps(trigger)
        for kind, source in self.SOURCES.items():
            key = self.KEYS[kind]
            earlier = range(20, 20 + trigger - 1)
            self.send(*(self.syn(port, source=source(n)) for n, port in enumerate([*earlier, *earlier, *earlier])))
            self.settle_first(trigger)
            seen = {element[2] for element in self.elements(f"seen{kind}") if element[0] == key}
            self.assertEqual(seen, set(earlier), "each once")
            self.assertNotIn((key,), self.elements(f"held{kind}") | self.elements(f"over{kind}"))
            self.assertNotIn(key, self.lab.banned())
            before = self.dropped()
            self.send(*(self.syn(80, source=source(n)) for n in range(10)),
                      *(self.syn(90 + n, source=source(n)) for n in range(10)))
            self.await_ban(daemon, f"{key}/64" if kind == "6net" else key,
                           set_name="ban6net" if kind == "6net" else None)
            self.assertEqual(self.dropped() - before, 19, "all but the one that holds")
            seen = {element[2] for element in self.elements(f"seen{kind}") if element[0] == key}
            self.assertEqual(seen, {*earlier, 80})
            self.assertEqual({element[2] for element in self.elements(f"cause{kind}") if element[0] == key}, {80})

    def settle_first(self, trigger):
        """The sentinel itself must not be held, or is after its first."""
        if trigger > 1:
            self.settle()

    def test_at_the_first_port(self):
        self.assert_holds_at(1)

    def test_at_the_third_port(self):
        self.assert_holds_at(3)

    def test_at_the_tenth_port(self):
        self.assert_holds_at(10)

    def test_both_protocols_count_together(self):
        daemon = self.start_traps(3)
        self.send(self.syn(53, source=STRANGER), self.datagram(53, source=STRANGER))
        self.settle()
        self.assertNotIn((STRANGER,), self.elements("held4"))
        self.send(self.datagram(54, source=STRANGER))
        self.await_ban(daemon, STRANGER)

    def sniff(self):
        """What comes to the scanner from now on: call it for the TCP segments, without what it sent itself."""
        wire = self.scanner.endpoint(socket.AF_PACKET, socket.SOCK_RAW, ETH_P_ALL << 8)
        with self.scanner.entered():
            wire.bind(("eth0", ETH_P_ALL))
        wire.setblocking(False)
        self.addCleanup(wire.close)

        def segments():
            found = []
            with contextlib.suppress(BlockingIOError):
                while True:
                    frame, origin = wire.recvfrom(2048)
                    at, protocol = {b"\x08\x00": (34, 23), b"\x86\xdd": (54, 20)}.get(frame[12:14], (0, 0))
                    if origin[2] != socket.PACKET_OUTGOING and protocol and frame[protocol] == packets.TCP:
                        found.append(frame[at:])
            return found

        return segments

    def test_of_a_burst_exactly_one_packet_gets_there_and_none_is_answered(self):
        """A hundred ports at once: one was looked at, the rest fell before any rule of the traps."""
        daemon = self.start_traps(1)
        answers = self.sniff()
        for family, kind in ((4, "4"), (6, "6")):
            source, before = self.scanner.address(family), self.dropped()
            self.send(*(self.syn(port, family=family) for port in range(100, 200)))
            self.await_ban(daemon, source)
            self.assertEqual(self.dropped() - before, 99)
            self.assertEqual({e for e in self.elements(f"seen{kind}") if e[0] == source}, {(source, "tcp", 100)})
        await_true(lambda: daemon.counter("sensor_held") == 2, "two holds to be told")
        self.assertEqual(daemon.counter("sensor_trapped"), 2)
        self.assertEqual(answers(), [])

    def test_once_over_the_trigger_each_port_holds_again_and_each_once(self):
        """The earlier ones too, which were only told at their time; a port that has held is only told."""
        daemon = self.start_traps(2, ignore=f"{STRANGER} port 1-1000\n")
        for held, port in ((0, 20), (1, 21), (2, 20), (2, 20), (2, 21), (3, 22)):
            self.send(self.syn(port, source=STRANGER))
            await_true(lambda held=held: daemon.counter("holds_released") == held, f"{held} holds to be released")
            self.settle()
            self.assertEqual({e[2] for e in self.elements("cause4") if e[0] == STRANGER}, set([21, 20, 22][:held]))
            self.assertEqual(self.elements("held4"), set())

    def test_a_touch_is_forgotten_when_its_window_is_over(self):
        self.start_traps(2, SCAN_WINDOW="2s")
        self.send(self.syn(20, source=STRANGER))
        await_true(lambda: (STRANGER, "tcp", 20) in self.elements("seen4"), "the touch to be seen")
        await_true(lambda: not {e for e in self.of_each_kind("seen") | self.elements("count4") if e[0] == STRANGER},
                   "the touch to be forgotten")
        self.send(self.syn(21, source=STRANGER))
        self.settle()
        self.assertNotIn((STRANGER,), self.elements("held4"))

    def test_one_packet_is_told_at_once_and_not_with_the_next(self):
        """The kernel would gather messages for a second (NFLOG without a threshold of one)."""
        daemon = self.start_traps(1)
        took = []
        for n in range(5):
            source, since, begin = f"10.77.0.{120 + n}", daemon.mark(), time.monotonic()
            self.send(self.syn(23, source=source))
            daemon.await_line(self.event_line(source, "TCP SYN/Normal"), since=since)
            took.append(time.monotonic() - begin)
        self.assertLess(min(took), 0.5 * PATIENCE)
