"""Probes that Linux answers and that a scanner who has read the source would send instead of a plain SYN."""

import struct

import packets
from packets import SYN
from lab import LabTest


class Evasions(LabTest):
    def setUp(self):
        super().setUp()
        self.segment = packets.tcp(self.scanner.v4, self.guard.v4, 40000, 23, SYN)

    def fragment(self, payload, offset, more=True):
        return packets.ipv4(self.scanner.v4, self.guard.v4, packets.TCP, payload, 7, offset, more)

    def noticed(self, daemon, family=4, port=23):
        address = self.scanner.address(family)
        daemon.await_line(rf"attackalert: .* from host: {address}/{address} to \w+ port: {port}$")
        self.await_ban(daemon, address)

    def test_second_version_of_the_first_fragment_hides_nothing(self):
        daemon = self.start()
        decoy = packets.tcp(self.scanner.v4, self.guard.v4, 40000, 2000, SYN)
        self.send(self.fragment(self.segment[:8], 0), self.fragment(decoy[:8], 0),
                  self.fragment(self.segment[8:], 8, False))
        self.noticed(daemon)

    def test_second_fragment_that_lets_us_wait_hides_nothing(self):
        daemon = self.start(HOLD="none")  # with traps: a packet that is never whole is nothing
        self.send(self.fragment(self.segment[:8], 0))
        self.noticed(daemon)

    def test_fragments_of_others_push_no_probe_out_unseen(self):
        daemon = self.start(HOLD="none")  # with traps: a packet that is never whole is nothing
        self.send(self.fragment(self.segment[:8], 0))
        self.send(*(packets.ipv4(f"10.77.1.{n % 250 + 1}", self.guard.v4, packets.TCP, self.segment[8:], n, 8, False)
                    for n in range(300)))
        self.noticed(daemon)

    def test_extension_headers_to_the_end_of_the_packet_hide_nothing(self):
        daemon = self.start()
        segment = packets.tcp(self.scanner.v6, self.guard.v6, 40000, 23, SYN)
        chain = packets.options_header(packets.DESTINATION_OPTIONS) * 170 + packets.options_header(packets.TCP)
        self.send(packets.ipv6(self.scanner.v6, self.guard.v6, packets.DESTINATION_OPTIONS, chain + segment))
        self.noticed(daemon, 6)

    def test_one_long_extension_header_hides_nothing(self):
        daemon = self.start()
        segment = packets.tcp(self.scanner.v6, self.guard.v6, 40000, 23, SYN)
        # One unknown option, of the kind that is skipped (RFC 8200 4.2).
        header = struct.pack("!BBBB", packets.TCP, 31, 0x1E, 252) + bytes(252)
        self.send(packets.ipv6(self.scanner.v6, self.guard.v6, packets.DESTINATION_OPTIONS, header + segment))
        self.noticed(daemon, 6)

    def test_a_pile_of_priority_tags_hides_nothing(self):
        for tags in (2, 9):
            with self.subTest(tags=tags):
                daemon = self.start()
                packet = self.syn(23, source=f"10.77.0.{100 + tags}")
                ethernet = packets.frame(self.guard.mac, self.scanner.mac, packet)
                pile = struct.pack("!HH", packets.ETHERTYPE_VLAN, 0) * tags
                self.scanner.send_frames([ethernet[:12] + pile + ethernet[12:]])
                self.await_ban(daemon, f"10.77.0.{100 + tags}")
                daemon.stop()

    def test_anycast_address_of_a_router_is_ours(self):
        with self.guard.entered():
            self.guard.sysctl("net/ipv6/conf/all/forwarding", 1)
        daemon = self.start()
        self.send(self.datagram(69, family=6, target="fd77::"))
        self.noticed(daemon, 6, port=69)
