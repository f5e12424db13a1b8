"""The feed of the kernel's traps: the real sensor, sealed, on channel B and a real NFLOG group with the test.

The test plays root and monitor (test_bind.py), and its rules say what the traps would say; which packets the real
rules find is another matter."""

import os
import signal
import socket
import struct

import packets
from lab import await_true
from test_bind import COUNTERS, DETECTION, EVIDENCE, FIRST_BOUND, HAND_OVER, BindTest, Sensor, address_of, orders
from test_captured import field, read_fields

GROUP = 7100
ACQUITTED = 8
USE_TRAPS = field(5, b"")
HELD = 15
ACK_SCAN, MAIMON_SCAN = 8, 9
NETLINK_NETFILTER = 12
SO_RCVBUFFORCE = 33

RULES = """table inet testtraps {
    chain trap {
    type filter hook input priority -160;
    tcp dport 23 log prefix "held" group 7100 snaplen 128 queue-threshold 1 drop
    tcp dport 79 log prefix "seen" group 7100 snaplen 128 queue-threshold 1 drop
    tcp dport 81 log prefix "held" group 7100 snaplen 128 queue-threshold 1 drop
    }
}
"""


def attribute(kind, value):
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def open_group(guard):
    """As the launcher does (linux/netfilter/nfnetlink_log.h)."""
    with guard.entered():
        group = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    group.bind((0, 0))
    group.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20)
    for kind, value in ((1, b"\1"), (2, struct.pack(">IBB", 128, 2, 0)), (5, struct.pack(">I", 1)),
                        (3, struct.pack(">I", 1024)), (6, struct.pack(">H", 1))):
        body = struct.pack("=BB", 0, 0) + struct.pack(">H", GROUP) + attribute(kind, value)
        group.send(struct.pack("=IHHII", 16 + len(body), 0x401, 5, 0, 0) + body)
        error, = struct.unpack_from("=i", group.recv(512), 16)
        assert error == 0, os.strerror(-error)
    return group


class Feed(BindTest):
    def setUp(self):
        super().setUp()
        self.group = open_group(self.guard)
        self.addCleanup(self.group.close)
        self.guard.nft(RULES)
        self.addCleanup(lambda: self.guard.nft("delete table inet testtraps"))

    def sensor(self, limit=300, feed="group", **watch):
        number = self.group.fileno() if feed == "group" else feed
        sensor = Sensor(self.guard, orders(**watch), limit, number)
        self.addCleanup(sensor.close)
        return sensor

    def trapping(self, **settings):
        return self.ready(settings={"traps": 1} | settings, capture_tcp=[23, 79])

    def assert_low_numbers_taken(self, sensor):
        def taken():
            return {int(n) for n in os.listdir(f"/proc/{sensor.pid}/fd")}
        # For an instant, while the capture is closed, its numbers are free.
        await_true(lambda: taken() >= set(range(FIRST_BOUND)), "no low number is free")

    def test_hold_is_told_and_nothing_is_captured(self):
        sensor = self.trapping()
        self.assertEqual(sensor.packet_sockets(self.guard), [])
        self.assert_low_numbers_taken(sensor)
        for family in (4, 6):
            self.send(self.syn(23, family=family))
            seen = sensor.detection()
            self.assertEqual(address_of(seen[2]), self.scanner.address(family))
            self.assertEqual((seen[5], seen[HELD]), (23, 1))

    def test_scans_that_only_the_kernel_can_tell_from_traffic(self):
        sensor = self.trapping()
        for flags, kind in ((packets.ACK, ACK_SCAN), (packets.FIN | packets.ACK, MAIMON_SCAN)):
            self.send(self.syn(23, flags=flags))
            seen = sensor.detection()
            self.assertEqual((seen[6], seen[HELD]), (kind, 1))

    def test_probe_that_comes_to_nothing_is_an_acquittal(self):
        sensor = self.trapping()
        self.send(self.syn(81))
        acquitted = sensor.hear(ACQUITTED)
        self.assertEqual(address_of(read_fields(acquitted[1])[1]), self.scanner.address(4))
        self.assertEqual((acquitted[2], acquitted[3]), (6, 81))

    def test_capture_gives_way_while_it_serves(self):
        sensor = self.ready(capture_tcp=[23, 79], tcp=[111])
        self.assertEqual(len(sensor.packet_sockets(self.guard)), 1)
        self.send(self.syn(23))
        self.assertNotIn(HELD, sensor.detection())  # as the capture saw it
        sensor.say(USE_TRAPS)
        await_true(lambda: sensor.packet_sockets(self.guard) == [], "the capture is closed")
        self.assert_low_numbers_taken(sensor)
        self.send(self.syn(23))
        self.assertEqual(sensor.detection()[HELD], 1)
        # What is accepted from now on has no low number.
        self.connect(111)
        sensor.detections_until(111)
        self.assert_low_numbers_taken(sensor)
        sensor.say(USE_TRAPS)  # again is not out of turn
        self.send(self.syn(23))
        self.assertEqual(sensor.detection()[HELD], 1)

    def test_without_a_feed_the_capture_stays(self):
        with open("/dev/null", "rb") as null:
            for feed in (None, null.fileno()):
                sensor = self.sensor(feed=feed, capture_tcp=[79])
                sensor.configure(traps=1)
                sensor.say(USE_TRAPS)
                self.send(self.syn(79))
                self.assertNotIn(HELD, sensor.detection())
                self.assertEqual(len(sensor.packet_sockets(self.guard)), 1)
                sensor.close()

    def test_handing_over_it_tells_what_waited(self):
        sensor = self.trapping()
        os.kill(sensor.pid, signal.SIGSTOP)
        self.send(self.syn(23))
        sensor.say(HAND_OVER)
        os.kill(sensor.pid, signal.SIGCONT)
        told = []
        while not told or told[-1] != EVIDENCE:
            told.append(sensor.receive()[0])
        self.assertEqual([kind for kind in told if kind != COUNTERS], [DETECTION, EVIDENCE])
