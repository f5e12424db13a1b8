"""Real scans, from a real nmap: each is named, banned in the kernel, and its sender gets no further answer."""

import socket
import subprocess

import packets
from lab import LIVE_PORT, STATE, LabTest


class NmapScans(LabTest):
    def scan(self, kind, *arguments, family=4, protocol="TCP", ports="1-20"):
        daemon = self.start()
        self.assert_reachable(family)
        address = self.scanner.address(family)
        self.scanner.nmap(*arguments, *(["-6"] if family == 6 else []), "-p", ports, self.guard.address(family))
        daemon.await_line(self.event_line(address, kind, protocol))
        self.await_ban(daemon, address)
        daemon.await_line(rf"attackalert: Host: {address}/{address} Port: \d+ {protocol} Blocked$")
        self.assert_cut_off(family)
        return daemon

    def test_syn_scan_v4_is_banned(self):
        self.scan("TCP SYN/Normal", "-sS")

    def test_syn_scan_v6_is_banned(self):
        self.scan("TCP SYN/Normal", "-sS", family=6)

    def test_connect_scan_v4_is_banned(self):
        self.scan("TCP SYN/Normal", "-sT")

    def test_connect_scan_v6_is_banned(self):
        self.scan("TCP SYN/Normal", "-sT", family=6)

    def test_fin_scan_v4_is_banned(self):
        self.scan("TCP FIN", "-sF")

    def test_fin_scan_v6_is_banned(self):
        self.scan("TCP FIN", "-sF", family=6)

    def test_null_scan_v4_is_banned(self):
        self.scan(" TCP NULL", "-sN")  # two blanks, as 1.2 prints it

    def test_null_scan_v6_is_banned(self):
        self.scan(" TCP NULL", "-sN", family=6)

    def test_xmas_scan_v4_is_banned(self):
        self.scan("TCP XMAS", "-sX")

    def test_xmas_scan_v6_is_banned(self):
        self.scan("TCP XMAS", "-sX", family=6)

    def test_udp_scan_v4_is_banned(self):
        self.scan("UDP", "-sU", protocol="UDP", ports="69,161")

    def test_udp_scan_v6_is_banned(self):
        self.scan("UDP", "-sU", protocol="UDP", ports="69,161", family=6)

    def test_syn_scan_in_tiny_fragments_is_banned(self):
        self.scan("TCP SYN/Normal", "-sS", "-f")

    def test_fin_scan_in_tiny_fragments_is_banned(self):
        self.scan("TCP FIN", "-sF", "-f")

    def test_tcp_and_udp_are_watched_by_one_daemon_at_once(self):
        daemon = self.start()
        self.send(self.datagram(69, source="10.77.0.21"), self.syn(23, source="10.77.0.22"))
        self.await_ban(daemon, "10.77.0.21")
        self.await_ban(daemon, "10.77.0.22")

    def test_history_line_is_the_one_that_fail2ban_knows(self):
        daemon = self.scan("TCP SYN/Normal", "-sS")
        port = daemon.await_line(r"Port: (\d+) TCP Blocked$")[1]
        history = (STATE / "portsentry.history").read_text()
        self.assertRegex(history, rf"(?m)^\d+ - \d\d/\d\d/\d{{4}} \d\d:\d\d:\d\d Host: "
                                  rf"{self.scanner.v4}/{self.scanner.v4} Port: {port} TCP Blocked$")
        self.assertRegex((STATE / "portsentry.blocked").read_text(), rf"(?m)^{self.scanner.v4} - Blocked: ")


class Trigger(LabTest):
    def test_scan_below_the_trigger_is_not_reported(self):
        daemon = self.start(SCAN_TRIGGER="3")
        self.send(self.syn(21), self.syn(22))
        self.send(*(self.syn(port, source="10.77.0.22") for port in (21, 22, 23)))
        self.await_ban(daemon, "10.77.0.22")
        self.assert_unnoticed(daemon)

    def test_the_nth_port_is_the_one_that_is_reported(self):
        daemon = self.start(SCAN_TRIGGER="3")
        self.send(*(self.syn(port) for port in (21, 22, 23)))
        daemon.await_line(self.event_line(self.scanner.v4, "TCP SYN/Normal", port=23))
        self.await_ban(daemon, self.scanner.v4)

    def test_trigger_zero_means_one(self):
        daemon = self.start(SCAN_TRIGGER="0")
        self.send(self.syn(21))
        self.await_ban(daemon, self.scanner.v4)

    def test_tcp_and_udp_ports_add_up(self):
        daemon = self.start(SCAN_TRIGGER="2")
        self.send(self.syn(69), self.datagram(69))
        self.await_ban(daemon, self.scanner.v4)


