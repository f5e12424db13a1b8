"""Who may ask the daemon what: root, and the members of two groups, whatever else they are."""

import os
import pathlib
import select
import socket
import struct

from lab import CONTROL, LabTest, await_true

NOBODY = 65534
VIEW, ADMIN, OTHER = 7001, 7002, 7003
STRANGERS = 200

# Requests and replies as bytes (proto/control.proto): what is tested is what an outsider can send.
STATUS, FLUSH, RELOAD, WATCH = b"\x0a\x00", b"\x9a\x01\x00", b"\x6a\x00", b"\x62\x00"
SELF_TEST, IS_SELF_TESTED = b"\x92\x01\x00", 0x9a
IS_WORKING = b"\x1a"
IS_STATUS, IS_REFUSED, IS_RELOADED, IS_WATCHING = 0x0a, 0x12, 0x8a, 0x72


def answer(user):
    """The reply, whatever the daemon says on the way to it."""
    while (reply := user.recv(4096))[:1] == IS_WORKING:
        pass
    return reply


def as_user(groups, requests, gid=NOBODY):
    """What a user of these groups hears: the first byte of each reply; None where the daemon closed."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        heard = []
        try:
            os.setgroups(groups)
            os.setresgid(gid, gid, gid)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as user:
                user.settimeout(15)
                user.connect(str(CONTROL))
                for request in requests:
                    user.send(request)
                    heard.append(answer(user)[:1])
        except OSError:
            heard.append(b"")
        finally:
            os.write(write_end, struct.pack("B", len(heard)) + b"".join(h or b"\x00" for h in heard))
            os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    return [byte or None for byte in told[1:]]


class Groups(LabTest):
    def setUp(self):
        super().setUp()
        group = pathlib.Path("/etc/group")
        group.write_text(group.read_text() + f"portsentry-view:x:{VIEW}:\nportsentry-admin:x:{ADMIN}:\n")
        self.daemon = self.start()

    def test_members_look_or_change_and_strangers_are_closed_out(self):
        self.assertEqual(as_user([VIEW], [STATUS, RELOAD]), [IS_STATUS, IS_REFUSED])
        self.assertEqual(as_user([OTHER, VIEW], [STATUS, FLUSH]), [IS_STATUS, IS_REFUSED])
        self.assertEqual(as_user([], [STATUS, FLUSH], gid=VIEW), [IS_STATUS, IS_REFUSED])
        self.assertEqual(as_user([ADMIN], [STATUS, RELOAD]), [IS_STATUS, IS_RELOADED])
        self.assertEqual(as_user([OTHER], [STATUS]), [None])
        self.assertEqual(as_user([0], [STATUS], gid=0), [None], "root's group is not root")
        self.assertEqual(self.daemon.counter("control_strangers"), 2)
        self.assertEqual(self.daemon.counter("control_not_permitted"), 3)

    def test_a_member_by_one_of_very_many_groups_is_a_member(self):
        self.assertEqual(as_user([*range(20000, 21000), VIEW], [STATUS]), [IS_STATUS])

    def test_a_user_who_takes_every_seat_leaves_roots(self):
        crowd = []
        child_ready, wake = os.pipe(), os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.setgroups([VIEW])
                os.setresuid(NOBODY, NOBODY, NOBODY)
                for _ in range(60):
                    endpoint = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                    endpoint.settimeout(5)
                    endpoint.connect(str(CONTROL))
                    crowd.append(endpoint)
                os.write(child_ready[1], b"x")
                os.read(wake[0], 1)
            finally:
                os._exit(0)
        try:
            self.assertTrue(select.select([child_ready[0]], [], [], 15)[0], "the crowd never came in")
            self.assertTrue(self.daemon.status())
            self.assertGreaterEqual(self.daemon.counter("control_no_seat"), 52)
        finally:
            os.write(wake[1], b"x")
            os.waitpid(child, 0)

    def test_strangers_at_the_door_stop_nobody(self):
        for _ in range(STRANGERS):
            self.assertEqual(as_user([OTHER], []), [])
        self.assertTrue(self.daemon.status())
        self.send(self.syn(23))
        self.await_ban(self.daemon, self.scanner.v4)


class WithoutGroups(LabTest):
    def test_nobody_but_root_even_reaches_it(self):
        daemon = self.start()
        self.assertEqual(CONTROL.stat().st_mode & 0o777, 0o600)
        self.assertEqual(as_user([VIEW, ADMIN], [STATUS]), [None])
        self.assertTrue(daemon.status())


class Asking(LabTest):
    def connection(self):
        endpoint = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        endpoint.settimeout(15)
        endpoint.connect(str(CONTROL))
        self.addCleanup(endpoint.close)
        return endpoint

    def test_a_reload_by_the_socket_is_a_reload(self):
        daemon = self.start()
        mark = len(daemon.lines)
        admin = self.connection()
        admin.send(RELOAD)
        self.assertEqual(answer(admin)[0], IS_RELOADED)
        daemon.await_line("configuration read again: generation 2", since=mark)

    def test_a_reload_that_is_refused_says_where_the_mistake_is(self):
        daemon = self.start()
        self.configure(TCP_PORTS="20-11")
        admin = self.connection()
        admin.send(RELOAD)
        said = answer(admin)
        self.assertEqual(said[0], IS_REFUSED)
        self.assertIn(b"portsentry.conf:", said)
        self.assertEqual(daemon.counter("reloads_refused"), 1)

    def test_a_self_test_reaches_every_hop_and_bans_nobody(self):
        daemon = self.start()
        admin = self.connection()
        for _ in range(2):
            admin.send(SELF_TEST)
            said = answer(admin)
            self.assertEqual(said[0], IS_SELF_TESTED)
            for hop in (b"monitor", b"sensor", b"parse", b"classify", b"track", b"enforcer", b"kernel-set"):
                self.assertIn(hop + b"\x10\x01", said, "its name, and that it passed")
        self.assertEqual(daemon.status()["enforced"], 0)
        self.assertEqual(daemon.counter("detections"), 0)

    def test_a_message_of_4097_bytes_costs_its_connection(self):
        daemon = self.start()
        villain = self.connection()
        villain.send(b"\x0a" * 4097)
        try:
            self.assertEqual(villain.recv(4096), b"")
        except ConnectionResetError:
            pass
        self.assertTrue(daemon.status())

    def test_a_watcher_that_leaves_and_one_that_never_reads_hold_up_nobody(self):
        daemon = self.start()
        gone, deaf = self.connection(), self.connection()
        for watcher in (gone, deaf):
            watcher.send(WATCH)
        self.assertEqual(gone.recv(4096)[0], IS_WATCHING)
        gone.close()
        self.send(self.syn(23))
        self.await_ban(daemon, self.scanner.v4)
        await_true(lambda: daemon.counter("control_malformed") == 0, "leaving is no offence")
