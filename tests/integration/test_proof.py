"""How sure the sensor is of a source: a connection to a service of ours proves that its address is in use."""

import socket

from lab import LIVE_PORT, LabTest, await_true

class Proof(LabTest):
    def test_a_source_with_a_connection_to_a_service_is_proven(self):
        daemon = self.start()
        with self.scanner.endpoint(socket.AF_INET, socket.SOCK_STREAM) as connection:
            connection.settimeout(3)
            connection.connect((self.guard.v4, LIVE_PORT))
            self.send(self.syn(23))
            self.await_ban(daemon, self.scanner.v4)
            await_true(lambda: daemon.counter("sensor_proofs_found") == 1, "the connection is found")

    def test_who_is_proven_by_a_connection_is_banned_for_the_long_time(self):
        daemon = self.start(SCAN_TRIGGER="2", BLOCK_TIME="1h", BLOCK_TIME_FORGEABLE="10m")
        with self.scanner.endpoint(socket.AF_INET, socket.SOCK_STREAM) as connection:
            connection.settimeout(3)
            connection.connect((self.guard.v4, LIVE_PORT))
            self.send(self.syn(23), self.syn(24))
            await_true(lambda: self.lab.ban_set("ban4").get(self.scanner.v4, 0) > 3000, "an hour")
        self.send(self.syn(23, source="10.77.0.31"), self.syn(24, source="10.77.0.31"))
        self.await_ban_for(daemon, "10.77.0.31", "10m")
        self.assertLess(self.lab.ban_set("ban4")["10.77.0.31"], 700)

    def await_ban_for(self, daemon, address, duration):
        daemon.await_line(self.blocked_line(address, duration=duration))

    def test_a_source_without_one_is_not(self):
        daemon = self.start()
        self.send(self.syn(23))
        self.await_ban(daemon, self.scanner.v4)
        await_true(lambda: daemon.counter("sensor_proofs_asked") == 1, "the kernel is asked")
        self.assertEqual(daemon.counter("sensor_proofs_found"), 0)