class OddPackets(LabTest):
    """What one of the two peers, or both, walk past."""

    def probe(self, *ip_packets, kind="TCP SYN/Normal", family=4, protocol="TCP", hold="auto", **options):
        daemon = self.start(HOLD=hold)
        self.send(*ip_packets, **options)
        daemon.await_line(self.event_line(self.scanner.address(family), kind, protocol))
        self.await_ban(daemon, self.scanner.address(family))
        return daemon

    def test_syn_with_ecn_bits_is_a_syn(self):
        self.probe(self.syn(23, flags=packets.SYN | packets.ECE | packets.CWR))

    def test_odd_flags_are_reported_too(self):
        daemon = self.start()
        self.send(self.syn(23, flags=packets.SYN | packets.FIN))
        daemon.await_line(rf"attackalert: .*from host: {self.scanner.v4}/{self.scanner.v4} to TCP port: 23$")
        self.await_ban(daemon, self.scanner.v4)

    def test_ip_options_are_walked_and_named(self):
        daemon = self.probe(self.syn(23, options=b"\x01\x01\x01\x00"))
        daemon.await_line(rf"attackalert: Packet from host: {self.scanner.v4}/{self.scanner.v4} to TCP port: 23 has "
                          r"IP options set \(detection avoidance technique\)\.$")

    def test_second_fragment_first_is_put_together(self):
        segment = packets.tcp(self.scanner.v4, self.guard.v4, 40000, 23, packets.SYN)
        self.probe(packets.ipv4(self.scanner.v4, self.guard.v4, packets.TCP, segment[8:16], 7, 8, True),
                   packets.ipv4(self.scanner.v4, self.guard.v4, packets.TCP, segment[:8], 7, 0, True),
                   packets.ipv4(self.scanner.v4, self.guard.v4, packets.TCP, segment[16:], 7, 16, False))

    def test_v6_extension_headers_are_walked(self):
        segment = packets.tcp(self.scanner.v6, self.guard.v6, 40000, 23, packets.SYN)
        chain = packets.options_header(packets.DESTINATION_OPTIONS) + packets.options_header(packets.TCP)
        self.probe(packets.ipv6(self.scanner.v6, self.guard.v6, packets.HOP_BY_HOP, chain + segment), family=6)

    def test_v6_fragmented_header_is_put_together(self):
        segment = packets.tcp(self.scanner.v6, self.guard.v6, 40000, 23, packets.SYN)
        pieces = [packets.fragment_header(packets.TCP, at, at + 8 < len(segment), 9) + segment[at:at + 8]
                  for at in range(0, len(segment), 8)]
        self.probe(*(packets.ipv6(self.scanner.v6, self.guard.v6, packets.FRAGMENT, piece) for piece in pieces),
                   family=6, hold="none")  # Linux takes no packet whose first fragment lacks ports, and so no trap does

    def test_v6_datagram_behind_an_atomic_fragment_header_is_seen(self):
        datagram = packets.udp(self.scanner.v6, self.guard.v6, 40000, 69, b"x")
        self.probe(packets.ipv6(self.scanner.v6, self.guard.v6, packets.FRAGMENT,
                                packets.fragment_header(packets.UDP, 0, False) + datagram),
                   family=6, kind="UDP", protocol="UDP")

    def test_priority_tag_is_skipped(self):
        self.probe(self.syn(23), vlan=0)

    def test_vlan_tag_is_skipped(self):
        try:
            self.guard.ip("link add link eth0 name eth0.7 type vlan id 7", "addr add 10.79.0.1/24 dev eth0.7",
                          "link set eth0.7 up")
        except subprocess.CalledProcessError:
            self.skipTest("this kernel has no VLAN devices (8021q)")
        daemon = self.start()
        self.send(self.syn(23, source="10.79.0.9", target="10.79.0.1"), vlan=7)
        self.await_ban(daemon, "10.79.0.9")

    def test_probe_with_a_bad_checksum_harms_nobody(self):
        daemon = self.start()
        good = self.syn(23)
        self.send(good[:10] + b"\xff\xff" + good[12:], good[:24], good[:33], b"\x45" + bytes(19))
        self.await_sentinel(daemon)
        self.assertEqual(daemon.process.poll(), None)


class OffLink(LabTest):
    """An IPv6 source behind a router stands for its /64."""

    def test_off_link_v6_source_is_banned_as_its_64(self):
        self.guard.ip("route add fd78:0:0:1::/64 via fd77::fe dev eth0")
        self.guard.ip(f"neigh replace fd77::fe lladdr {self.scanner.mac} dev eth0")
        self.scanner.ip("addr add fd78:0:0:1::5/64 dev eth0 nodad", "addr add fd78:0:0:1::6/64 dev eth0 nodad")
        daemon = self.start()
        for address in ("fd78:0:0:1::5", "fd78:0:0:1::6"):
            self.assertEqual(self.connect_from(address), "open")
        self.send(self.syn(23, source="fd78:0:0:1::5"))
        daemon.await_line(self.event_line("fd78:0:0:1::5", "TCP SYN/Normal", port=23))
        self.await_ban(daemon, "fd78:0:0:1::5", set_name="ban6net", source="fd78:0:0:1::/64")
        for address in ("fd78:0:0:1::5", "fd78:0:0:1::6"):
            self.assertEqual(self.connect_from(address), "silent")
        self.assert_reachable(6)  # the on-link address of the same host is another source

    def connect_from(self, address):
        with self.scanner.endpoint(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.settimeout(0.6)
            probe.bind((address, 0))
            try:
                probe.connect((self.guard.v6, LIVE_PORT))
                return "open"
            except OSError:
                return "silent"
