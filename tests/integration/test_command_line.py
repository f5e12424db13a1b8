"""The command line as people type it: classic words at a terminal, in scripts and under a manager."""

import contextlib
import os
import pathlib
import pty
import re
import signal
import socket
import subprocess
import threading
import time

from lab import BIN, CONF, DEADLINE, LIVE_PORT, LabTest, await_true, is_alive

NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--")


class Typed(LabTest):
    """`portsentry WORDS` at a terminal of its own."""

    def setUp(self):
        super().setUp()
        self.portsentry = BIN / "portsentry"
        self.portsentry.symlink_to("portsentryd")
        self.addCleanup(self._end_all)

    def typed(self, *words, user=()):
        """Exit status and what the terminal showed."""
        controller, terminal = pty.openpty()
        shown = []

        def read():
            with contextlib.suppress(OSError):  # EIO: nobody has the terminal open any more
                while text := os.read(controller, 4096):
                    shown.append(text)

        process = subprocess.Popen(self.guard.inside([*user, self.portsentry, *words]), stdin=terminal, stdout=terminal,
                                   stderr=terminal, start_new_session=True)
        os.close(terminal)
        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        status = process.wait(DEADLINE)
        # The daemon keeps nothing of the terminal: else this would never come.
        reader.join(DEADLINE)
        self.assertFalse(reader.is_alive(), "the terminal is still held open")
        os.close(controller)
        return status, b"".join(shown).decode().replace("\r\n", "\n")

    def launchers(self):
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit() and is_alive(entry.name):
                with contextlib.suppress(OSError):
                    if (entry / "cmdline").read_bytes().split(b"\0")[0] == bytes(self.portsentry):
                        found.append(int(entry.name))
        return found

    def family(self):
        found = set()
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit() and is_alive(entry.name):
                with contextlib.suppress(OSError):
                    if pathlib.Path(os.readlink(entry / "exe")).parent == BIN:
                        found.add(int(entry.name))
        return found

    def _end_all(self):
        for pid in self.launchers():
            os.kill(pid, signal.SIGTERM)
        await_true(lambda: not self.family(), "every process gone")

    def test_a_start_that_finds_nothing_to_watch_says_so_at_the_terminal(self):
        self.configure(TCP_PORTS=str(LIVE_PORT), UDP_PORTS="")
        status, shown = self.typed("-tcp")
        self.assertEqual(status, 1, shown)
        self.assertRegex(shown, r"portsentry-monitor: nothing is left to watch: no port could be listened on\n")

    def test_a_classic_word_returns_when_the_daemon_is_ready(self):
        self.configure(SCAN_TRIGGER="2")
        status, shown = self.typed("-stcp")
        self.assertEqual((status, shown), (0, ""))
        launcher, = self.launchers()
        self.assertEqual(os.getsid(launcher), launcher)
        self.send(self.syn(23), self.syn(24))
        await_true(lambda: self.scanner.v4 in self.lab.banned(), "the scanner banned")

    def test_a_daemon_that_cannot_start_says_why_and_fails(self):
        self.configure(TCP_PORTS="1,banana")
        status, shown = self.typed("-tcp")
        self.assertEqual(status, 78)
        self.assertRegex(shown, rf"{CONF}:\d+: error: TCP_PORTS: .*banana")
        self.assertEqual(self.launchers(), [])

    def test_tcp_alone_watches_no_udp(self):
        self.configure()
        self.assertEqual(self.typed("-stcp")[0], 0)
        self.send(self.datagram(69))
        self.send(self.syn(23, source="10.77.0.44"))
        await_true(lambda: "10.77.0.44" in self.lab.banned(), "the TCP probe after it")
        self.assertNotIn(self.scanner.v4, self.lab.banned())

    def test_a_second_start_with_the_other_protocol_is_told_the_one_command(self):
        self.configure()
        self.assertEqual(self.typed("-tcp")[0], 0)
        status, shown = self.typed("-udp")
        self.assertEqual(status, 1)
        self.assertRegex(shown, r"already running")
        self.assertRegex(shown, r"portsentry -tcp -udp\n")
        self.assertEqual(len(self.launchers()), 1)

    def test_d_goes_to_the_background_without_a_terminal(self):
        self.configure(SCAN_TRIGGER="2")
        done = self.guard.run([self.portsentry, "-stcp", "-d"])
        self.assertEqual(done.stdout, "")
        self.assertEqual(len(self.launchers()), 1)

    def test_without_a_terminal_a_classic_word_stays(self):
        self.configure()
        process = subprocess.Popen(self.guard.inside([self.portsentry, "-stcp"]), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, text=True)
        for line in process.stdout:
            if "now active and listening" in line:
                break
        self.assertIsNone(process.poll())
        process.terminate()
        self.assertEqual(process.wait(DEADLINE), 0)
        process.stdout.close()

    def test_a_service_manager_is_told_and_nothing_goes_away(self):
        self.configure()
        path = "/run/lab/notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(path)
            manager.settimeout(DEADLINE)
            environment = dict(os.environ, NOTIFY_SOCKET=path)
            process = subprocess.Popen(self.guard.inside([self.portsentry, "-stcp"]), env=environment,
                                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            said = manager.recv(1024).decode()
            self.assertEqual(said.splitlines()[0], "READY=1")
            self.assertEqual(said.splitlines()[1], f"MAINPID={process.pid}")
            self.assertIsNone(process.poll())
            process.terminate()
            self.assertEqual(process.wait(DEADLINE), 0)

    def test_ctrl_c_at_the_terminal_does_not_reach_the_daemon(self):
        self.configure()
        self.assertEqual(self.typed("-stcp")[0], 0)
        launcher, = self.launchers()
        self.assertEqual(pathlib.Path(f"/proc/{launcher}/stat").read_text().rpartition(")")[2].split()[4], "0")

    def test_version_and_check_need_no_root(self):
        self.configure()
        status, shown = self.typed("-v", user=NOBODY)
        self.assertEqual(status, 0)
        self.assertRegex(shown, r"^portsentryd \d+\.\d+")
        status, shown = self.typed("-tcp", "-c", CONF, user=NOBODY)
        self.assertEqual(status, 0, shown)
        self.assertIn(f"{CONF}: ok", shown)
        self.assertEqual(self.launchers(), [])

    def test_pidof_finds_one(self):
        self.configure()
        self.assertEqual(self.typed("-atcp", "-audp")[0], 0)
        launcher, = self.launchers()
        self.assertEqual(self.guard.run(["pidof", "portsentry"]).stdout.split(), [str(launcher)])

    def test_killing_the_foreground_does_not_end_a_start(self):
        """Somebody's impatience at the terminal: the daemon comes up all the same, or says so to syslog."""
        self.configure()
        process = subprocess.Popen(self.guard.inside([self.portsentry, "-stcp", "-d"]), stdin=subprocess.DEVNULL)
        await_true(lambda: len(self.launchers()) >= 2 or process.poll() is not None, "the fork")
        process.kill()
        process.wait(DEADLINE)
        begin = time.monotonic()
        await_true(lambda: pathlib.Path("/run/portsentry/control.sock").exists(), "the daemon up")
        self.assertLess(time.monotonic() - begin, DEADLINE)
        self.assertTrue(re.fullmatch(r"\d+", str(self.launchers()[0])))
