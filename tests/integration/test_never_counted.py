"""What must never be held against anybody. Each test ends with a probe that must count (the sentinel),
sent last on the same link: silence before it is a decision, not a delay."""

import socket
import time

import packets
from packets import ACK, FIN, PSH, RST, SYN, URG
from lab import BROADCAST_MAC, LIVE_PORT, PATIENCE, LabTest, await_true


class Repetition(LabTest):
    def test_retransmitted_syn_is_one_hit(self):
        daemon = self.start(SCAN_TRIGGER="2")
        self.send(*[self.syn(23, sequence=77)] * 4)
        self.send(self.syn(21, source="10.77.0.31"), self.syn(22, source="10.77.0.31"))
        self.await_ban(daemon, "10.77.0.31")
        self.assert_unnoticed(daemon)
        self.send(self.syn(24))
        self.await_ban(daemon, self.scanner.v4)

    def test_one_port_asked_again_from_other_source_ports_is_one_hit(self):
        daemon = self.start(SCAN_TRIGGER="2")
        self.send(*(self.syn(23, source_port=40000 + n, sequence=n) for n in range(10)))
        self.send(self.syn(21, source="10.77.0.31"), self.syn(22, source="10.77.0.31"))
        self.await_ban(daemon, "10.77.0.31")
        self.assert_unnoticed(daemon)


class Answers(LabTest):
    """Flags that an answer, a reset or established traffic carries. By flags alone a capture cannot tell; what the
    kernel's traps can is test_holds.py's."""

    FLAGS = (ACK, RST, RST | ACK, SYN | ACK, FIN | ACK, PSH | ACK, FIN | PSH | URG | ACK, SYN | RST)

    def unnoticed(self, family):
        daemon = self.start(HOLD="none")
        self.send(*(self.syn(20 + n, flags=flags, family=family) for n, flags in enumerate(self.FLAGS)))
        self.await_sentinel(daemon, family)
        self.assert_unnoticed(daemon)

    def test_answering_flags_v4_are_not_counted(self):
        self.unnoticed(4)

    def test_answering_flags_v6_are_not_counted(self):
        self.unnoticed(6)

    def test_nmap_ack_window_and_maimon_scans_stay_unclaimed(self):
        daemon = self.start(HOLD="none")
        for kind in ("-sA", "-sW", "-sM"):
            self.scanner.nmap(kind, "-p", "1-20", self.guard.v4)
        self.await_sentinel(daemon)
        self.assert_unnoticed(daemon)

    def test_late_answer_to_our_own_datagram_is_not_a_probe(self):
        daemon = self.start(UDP_PORTS="1-65535")
        for family in (4, 6):
            ours = self.guard.endpoint(socket.AF_INET6 if family == 6 else socket.AF_INET, socket.SOCK_DGRAM)
            ours.connect((self.scanner.address(family), 5353))
            ours.send(b"question")
            local_port = ours.getsockname()[1]
            ours.close()
            self.send(self.datagram(local_port, source_port=5353, family=family, payload=b"answer"))
        self.await_sentinel(daemon)
        self.assert_unnoticed(daemon)

    def test_late_answers_of_neighbours_whom_we_asked_all_at_once_are_no_probes(self):
        daemon = self.start(UDP_PORTS="1-65535")
        self.guard.ip("route add 224.0.0.0/4 dev eth0")
        for family, many in ((4, "239.255.255.250"), (4, "255.255.255.255"), (4, "10.77.0.255"), (6, "ff02::c")):
            with self.guard.endpoint(socket.AF_INET6 if family == 6 else socket.AF_INET, socket.SOCK_DGRAM) as ours:
                ours.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                if family == 6:
                    with self.guard.entered():
                        ours.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, socket.if_nametoindex("eth0"))
                ours.bind((self.guard.address(family), 0))
                ours.sendto(b"who plays music?", (many, 1900))
                local_port = ours.getsockname()[1]
            self.send(*(self.datagram(local_port, source=source, source_port=port) for source, port in
                        ((("fd77::60", 1900), ("fd77::61", 49152)) if family == 6 else
                         (("10.77.0.60", 1900), ("10.77.0.61", 49152)))))
        self.await_sentinel(daemon)
        self.assert_unnoticed(daemon, "10.77.0.60", "10.77.0.61", "fd77::60", "fd77::61")
        self.send(self.datagram(local_port, source="198.51.100.7", target=self.guard.v4, source_port=1900))
        self.await_ban(daemon, "198.51.100.7")

    def test_stranger_who_guesses_the_port_of_our_datagram_is_a_probe(self):
        daemon = self.start(UDP_PORTS="1-65535")
        with self.guard.endpoint(socket.AF_INET, socket.SOCK_DGRAM) as ours:
            ours.connect((self.scanner.v4, 5353))
            ours.send(b"question")
            local_port = ours.getsockname()[1]
        self.send(self.datagram(local_port, source="10.77.0.31", source_port=5353))
        self.await_ban(daemon, "10.77.0.31")


