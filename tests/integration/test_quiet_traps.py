"""A busy server on which nobody scans, by real sockets on both sides: no trap holds anybody and none tells.

test_quiet_day.py plays a recorded day as raw frames, of which connection tracking and sockets know nothing; the kernel's
traps go by both. Every port is watched here but those of the services, so whatever looks like a probe is one.
"""

import contextlib
import os
import socket
import struct
import threading

from lab import LabTest, await_true

ROUNDS = 40
WEB, DNS, LATE, FORGOTTEN = 8443, 53, 1053, 2053
RESET = struct.pack("ii", 1, 0)  # linger for no time: closing resets


class QuietTraps(LabTest):
    def start_watching_all(self):
        daemon = self.start(SCAN_TRIGGER="1", TCP_PORTS="1-65535", UDP_PORTS="1-65535")
        await_true(lambda: len(self.lab.ban_set("judged")) == 2, "the traps to hold")
        return daemon

    def serve(self, host, address):
        """Answers each connection with what it sent, and ends it in a different way each time."""
        listener = host.service(address, WEB)
        self.addCleanup(listener.close)
        listener.settimeout(0.2)
        self.over = threading.Event()

        def work():
            turn = 0
            while not self.over.is_set():
                try:
                    peer, _ = listener.accept()
                except TimeoutError:
                    continue
                with peer, contextlib.suppress(OSError):
                    turn += 1
                    peer.settimeout(2)
                    peer.sendall(peer.recv(65536))
                    if turn % 3 == 0:
                        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    elif turn % 3 == 1:
                        peer.recv(65536)  # until the other side has closed

        worker = threading.Thread(target=work, daemon=True)
        worker.start()
        self.addCleanup(worker.join)
        self.addCleanup(self.over.set)

    def call(self, host, address, turn):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with host.endpoint(family, socket.SOCK_STREAM) as caller, contextlib.suppress(OSError):
            caller.settimeout(3)
            caller.connect((address, WEB))
            caller.sendall(os.urandom(3000))
            if turn % 4 == 0:
                caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                return  # with what comes back unread, and more on the way
            caller.recv(65536)

    def ask_and_leave(self, asker, answerer, late):
        """Questions by UDP whose askers are gone when the answers come."""
        answers = answerer.endpoint(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(answers.close)
        answers.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        answers.bind((answerer.v4, DNS if not late else LATE))
        answers.settimeout(3)
        for _ in range(ROUNDS):
            with asker.endpoint(socket.AF_INET, socket.SOCK_DGRAM) as question:
                question.sendto(b"who is it", answers.getsockname())
                data, origin = answers.recvfrom(100)
                if not late:
                    answers.sendto(data, origin)
                    question.settimeout(3)
                    self.assertEqual(question.recv(100), data)
            if late:  # nobody is there any more, on a port that is watched
                answers.sendto(data, origin)
                answers.sendto(data, origin)

    def assert_quiet(self, daemon):
        self.assertEqual({name: elements for name in ("seen4", "seen6", "seen6net", "held4", "held6", "held6net")
                          if (elements := self.lab.ban_set(name))}, {}, "touches that the kernel has counted")
        self.assertEqual(daemon.matching("attackalert"), [])
        self.assertEqual(daemon.counter("detections"), 0)
        # The traps were there all the while.
        self.send(self.syn(7, source="10.77.0.199"))
        self.await_ban(daemon, "10.77.0.199")

    def test_who_calls_a_service_is_left_alone_however_the_connection_ends(self):
        daemon = self.start_watching_all()
        self.serve(self.guard, "::")
        for turn in range(ROUNDS):
            self.call(self.scanner, self.guard.v4, turn)
            self.call(self.scanner, self.guard.v6, turn)
        self.assert_quiet(daemon)

    def test_whom_we_call_is_left_alone_however_the_connection_ends(self):
        daemon = self.start_watching_all()
        self.serve(self.scanner, "::")
        for turn in range(ROUNDS):
            self.call(self.guard, self.scanner.v4, turn)
            self.call(self.guard, self.scanner.v6, turn)
        self.assert_quiet(daemon)

    def test_answers_to_our_questions_are_left_alone_also_when_nobody_waits_for_them(self):
        daemon = self.start_watching_all()
        self.ask_and_leave(self.guard, self.scanner, late=False)
        self.ask_and_leave(self.guard, self.scanner, late=True)
        # Long after: connection tracking has forgotten.
        self.guard.forget_connections()
        with self.scanner.endpoint(socket.AF_INET, socket.SOCK_DGRAM) as answers:
            answers.bind((self.scanner.v4, FORGOTTEN))
            with self.guard.endpoint(socket.AF_INET, socket.SOCK_DGRAM) as question:
                question.sendto(b"who is it", answers.getsockname())
                answers.settimeout(3)
                data, origin = answers.recvfrom(100)
            self.guard.forget_connections()
            answers.sendto(data, origin)
        self.assert_quiet(daemon)

    def test_who_asks_our_name_server_is_left_alone(self):
        daemon = self.start_watching_all()
        self.ask_and_leave(self.scanner, self.guard, late=False)
        self.assert_quiet(daemon)

    def test_clients_of_a_service_that_restarts_are_left_alone(self):
        daemon = self.start_watching_all()
        for turn in range(3):
            service = self.guard.service("::", WEB)
            self.assertEqual(self.scanner.tcp_answer(self.guard.v4, WEB, timeout=3), "open")
            service.close()
            for _ in range(5):
                self.assertEqual(self.scanner.tcp_answer(self.guard.v4, WEB, timeout=3), "closed")
        self.assert_quiet(daemon)
