"""A day of an ordinary server, replayed over a real link in twenty seconds: nobody scans, nobody is told, banned
or even suspected, and each frame that could have been held against somebody is counted with the reason why not."""

import socket
import time

import quiet_day
from lab import STATE, LabTest, await_true

REPLAY_SECONDS = 20


class QuietDay(LabTest):
    def replay(self, frames):
        """Each frame leaves from its own end of the link, none before its time."""
        with self.guard.endpoint(socket.AF_PACKET, socket.SOCK_RAW) as here, \
                self.scanner.endpoint(socket.AF_PACKET, socket.SOCK_RAW) as there:
            for host, wire in ((self.guard, here), (self.scanner, there)):
                with host.entered():
                    wire.bind(("eth0", 0))
            begin = time.monotonic()
            for number, (second, outgoing, frame) in enumerate(frames):
                if number % 16 == 0:
                    ahead = begin + second * REPLAY_SECONDS / quiet_day.SECONDS - time.monotonic()
                    if ahead > 0:
                        time.sleep(ahead)
                (here if outgoing else there).send(frame)

    def test_a_day_on_which_nobody_scans_is_a_day_without_a_detection(self):
        self.guard.ip("route add default via 10.77.0.2", "route add default via fd77::2")
        services = [self.guard.service("::", port) for port in quiet_day.TCP_SERVICES]
        services += [self.guard.service("::", port, socket.SOCK_DGRAM) for port in quiet_day.UDP_SERVICES]
        frames, expected = quiet_day.day(self.guard, self.scanner)
        # Our own frames are replayed too, past the kernel's connection tracking: a day for the capture.
        daemon = self.start(TCP_PORTS="1-65535", UDP_PORTS="1-65535", SCAN_TRIGGER="2", HOLD="none")
        self.replay(frames)

        await_true(lambda: daemon.counter("sensor_seen") >= sum(expected.values()), "the sensor has seen the day")
        self.assertEqual(daemon.counter("sensor_kernel_dropped"), 0)
        reasons = {reason: daemon.counter(f"sensor_{reason}") for reason in expected}
        self.assertEqual(reasons, dict(expected))
        self.assertEqual(daemon.counter("sensor_seen"), sum(expected.values()))
        self.assertEqual(daemon.counter("sensor_detections"), 0)
        self.assertEqual(daemon.matching("attackalert"), [])
        self.assertEqual(self.lab.banned(), set())
        history = STATE / "portsentry.history"
        self.assertEqual(history.read_text() if history.exists() else "", "")

        # It was not asleep: two ports of one stranger are told.
        self.send(self.syn(3306, source="198.18.7.7"), self.syn(5432, source="198.18.7.7"))
        self.await_ban(daemon, "198.18.7.7")
        self.assertEqual(self.lab.banned(), {"198.18.7.7"})
        for service in services:
            service.close()