class LiveServices(LabTest):
    def visit(self, address, kind=socket.SOCK_STREAM, v6only=False, families=(4, 6), port=80):
        service = self.guard.service(address, port, kind, v6only)
        daemon = self.start(TCP_PORTS="1-100", UDP_PORTS="1-100")
        for family in families:
            build = self.syn if kind == socket.SOCK_STREAM else self.datagram
            self.send(*(build(port, family=family, source_port=41000 + n) for n in range(3)))
        self.await_sentinel(daemon)
        self.assert_unnoticed(daemon)
        return daemon, service

    def test_listener_on_any_v4_address_is_not_a_trap(self):
        self.visit("0.0.0.0", families=(4,))

    def test_listener_on_one_v4_address_is_not_a_trap(self):
        self.visit(self.guard.v4, families=(4,))

    def test_dual_stack_listener_is_not_a_trap_for_either_family(self):
        self.visit("::")

    def test_listener_on_one_v6_address_is_not_a_trap(self):
        self.visit(self.guard.v6, families=(6,))

    def test_v6_only_listener_does_not_cover_v4(self):
        daemon, _service = self.visit("::", v6only=True, families=(6,))
        self.send(self.syn(80))
        # The daemon may still spare the port by number; what it must not do is ban the v6 visitor.
        self.await_sentinel(daemon)
        self.assertNotIn(self.scanner.v6, self.lab.banned())

    def test_udp_socket_on_any_v4_address_is_not_a_trap(self):
        self.visit("0.0.0.0", socket.SOCK_DGRAM, families=(4,), port=69)

    def test_dual_stack_udp_socket_is_not_a_trap_for_either_family(self):
        self.visit("::", socket.SOCK_DGRAM, port=69)

    def test_service_that_just_ended_is_given_a_grace_period(self):
        daemon, service = self.visit("::")
        service.close()
        self.send(self.syn(80), self.syn(80, family=6))
        self.await_sentinel(daemon)
        self.assert_unnoticed(daemon)

    def test_service_on_loopback_only_is_a_trap_from_outside(self):
        self.guard.service("127.0.0.1", 80)
        daemon = self.start()
        self.send(self.syn(80))
        self.await_ban(daemon, self.scanner.v4)

    def test_service_started_after_the_daemon_is_found(self):
        daemon = self.start()
        service = self.guard.service("::", 80)
        self.assertEqual(self.scanner.tcp_answer(self.guard.v4, 80), "open")
        self.await_sentinel(daemon)
        self.assert_unnoticed(daemon)
        service.close()

    def test_port_outside_the_list_is_nobodys_business(self):
        daemon = self.start()
        self.send(self.syn(101), self.syn(65535), self.datagram(70), self.syn(0))
        self.await_sentinel(daemon)
        self.assert_unnoticed(daemon)


