"""A million forged sources, and a scanner among them: the monitor hears of it as if they were not there.

The flood is real frames over a veth, as many as the machine sends (villains/flood.cc). The test stands in the
monitor's place, so that it sees what the sensor tells and when; what the monitor makes of it has tests of its own.
"""

import socket
import statistics
import subprocess
import threading
import time

import packets
from lab import DEADLINE, LAB_DIR, PATIENCE, await_true
from test_captured import RESTORE_DONE, SENSOR_CHANNEL, AsMonitor, field, read_fields

FLOOD = LAB_DIR / "build" / "tests/integration/flood"
TRAPS = range(21, 26)  # five distinct ports
FORGED = 1_000_000
RATE = 100_000  # a second: ten seconds of it

# proto/sensor.proto
SENSOR_READY, DETECTION = 1, 2
ADDRESS, DISTINCT_PORTS = 2, 8


class SpoofedFlood(AsMonitor):
    CONFIGURATION = {"TCP_PORTS": "1-100,1000-4000"}

    def setUp(self):
        super().setUp()
        self.begin_restoring()
        self.channel.send(RESTORE_DONE)
        self.passed.clear()
        self.hear(SENSOR_CHANNEL)
        self.sensor = socket.socket(fileno=self.passed[-1])
        self.sensor.settimeout(10 * PATIENCE)
        self.addCleanup(self.sensor.close)
        self.told = []  # when, address, distinct ports

    def begin_sensing(self, trigger):
        config = (field(1, trigger) + field(2, 3600) + field(3, 65536) + field(5, 1) + field(6, 1))
        self.sensor.send(field(1, config))
        while SENSOR_READY not in read_fields(self.sensor.recv(8192)):
            pass
        self.listener = threading.Thread(target=self.listen, daemon=True)
        self.listener.start()

    def listen(self):
        """As fast as this goes, which is much slower than the monitor."""
        while True:
            try:
                message = read_fields(self.sensor.recv(8192))
            except OSError:
                return
            if not message:
                return
            if DETECTION in message:
                fields = read_fields(message[DETECTION])
                self.told.append((time.monotonic(), read_fields(fields[ADDRESS])[1], fields[DISTINCT_PORTS]))

    def flood(self, each):
        process = subprocess.Popen(
            self.scanner.inside([FLOOD, "eth0", self.scanner.mac, self.guard.mac, self.guard.v4, 1000, 4000, FORGED, RATE,
                                 each]), stdout=subprocess.DEVNULL)
        self.addCleanup(process.wait, DEADLINE)
        self.addCleanup(process.kill)
        return process

    def received(self):
        """Packets that the guard's link has seen."""
        fields = self.guard.run(["cat", "/proc/net/dev"]).stdout.partition("eth0:")[2].split()
        return int(fields[1])

    def time_to_tell(self, address):
        """Seconds from the first probe to the detection that counts five ports."""
        frames = [packets.frame(self.guard.mac, self.scanner.mac, packets.ipv4(
            address, self.guard.v4, packets.TCP, packets.tcp(address, self.guard.v4, 40000, port, packets.SYN)))
            for port in TRAPS]
        with self.scanner.endpoint(socket.AF_PACKET, socket.SOCK_RAW) as wire:
            with self.scanner.entered():
                wire.bind(("eth0", 0))
            begin = time.monotonic()
            wanted = packets.packed(address)
            sent = 0

            def found():
                # Again and again: the ring, which the flood fills, may have had no room for one of them.
                nonlocal sent
                if time.monotonic() > begin + 0.05 * sent:
                    sent += 1
                    for data in frames:
                        wire.send(data)
                return [when for when, source, ports in self.told if source == wanted and ports >= len(TRAPS)]

            await_true(found, f"{address} is told with five ports", DEADLINE)
            return found()[0] - begin

    def assert_told_in_time(self, trigger, each):
        self.begin_sensing(trigger)
        flood = self.flood(each)
        await_true(lambda: self.received() > 50_000, "the flood has spent every burst")
        took = [self.time_to_tell(f"10.77.0.{host}") for host in range(60, 65)]
        self.assertIsNone(flood.poll(), "the flood was over too early to show anything")
        self.assertLess(statistics.median(took), 0.1 * PATIENCE, took)

    def test_single_packets(self):
        self.assert_told_in_time(2, 1)

    def test_every_forged_packet_is_a_scan(self):
        self.assert_told_in_time(1, 1)

    def test_every_forged_source_reaches_the_trigger(self):
        self.assert_told_in_time(2, 3)
