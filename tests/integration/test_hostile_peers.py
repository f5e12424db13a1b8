"""The control socket is the one channel that other programs reach: raw bytes from root and from strangers.

Channels A and B have no name that an outsider could open; their hostile peers are in the unit tests."""

import array
import os
import select
import socket

from lab import BIN, CONTROL, LabTest, await_true

NOBODY = 65534


def nobody_reads(write_end):
    poll = select.poll()
    poll.register(write_end, 0)
    return bool(poll.poll(0))  # POLLERR: the last reader is gone


class ControlSocket(LabTest):
    def setUp(self):
        super().setUp()
        self.daemon = self.start()

    def connection(self):
        endpoint = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        endpoint.settimeout(10)
        endpoint.connect(str(CONTROL))
        self.addCleanup(endpoint.close)
        return endpoint

    def assert_closed(self, endpoint):
        try:
            self.assertEqual(endpoint.recv(65536), b"")
        except (ConnectionResetError, BrokenPipeError):
            pass

    def assert_serving(self):
        """The daemon still answers its control program and still bans."""
        self.assertTrue(self.daemon.status())
        self.send(self.syn(23))
        self.await_ban(self.daemon, self.scanner.v4)
        self.assertEqual(self.daemon.process.poll(), None)

    def test_garbage_closes_that_connection_only(self):
        bystander = self.connection()
        for garbage in (b"\xff", b"\x00" * 17, b"GET / HTTP/1.0\r\n\r\n", os.urandom(4096), b"\x0a\xff\xff\xff\xff\x0f",
                        b"\x08\x01" * 2048):
            villain = self.connection()
            villain.send(garbage)
            self.assert_closed(villain)
        bystander.setblocking(False)
        with self.assertRaises(BlockingIOError):
            bystander.recv(1)
        self.assert_serving()

    def test_message_above_the_cap_closes_the_connection(self):
        villain = self.connection()
        villain.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        villain.send(b"\x0a" * 5000)
        self.assert_closed(villain)
        self.assert_serving()

    def test_passed_descriptors_are_refused_and_closed(self):
        before = len(os.listdir(f"/proc/{self.daemon.roles()['monitor']}/fd"))
        for count in (1, 3, 60):
            villain = self.connection()
            read_end, write_end = os.pipe()
            passed = array.array("i", [read_end] * count)
            villain.sendmsg([b"\x0a\x00"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)])
            os.close(read_end)
            self.assert_closed(villain)
            await_true(lambda: nobody_reads(write_end), "the passed descriptors closed")
            os.close(write_end)
        self.assertLessEqual(len(os.listdir(f"/proc/{self.daemon.roles()['monitor']}/fd")), before)
        self.assert_serving()

    def test_empty_message_is_survived(self):
        villain = self.connection()
        villain.send(b"")
        self.assert_serving()

    def test_silent_crowd_does_not_stop_detection(self):
        crowd = []
        for _ in range(100):
            endpoint = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            endpoint.setblocking(False)
            try:
                endpoint.connect(str(CONTROL))
            except (BlockingIOError, ConnectionRefusedError):
                pass
            crowd.append(endpoint)
        self.send(self.syn(23))
        self.await_ban(self.daemon, self.scanner.v4)
        for endpoint in crowd:
            endpoint.close()
        self.assertTrue(self.daemon.status())

    def test_peer_that_never_reads_its_replies_holds_up_nobody(self):
        villain = self.connection()
        villain.setblocking(False)
        for _ in range(5000):
            try:
                villain.send(b"\x0a\x00")
            except OSError:
                break
        self.assert_serving()

    def test_unprivileged_user_is_not_served(self):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.setgroups([])
                os.setresgid(NOBODY, NOBODY, NOBODY)
                os.setresuid(NOBODY, NOBODY, NOBODY)
                with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stranger:
                    stranger.settimeout(10)
                    try:
                        stranger.connect(str(CONTROL))
                        stranger.send(b"\x0a\x00")
                        status = 0 if stranger.recv(4096) == b"" else 2
                    except (PermissionError, ConnectionError):
                        status = 0
            finally:
                os._exit(status)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)
        self.assert_serving()

    def test_control_program_as_an_unprivileged_user_fails_in_words(self):
        done = self.guard.run(["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--",
                               BIN / "portsentryctl", "status"], check=False)
        self.assertIn(done.returncode, (3, 4), done.stdout)
        self.assertTrue(done.stdout.strip())

    def test_control_program_without_a_daemon_says_so(self):
        self.daemon.stop()
        done = self.guard.run([BIN / "portsentryctl", "status"], check=False)
        self.assertEqual(done.returncode, 4, done.stdout)