class OtherTargets(LabTest):
    def test_packet_for_another_address_is_not_ours(self):
        daemon = self.start()
        self.send(self.syn(23, target="10.77.0.99"), self.syn(23, source=self.scanner.v6, target="fd77::99"))
        self.await_sentinel(daemon)
        self.assert_unnoticed(daemon)

    def test_broadcast_and_multicast_are_not_probes(self):
        daemon = self.start()
        self.send(self.datagram(69, target="10.77.0.255"), self.datagram(69, target="255.255.255.255"),
                  target_mac=BROADCAST_MAC)
        self.send(self.datagram(69, target="224.0.0.1"), target_mac="01:00:5e:00:00:01")
        self.send(self.datagram(69, family=6, target="ff02::1"), target_mac="33:33:00:00:00:01")
        # The same with the guard's own link address: the kernel then calls the frame ours.
        self.send(self.datagram(69, target="10.77.0.255"), self.datagram(69, target="224.0.0.1"),
                  self.datagram(69, family=6, target="ff02::1"), self.syn(23, target="10.77.0.255"))
        self.await_sentinel(daemon)
        self.assert_unnoticed(daemon)

    def test_forwarded_packet_is_not_ours(self):
        with self.guard.entered():
            self.guard.sysctl("net/ipv4/ip_forward", 1)
        daemon = self.start()
        self.send(self.syn(23, target="192.0.2.80"))
        self.await_sentinel(daemon)
        self.assert_unnoticed(daemon)


class ForgedSources(LabTest):
    def test_source_equal_to_target_is_not_counted(self):
        daemon = self.start()
        self.send(self.syn(23, source=self.guard.v4), self.syn(23, source=self.guard.v6))
        self.await_sentinel(daemon)
        self.assert_unnoticed(daemon, self.guard.v4, self.guard.v6)

    def test_our_other_address_as_source_is_not_counted(self):
        self.guard.ip("addr add 10.77.0.77/24 dev eth0")
        daemon = self.start()
        self.send(self.syn(23, source="10.77.0.77"))
        self.await_sentinel(daemon)
        self.assert_unnoticed(daemon, "10.77.0.77")

    def test_source_that_cannot_cross_a_network_is_not_banned(self):
        sources = ("127.0.0.1", "0.0.0.0", "224.0.0.9", "255.255.255.255", "240.0.0.1", "::", "::1", "ff02::5",
                   "::ffff:10.77.0.3")
        daemon = self.start()
        for source in sources:
            self.send(self.syn(23, source=source, target=self.guard.v6 if ":" in source else None))
        sentinel = self.await_sentinel(daemon)
        self.await_ban(daemon, sentinel)
        self.assertEqual(self.lab.banned(), {sentinel})

    def test_link_local_source_is_reported_but_never_banned(self):
        daemon = self.start()
        for source, target in (("169.254.7.7", None), ("fe80::77", self.guard.v6)):
            self.send(self.syn(23, source=source, target=target))
            daemon.await_line(self.event_line(source, "TCP SYN/Normal", port=23))
            daemon.await_line(rf"ERROR: Could not block host {source}/{source} !! \(link-local")
        sentinel = self.await_sentinel(daemon)
        self.await_ban(daemon, sentinel)
        self.assertEqual(self.lab.banned(), {sentinel})

    def test_gateway_is_reported_but_never_banned(self):
        self.guard.ip("route add default via 10.77.0.2", "route add default via fd77::2")
        daemon = self.start()
        self.send(self.syn(23), self.syn(23, family=6))
        daemon.await_line(self.event_line(self.scanner.v4, "TCP SYN/Normal", port=23))
        daemon.await_line(self.event_line(self.scanner.v6, "TCP SYN/Normal", port=23))
        sentinel = self.await_sentinel(daemon)
        self.await_ban(daemon, sentinel)
        self.assertEqual(self.lab.banned(), {sentinel})
        self.assertEqual(daemon.matching(r"has been blocked.*10\.77\.0\.2 "), [])
        self.assert_reachable(4)
        self.assert_reachable(6)


