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

    def test_a_source_without_one_is_not(self):
        daemon = self.start()
        self.send(self.syn(23))
        self.await_ban(daemon, self.scanner.v4)
        await_true(lambda: daemon.counter("sensor_proofs_asked") == 1, "the kernel is asked")
        self.assertEqual(daemon.counter("sensor_proofs_found"), 0)
