"""What somebody who has read the rules would send, and what else could make them blind or unjust."""

import socket

import packets
from lab import LIVE_PORT, await_true
from test_holds import Holds
from test_kernel_rules import STRANGER, STRANGER6, KernelRules

NOBODYS_MAC = "02:77:00:00:00:99"
BEHIND = "10.99.0.2"  # somebody's in a network behind the guard


class Refused(KernelRules):
    """Packets that Linux throws away: they teach their sender nothing, and ban nobody."""

    def test_headers_that_are_cut_or_lie_hold_nobody_for_longer_than_it_takes_to_say_so(self):
        daemon = self.start_traps(1)
        segments = [packets.tcp(STRANGER, self.guard.v4, 40000, 100 + cut, packets.SYN)[:cut]
                    for cut in (4, 8, 13, 14, 19)]
        for offset in (0, 4, 15):
            lying = bytearray(packets.tcp(STRANGER, self.guard.v4, 40000, 200 + offset, packets.SYN))
            lying[12] = offset << 4
            segments.append(bytes(lying))
        datagrams = [packets.udp(STRANGER, self.guard.v4, 40000, 100)[:cut] for cut in (4, 7)]
        datagrams += [packets.udp(STRANGER, self.guard.v4, 40000, 101)[:4] + length.to_bytes(2, "big") + bytes(2)
                      for length in (0, 7, 9, 65535)]
        cases = [(packets.TCP, segment) for segment in segments] + [(packets.UDP, datagram) for datagram in datagrams]
        for number, (protocol, header) in enumerate(cases):
            self.send(packets.ipv4(f"10.77.0.{60 + number}", self.guard.v4, protocol, header))
            self.send(packets.ipv6(f"fd77::{60 + number}", self.guard.v6, protocol, header))
        await_true(lambda: daemon.counter("holds_released") >= 20, "the holds to be released")
        await_true(lambda: daemon.counter("holds_released") + daemon.counter("holds_banned") ==
                   daemon.counter("sensor_held"), "all to be judged")
        self.assertEqual(self.of_each_kind("held"), set())
        self.assertEqual(daemon.counter("sensor_held_untold"), 0)


class Forged(KernelRules):
    def test_a_router_forwards_nothing_under_its_own_name_by_which_a_probe_becomes_an_answer(self):
        with self.guard.entered():
            self.guard.sysctl("net/ipv6/conf/all/forwarding", 1)
        self.guard.ip(f"neigh add {STRANGER6} lladdr {NOBODYS_MAC} dev eth0")
        self.start_traps(4)
        for port, build, forge, kind in ((20, self.syn, packets.tcp, (packets.SYN,)),
                                         (21, self.datagram, packets.udp, ())):
            protocol = packets.TCP if kind else packets.UDP
            self.send(packets.ip(self.guard.v6, STRANGER6, protocol,
                                 forge(self.guard.v6, STRANGER6, port, 40000, *kind)))
            self.send(build(port, source=STRANGER6, source_port=40000))
        self.settle()
        self.assertEqual({key for key in self.elements("seen6") if key[0] == STRANGER6},
                         {(STRANGER6, "tcp", 20), (STRANGER6, "udp", 21)})

    def test_nor_does_who_is_banned_get_through_by_it(self):
        with self.guard.entered():
            self.guard.sysctl("net/ipv6/conf/all/forwarding", 1)
        self.guard.ip(f"neigh add {STRANGER6} lladdr {NOBODYS_MAC} dev eth0")
        daemon = self.start_traps(1)
        self.send(self.syn(23, source=STRANGER6))
        self.await_ban(daemon, STRANGER6)
        before = self.dropped()
        self.send(packets.ip(self.guard.v6, STRANGER6, packets.TCP,
                             packets.tcp(self.guard.v6, STRANGER6, LIVE_PORT, 40000, packets.SYN)))
        self.send(self.syn(LIVE_PORT, source=STRANGER6, source_port=40000))
        await_true(lambda: self.dropped() > before, "the forger to be cut off", timeout=3)


class Innocent(KernelRules):
    def late_answer(self, asking, port):
        """Of a server to `asking`, when connection tracking has forgotten the question (or never knew it)."""
        server = self.scanner.endpoint(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(server.close)
        server.bind((self.scanner.v4, port))
        server.settimeout(3)
        asking.sendto(b"?", (self.scanner.v4, port))
        _, origin = server.recvfrom(10)
        asking.close()
        self.assertEqual(origin[0], self.guard.v4)
        self.guard.forget_connections()
        server.sendto(b"!", origin)
        self.settle()
        self.assertNotIn((self.scanner.v4, "udp", origin[1]), self.elements("seen4"))

    def test_an_ack_to_a_port_of_our_own_connections_may_be_late_wherever_those_begin(self):
        with self.guard.entered():
            self.guard.sysctl("net/ipv4/ip_local_port_range", "2000 30000")
        self.start_traps(TCP_PORTS="1-65535")
        found = [self.probe("below", 4, 1999, flags=packets.ACK), self.probe("SYN", 4, 2000)]
        left_alone = [self.probe(f"{port}", 4, port, flags=packets.FIN | packets.ACK) for port in (2000, 32768)]
        self.assert_only({"below", "SYN"}, found, left_alone)

    def test_who_answers_a_question_that_is_not_tracked_is_left_alone(self):
        self.guard.nft("""table ip untracked {
            chain out { type filter hook output priority -300; policy accept; udp dport 53 notrack; }
            chain in { type filter hook prerouting priority -300; policy accept; udp sport 53 notrack; }
            }""")
        self.start_traps(UDP_PORTS="40000-40010")
        asking = self.guard.endpoint(socket.AF_INET, socket.SOCK_DGRAM)
        asking.bind((self.guard.v4, 40001))
        self.late_answer(asking, 53)

    def test_who_answers_a_network_behind_us_is_left_alone(self):
        self.guard.nft("""table ip behind {
            chain post { type nat hook postrouting priority 100; policy accept; oifname "eth0" masquerade; }
            }""")
        with self.guard.entered():
            self.guard.sysctl("net/ipv4/ip_forward", 1)
        self.lab.cable(self.guard, self.bystander, "lan", ["10.99.0.1/24"], [f"{BEHIND}/24"])
        self.bystander.ip(f"route add {self.scanner.v4} via 10.99.0.1 dev lan")
        self.start_traps()
        asking = self.bystander.endpoint(socket.AF_INET, socket.SOCK_DGRAM)
        asking.bind((BEHIND, 900))
        self.late_answer(asking, 443)
        self.assert_only({"nobody asked"}, [self.probe("nobody asked", 4, 901, "udp", source_port=443)])


class ByHand(Holds):
    def test_a_set_of_the_traps_that_somebody_empties_is_filled_at_once(self):
        daemon = self.start_with_traps(f"{STRANGER}\n")
        for name in ("alive", "judged", "exempt4", "exempt6", "exempt6net", "onlink4", "onlink6"):
            self.guard.nft(f"flush set inet portsentry {name}")
            listing = ["nft", "list", "set", "inet", "portsentry", name]
            await_true(lambda listing=listing: "elements" in self.guard.run(listing).stdout, f"{name} to be filled",
                       timeout=5)
        self.send(*(self.syn(port) for port in (10, 11)))
        self.await_ban(daemon, self.scanner.v4)
        self.await_count(daemon, "sensor_held", 1)