class IgnoreFile(LabTest):
    def test_ignored_hosts_and_networks_are_left_alone(self):
        ignore = f"# friends\n{self.scanner.v4}\nFD77::2\n10.77.0.64/26  # a network\n"
        daemon = self.start(ignore=ignore)
        self.send(self.syn(23), self.syn(23, family=6), self.syn(23, source="10.77.0.65"), self.datagram(69))
        self.await_sentinel(daemon)
        self.assert_unnoticed(daemon, self.scanner.v4, self.scanner.v6, "10.77.0.65")
        self.assert_reachable(4)

    def test_ignored_host_inside_an_off_link_64_keeps_that_64_open(self):
        self.guard.ip("route add fd78:0:0:1::/64 via fd77::fe dev eth0")
        daemon = self.start(ignore="fd78:0:0:1::7\n")
        self.send(self.syn(23, source="fd78:0:0:1::5"))
        self.await_sentinel(daemon, family=6)
        self.assertNotIn("fd78:0:0:1::", self.lab.ban_set("ban6net"))

    def test_line_may_narrow_itself_to_a_protocol_ports_and_an_interface(self):
        self.lab.cable(self.guard, self.scanner, "eth1", ["10.78.0.1/24"], ["10.78.0.2/24"])
        daemon = self.start(ignore="10.77.0.40 proto tcp port 22,30-40\n10.77.0.41 proto UDP\n10.77.0.42 iface eth1\n"
                                   "10.77.0.43 IFACE eth0 port 23\n")
        spared = [self.syn(22, source="10.77.0.40"), self.syn(35, source="10.77.0.40"),
                  self.datagram(69, source="10.77.0.41"), self.syn(23, source="10.77.0.43")]
        self.send(*spared)
        self.await_sentinel(daemon)
        self.assert_unnoticed(daemon, "10.77.0.40", "10.77.0.41", "10.77.0.43")
        # Again and again: within a second of a report there is no other about the same source.
        for source, probe in (("10.77.0.40", self.syn(41, source="10.77.0.40")),
                              ("10.77.0.41", self.syn(22, source="10.77.0.41")),
                              ("10.77.0.42", self.syn(22, source="10.77.0.42")),
                              ("10.77.0.43", self.syn(24, source="10.77.0.43"))):
            await_true(lambda probe=probe, source=source: self.send(probe) or source in self.lab.banned(), f"{source} banned")
            daemon.await_line(self.blocked_line(source))

    def test_line_holds_until_its_moment_and_not_longer(self):
        moment = time.time() + 4 * PATIENCE
        until = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment))
        daemon = self.start(ignore=f"10.77.0.40 until {until}\n10.77.0.41 until 2020-01-01\n10.77.0.42 until 2099-12-31\n")
        daemon.await_line(r"portsentry\.ignore:2: warning: ")
        self.send(*(self.syn(23, source=f"10.77.0.{number}") for number in (40, 41, 42)))
        self.await_ban(daemon, "10.77.0.41")
        self.assert_unnoticed(daemon, "10.77.0.40", "10.77.0.42")
        time.sleep(max(moment + 1 - time.time(), 0))  # the very moment is what is tested
        self.send(self.syn(24, source="10.77.0.42"), self.syn(24, source="10.77.0.40"))
        self.await_ban(daemon, "10.77.0.40")
        self.assert_unnoticed(daemon, "10.77.0.42")

    def test_live_port_of_the_lab_is_not_watched(self):
        """The harness's own premise: visits of the bystander hit no watched port."""
        daemon = self.start()
        self.assertEqual(self.scanner.tcp_answer(self.guard.v4, LIVE_PORT), "open")
        self.assertEqual(self.bystander.tcp_answer(self.guard.v6, LIVE_PORT), "open")
        self.send(packets.ip(self.scanner.v4, self.guard.v4, packets.TCP,
                             packets.tcp(self.scanner.v4, self.guard.v4, 40000, LIVE_PORT, FIN)))
        self.await_sentinel(daemon)
        self.assert_unnoticed(daemon)
