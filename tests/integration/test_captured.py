"""A captured monitor and a captured sensor against the real root processes, in their real sandbox.

portsentryd takes the program that lies beside it. Here that is villains/villain.cc, which has the user and
the descriptors of the process that it stands for, and hands its channel to the test. So the test says, byte by
byte, what an attacker inside that process could say."""

import array
import collections
import contextlib
import errno
import ipaddress
import os
import pathlib
import resource
import shutil
import signal
import socket
import threading
import time

from lab import BIN, CONF, LAB_DIR, PATIENCE, STATE, LabTest, await_true
from test_hostile_peers import nobody_reads

MEETING = LAB_DIR / "villain"
GATEWAY = "10.77.0.254"

# Verdicts of proto/enforcer.proto.
OK, NOT_UNICAST, OWN_ADDRESS, NEXT_HOP, SHARED_PREFIX, OVER_BUDGET = 1, 10, 11, 12, 13, 15
COMMAND_FAILED, COMMAND_KILLED, COMMAND_TIMED_OUT, COMMAND_NOT_RUN, NO_COMMAND = 4, 5, 6, 7, 8
OUTCOME, TABLE_CREATED, ADOPTED_DONE, SENSOR_CHANNEL, SENSOR_LOST = 1, 2, 4, 5, 6
COMMAND_OUTPUT, RELOAD_FILE, RELOAD_OFFER, RELOAD_FAILED, RESOLVER_CHANNEL, RESOLVER_LOST = 9, 10, 11, 12, 13, 14
EXTERNAL, RUN_CMD, HOSTS_DENY_ADD, HOSTS_DENY_REMOVE = 1, 2, 3, 4


# ---- Protobuf by hand: a captured process is not bound to wire.cc ---------------------------------------


def varint(number):
    out = bytearray()
    while number > 0x7f:
        out.append(number & 0x7f | 0x80)
        number >>= 7
    return bytes(out) + bytes([number])


def field(number, value):
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    return varint(number << 3) + varint(value)


def source(text):
    network = ipaddress.ip_network(text)
    return field(1, field(1, network.network_address.packed)) + field(2, network.prefixlen)


def ban(number, text, seconds=1800):
    return field(2, field(1, number) + field(2, source(text)) + field(3, seconds) + field(4, 6) + field(5, 23))


def restore(number, text, seconds=1800):
    return field(4, field(1, number) + field(2, source(text)) + field(3, seconds))


def unban(number, text):
    return field(3, field(1, number) + field(2, source(text)))


def run_command(number, command, text):
    return field(7, field(1, number) + field(2, command) + field(3, source(text)) + field(4, 6) + field(5, 23))


def reload_answer(verb, generation):
    return field({"accept": 9, "refuse": 10, "commit": 11, "abandon": 12}[verb], field(1, generation))


ANNOUNCE = field(8, b"")
ACCEPT, RESTORE_DONE, DROP_SENSOR = field(1, field(1, 1)), field(5, b""), field(6, b"")
READY = field(1, b"")


def read_fields(data):
    """Field number -> value, of one message without repeated fields."""
    found, position = {}, 0

    def number():
        nonlocal position
        value = shift = 0
        while True:
            byte = data[position]
            position += 1
            value |= (byte & 0x7f) << shift
            shift += 7
            if byte < 0x80:
                return value

    while position < len(data):
        key = number()
        value = number()
        if key & 7 == 2:
            value, position = data[position:position + value], position + value
        found[key >> 3] = value
    return found


class Captured(LabTest):
    ROLE = None

    def setUp(self):
        super().setUp()
        (BIN / f"portsentry-{self.ROLE}").unlink()
        shutil.copy(LAB_DIR / "build/tests/integration/villain", BIN / f"portsentry-{self.ROLE}")
        self.meeting = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.meeting.bind(str(MEETING))
        MEETING.chmod(0o666)
        self.meeting.listen(16)
        self.meeting.settimeout(10 * PATIENCE)

    def meet(self):
        """The channel of the next villain that the launcher starts, and the villain's life line."""
        villain, _ = self.meeting.accept()
        villain.settimeout(10 * PATIENCE)
        _, passed, _, _ = socket.recv_fds(villain, 16, 1)
        channel = socket.socket(fileno=passed[0])
        channel.settimeout(10 * PATIENCE)
        for endpoint in (villain, channel):
            self.addCleanup(endpoint.close)
        return channel, villain

    def assert_hung_up(self, endpoint):
        with contextlib.suppress(ConnectionResetError):
            while endpoint.recv(65536):
                pass


class AsMonitor(Captured):
    ROLE = "monitor"

    def setUp(self):
        super().setUp()
        self.guard.ip(f"route add default via {GATEWAY}")
        self.passed = []
        self.born(**self.CONFIGURATION)

    CONFIGURATION = {}

    def born(self, **changes):
        self.configure(**changes)
        self.daemon = self.launch()
        self.channel, self.villain = self.meet()

    def receive(self):
        """One message: its verb and its fields. What comes with it is kept: a sensor lives by its channel."""
        data, passed, _, _ = socket.recv_fds(self.channel, 8192, 1)
        self.passed += passed
        if not data:
            raise EOFError("the enforcer hung up")
        (kind, content), = read_fields(data).items()
        return kind, read_fields(content)

    def hear(self, verb):
        """The next message of this kind; sensors come and go between."""
        while True:
            kind, fields = self.receive()
            if kind == verb:
                return fields

    def begin_restoring(self):
        self.channel.send(ACCEPT)
        self.hear(ADOPTED_DONE)

    def begin_serving(self):
        self.begin_restoring()
        self.channel.send(RESTORE_DONE)
        self.hear(SENSOR_CHANNEL)

    def verdict_of(self, message):
        self.channel.send(message)
        return self.hear(OUTCOME)[2]

    def assert_stops(self, pattern):
        self.assertEqual(self.daemon.await_exit(), 1)
        self.daemon.await_line(pattern)
        self.assertEqual(self.lab.banned(), set())


class CapturedMonitor(AsMonitor):
    # ---- Shape ---------------------------------------------------------------------------------------------

    def test_garbage_stops_the_daemon(self):
        self.begin_serving()
        self.channel.send(b"\xff" * 100)
        self.assert_stops("the monitor sent an invalid message: stopping")

    def test_message_above_the_cap_stops_the_daemon(self):
        self.begin_serving()
        good = ban(1, "10.77.0.40/32")
        self.channel.send(good + bytes(4097 - len(good)))
        self.assert_stops("the monitor sent a malformed message: stopping")

    def test_unknown_field_stops_the_daemon(self):
        self.begin_serving()
        self.channel.send(ban(1, "10.77.0.40/32") + field(99, b"/bin/sh"))
        self.assert_stops("the monitor sent an invalid message: stopping")

    def test_descriptors_stop_the_daemon_and_are_not_kept(self):
        self.begin_serving()
        read_end, write_end = os.pipe()
        passed = array.array("i", [read_end] * 50)
        self.channel.sendmsg([ban(1, "10.77.0.40/32")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)])
        os.close(read_end)
        self.assert_stops("the monitor sent a malformed message: stopping")
        self.assertTrue(nobody_reads(write_end))
        os.close(write_end)

    def test_one_descriptor_stops_the_daemon(self):
        self.begin_serving()
        socket.send_fds(self.channel, [ban(1, "10.77.0.40/32")], [0])
        self.assert_stops("the monitor sent an invalid message: stopping")

    # ---- Phase ---------------------------------------------------------------------------------------------

    def test_ban_before_accept_stops_the_daemon(self):
        self.channel.send(ban(1, "10.77.0.40/32"))
        self.assert_stops("the monitor sent Ban out of turn: stopping")
        self.assertFalse(self.lab.has_table())

    def test_restore_outside_its_window_stops_the_daemon(self):
        self.begin_serving()
        self.channel.send(restore(1, "10.77.0.40/32"))
        self.assert_stops("the monitor sent Restore out of turn: stopping")

    def test_second_accept_stops_the_daemon(self):
        self.begin_serving()
        self.channel.send(ACCEPT)
        self.assert_stops("the monitor sent Accept out of turn: stopping")

    def test_hanging_up_stops_the_daemon(self):
        self.begin_serving()
        self.channel.close()
        self.assert_stops("stopping")

    # ---- Meaning -------------------------------------------------------------------------------------------

    def test_guard_refuses_whoever_is_protected(self):
        cases = (
            (self.guard.v4 + "/32", OWN_ADDRESS), (self.guard.v6 + "/128", OWN_ADDRESS), ("fd77::/64", OWN_ADDRESS),
            (GATEWAY + "/32", NEXT_HOP), ("127.0.0.1/32", NOT_UNICAST), ("::1/128", NOT_UNICAST),
            ("::/64", NOT_UNICAST), ("169.254.1.1/32", NOT_UNICAST), ("fe80::/64", NOT_UNICAST),
            ("224.0.0.1/32", NOT_UNICAST), ("255.255.255.255/32", NOT_UNICAST), ("0.0.0.0/32", NOT_UNICAST),
            ("64:ff9b::/64", SHARED_PREFIX), ("2002:a4d:1::/64", SHARED_PREFIX), ("2001:0:1:2::/64", SHARED_PREFIX),
        )
        self.begin_restoring()
        for number, (text, verdict) in enumerate(cases, 1):
            self.assertEqual(self.verdict_of(restore(number, text)), verdict, text)
        self.channel.send(RESTORE_DONE)
        for number, (text, verdict) in enumerate(cases, 1):
            self.assertEqual(self.verdict_of(ban(number, text)), verdict, text)
        self.assertEqual(self.lab.banned(), set())
        self.assertEqual(self.verdict_of(ban(99, "10.77.0.40/32")), OK)
        self.assertEqual(self.lab.banned(), {"10.77.0.40"})

    def test_wider_or_mapped_source_is_no_message(self):
        self.begin_serving()
        mapped = field(1, field(1, ipaddress.ip_address("::ffff:10.77.0.1").packed)) + field(2, 128)
        self.channel.send(field(2, field(1, 1) + field(2, mapped) + field(3, 60) + field(4, 6) + field(5, 23)))
        self.assert_stops("the monitor sent an invalid message: stopping")

    def test_address_that_is_a_moment_old_is_protected(self):
        """Also when the request to ban it was there first."""
        self.begin_serving()
        enforcer = self.daemon.roles()["enforcer"]
        os.kill(enforcer, signal.SIGSTOP)
        self.channel.send(ban(1, "10.77.9.9/32"))
        self.channel.send(ban(2, "10.77.9.8/32"))
        self.guard.ip("addr add 10.77.9.9/24 dev eth0", "route add 10.99.0.0/16 via 10.77.9.8")
        os.kill(enforcer, signal.SIGCONT)
        self.assertEqual([self.hear(OUTCOME)[2], self.hear(OUTCOME)[2]], [OWN_ADDRESS, NEXT_HOP])
        self.assertEqual(self.lab.banned(), set())

    def test_arming_anew_opens_the_restore_window_and_the_guard_stands_in_it(self):
        self.begin_serving()
        self.channel.send(field(13, b""))
        self.hear(TABLE_CREATED)
        self.channel.send(RESTORE_DONE)
        self.channel.send(field(13, field(1, 1)))
        self.hear(TABLE_CREATED)
        for number, (text, verdict) in enumerate(((self.guard.v4 + "/32", OWN_ADDRESS), (GATEWAY + "/32", NEXT_HOP),
                                                  ("fd77::/64", OWN_ADDRESS), ("10.77.0.40/32", OK)), 1):
            self.assertEqual(self.verdict_of(field(4, field(1, number) + field(2, source(text)))), verdict, text)
        self.assertEqual(self.lab.banned(), {"10.77.0.40"})

    def test_audits_beyond_those_that_may_wait_stop_the_daemon(self):
        self.begin_serving()
        enforcer = self.daemon.roles()["enforcer"]
        os.kill(enforcer, signal.SIGSTOP)
        for number in range(1, 41):
            self.channel.send(field(14, field(1, number)))
        os.kill(enforcer, signal.SIGCONT)
        self.assert_stops("the monitor sent Audit out of turn: stopping")

    # ---- Floods --------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def flood(self, message):
        """As fast as the enforcer takes it, its answers read and counted by verb and verdict."""
        heard = collections.Counter()
        ended = threading.Event()

        def send():
            with contextlib.suppress(OSError):
                while not ended.is_set():
                    self.channel.send(message)

        def receive():
            with contextlib.suppress(OSError, EOFError):
                while True:
                    kind, fields = self.receive()
                    heard[kind, fields.get(2) if kind == OUTCOME else None] += 1

        threads = [threading.Thread(target=work, daemon=True) for work in (send, receive)]
        for thread in threads:
            thread.start()
        yield heard
        ended.set()

    def test_flood_of_bans_spends_the_budget_and_keeps_nobody_waiting(self):
        self.begin_serving()
        with self.flood(ban(1, "127.0.0.1/32")) as heard:
            await_true(lambda: heard[OUTCOME, OVER_BUDGET] > 1000, "the end of the budget")
            os.kill(self.daemon.roles()["sensor"], signal.SIGKILL)
            await_true(lambda: heard[SENSOR_LOST, None] and heard[SENSOR_CHANNEL, None], "another sensor")
            self.guard.run(["nft", "delete", "table", "inet", "portsentry"])
            await_true(self.lab.has_rules, "the table back, under flood", 3 * PATIENCE)
        self.assertEqual(self.daemon.stop(), 0)

    def test_flood_of_self_tests_spends_their_budget(self):
        self.begin_serving()
        began = time.monotonic()
        with self.flood(field(16, field(1, 9))) as heard:
            await_true(lambda: heard[OUTCOME, OVER_BUDGET] > 1000, "the end of the budget")
            self.assertLessEqual(heard[OUTCOME, OK], 11 + time.monotonic() - began)
        self.assertEqual(self.lab.banned(), set())
        self.assertEqual(self.daemon.stop(), 0)

    def test_flood_of_drop_sensor_is_no_flood_of_sensors(self):
        self.begin_serving()
        began = time.monotonic()
        with self.flood(DROP_SENSOR) as heard:
            await_true(lambda: heard[SENSOR_LOST, None] >= 4, "some sensors dropped")
            took = time.monotonic() - began
        # Each waited twice as long as the one before: 0.1 s, 0.2 s, 0.4 s.
        self.assertGreater(took, 0.7)
        self.assertEqual(self.daemon.stop(), 0)


class CapturedMonitorReloads(AsMonitor):
    """What a monitor can do with the answers of a reload: nothing but keep the old, or take what root has read."""

    def setUp(self):
        super().setUp()
        self.begin_serving()
        await_true(lambda: len(self.sensors()) == 1, "a sensor")  # a fork that has not become one yet is not counted

    def hang_up(self, **changes):
        self.configure(**changes)
        os.kill(self.daemon.pid, signal.SIGHUP)

    def offered(self, **changes):
        self.hang_up(**changes)
        kinds = []
        while True:
            kind, fields = self.receive()
            if kind == RELOAD_OFFER:
                self.assertEqual(sorted(kinds), [1, 2, 3, 4, 5], "all five files come first")
                return fields[1]
            if kind == RELOAD_FILE:
                kinds.append(fields[2])

    def answer(self, verb, generation):
        self.channel.send(reload_answer(verb, generation))

    def sensors(self):
        return {pid for pid, name in self.daemon.family().items() if name == "portsentry-sensor"}

    def test_answer_without_an_offer_stops_the_daemon(self):
        self.answer("commit", 2)
        self.assert_stops("the monitor sent ReloadCommit out of turn: stopping")

    def test_accept_without_an_offer_stops_the_daemon(self):
        self.answer("accept", 2)
        self.assert_stops("the monitor sent ReloadAccept out of turn: stopping")

    def test_answer_to_another_generation_stops_the_daemon(self):
        self.answer("commit", self.offered() + 1)
        self.assert_stops("the monitor sent ReloadCommit out of turn: stopping")

    def test_second_answer_stops_the_daemon(self):
        generation = self.offered()
        self.answer("refuse", generation)
        self.answer("commit", generation)
        self.assert_stops("the monitor sent ReloadCommit out of turn: stopping")

    def test_abandoning_what_was_not_accepted_stops_the_daemon(self):
        self.answer("abandon", self.offered())
        self.assert_stops("the monitor sent ReloadAbandon out of turn: stopping")

    def test_second_ready_stops_the_daemon(self):
        self.channel.send(ANNOUNCE)
        self.channel.send(ANNOUNCE)
        self.assert_stops("the monitor sent Ready out of turn: stopping")

    def test_commit_of_a_broken_file_is_refused_and_the_old_generation_stays(self):
        generation = self.offered(SCAN_TRIGGER="many")
        self.answer("commit", generation)
        self.assertEqual(self.hear(RELOAD_FAILED)[1], 9)
        self.daemon.await_line(rf"generation {generation} cannot come into force")
        self.assertEqual(self.verdict_of(ban(1, "10.77.0.40/32")), OK)

    def test_accept_of_a_broken_file_starts_no_sensor(self):
        before = self.sensors()
        self.answer("accept", self.offered(SCAN_TRIGGER="many"))
        self.assertEqual(self.hear(RELOAD_FAILED)[1], 9)
        self.assertEqual(self.sensors(), before)

    def test_commit_without_a_successor_cannot_leave_a_sensor_with_old_orders(self):
        before = self.sensors()
        self.answer("commit", self.offered(TCP_PORTS="7-9"))
        self.hear(SENSOR_LOST)
        self.hear(SENSOR_CHANNEL)
        await_true(lambda: self.sensors() and not self.sensors() & before, "a sensor with the new orders")

    def test_successor_replaces_the_sensor_without_a_word_about_the_old_one(self):
        before = self.sensors()
        generation = self.offered(TCP_PORTS="7-9")
        self.answer("accept", generation)
        self.assertEqual(self.hear(SENSOR_CHANNEL).get(1), 1)
        await_true(lambda: len(self.sensors()) == 2, "two sensors")
        self.answer("commit", generation)
        await_true(lambda: len(self.sensors()) == 1, "one sensor")
        self.assertFalse(self.sensors() & before)
        self.assertEqual(self.verdict_of(ban(1, "10.77.0.40/32")), OK)  # the next message: no SensorLost before it

    def test_successor_ends_when_it_is_abandoned(self):
        before = self.sensors()
        generation = self.offered(TCP_PORTS="7-9")
        self.answer("accept", generation)
        self.hear(SENSOR_CHANNEL)
        self.answer("abandon", generation)
        await_true(lambda: self.sensors() == before, "the old sensor alone")
        self.answer("refuse", self.offered())

    def test_successor_that_dies_is_told_and_its_commit_still_counts(self):
        before = self.sensors()
        generation = self.offered(TCP_PORTS="7-9")
        self.answer("accept", generation)
        self.hear(SENSOR_CHANNEL)
        await_true(lambda: self.sensors() > before, "two sensors")
        successor, = self.sensors() - before
        os.kill(successor, signal.SIGKILL)
        self.assertEqual(self.hear(SENSOR_LOST).get(4), 1)
        self.answer("commit", generation)
        self.assertIsNone(self.hear(SENSOR_LOST).get(4))  # the old one, which may have handed over
        self.hear(SENSOR_CHANNEL)
        await_true(lambda: self.sensors() and not self.sensors() & before, "another sensor")

    def test_silence_keeps_the_old_generation_and_is_told(self):
        generation = self.offered()
        self.daemon.await_line(rf"has not judged generation {generation} .* within five seconds; the one before stays")
        self.assertEqual(self.verdict_of(ban(1, "10.77.0.40/32")), OK)
        self.answer("commit", generation)  # late, and still the answer to what was asked
        self.assertEqual(self.verdict_of(ban(2, "10.77.0.41/32")), OK)

    def test_storm_of_hang_ups_costs_one_generation_at_a_time(self):
        generation = self.offered()
        for _ in range(200):
            os.kill(self.daemon.pid, signal.SIGHUP)
        self.answer("refuse", generation)
        self.assertEqual(self.hear(RELOAD_OFFER)[1], generation + 1)
        self.answer("refuse", generation + 1)
        self.assertEqual(self.verdict_of(ban(1, "10.77.0.40/32")), OK)
        self.channel.setblocking(False)
        with self.assertRaises(BlockingIOError):
            self.channel.recv(4096)

    def test_hang_up_before_anything_stands_is_kept(self):
        self.daemon.stop()
        self.born()
        os.kill(self.daemon.pid, signal.SIGHUP)
        self.begin_serving()
        self.assertEqual(self.hear(RELOAD_OFFER)[1], 2)

    def test_file_that_cannot_be_read_or_trusted_is_a_code(self):
        CONF.chmod(0o666)
        os.kill(self.daemon.pid, signal.SIGHUP)
        self.assertEqual(self.hear(RELOAD_FAILED), {1: 1, 2: errno.EPERM})
        CONF.unlink()
        os.kill(self.daemon.pid, signal.SIGHUP)
        self.assertEqual(self.hear(RELOAD_FAILED), {1: 1, 2: errno.ENOENT})
        self.answer("refuse", self.offered())

    def test_output_files_are_opened_anew(self):
        history = STATE / "portsentry.history"
        history.rename(STATE / "portsentry.history.1")
        self.hang_up()
        while self.receive() != (RELOAD_FILE, {1: 2, 2: 3}):
            pass
        self.assertTrue(os.path.samestat(os.fstat(self.passed[-1]), history.stat()))
        self.hear(RELOAD_OFFER)
        self.answer("commit", 2)

    def test_output_file_that_cannot_be_opened_is_the_one_before(self):
        history = STATE / "portsentry.history"
        self.hang_up(HISTORY_FILE="/var/lib/missing/history")
        self.assertEqual(self.hear(RELOAD_FAILED), {1: 3, 2: errno.ENOENT})
        while self.receive() != (RELOAD_FILE, {1: 2, 2: 3}):
            pass
        self.assertTrue(os.path.samestat(os.fstat(self.passed[-1]), history.stat()))

    def test_more_ports_than_descriptors_are_refused_with_the_numbers(self):
        resource.prlimit(self.daemon.pid, resource.RLIMIT_NOFILE, (1024, 1024))
        self.hang_up(TCP_MODE="tcp", TCP_PORTS="20000-20999")
        self.assertEqual(self.hear(RELOAD_FAILED)[1], 7)
        self.daemon.await_line(r"listening on 1000 ports takes 1192 descriptors, and the limit is 1024 .* 832 ports would fit")

    def test_backend_comes_and_goes(self):
        self.answer("commit", self.offered(BLOCK_TCP="0", BLOCK_UDP="0", FIREWALL="none"))
        self.assertEqual(self.hear(TABLE_CREATED), {2: 1})
        self.channel.send(RESTORE_DONE)
        self.assertEqual(self.verdict_of(ban(1, "10.77.0.40/32")), 3)
        self.assertTrue(self.lab.has_table(), "disarming leaves what exists")
        self.guard.run(["nft", "delete", "table", "inet", "portsentry"])
        self.answer("commit", self.offered())
        self.assertEqual(self.hear(TABLE_CREATED), {1: 1, 2: 1, 3: 1})
        self.channel.send(RESTORE_DONE)
        self.assertEqual(self.verdict_of(ban(2, "10.77.0.40/32")), OK)
        self.assertEqual(self.lab.banned(), {"10.77.0.40"})


class CapturedMonitorRuns(AsMonitor):
    """The owner's commands, asked for by somebody who means harm."""

    def setUp(self):
        super().setUp()
        self.begin_serving()

    SEEN = "/run/lab/seen"
    CONFIGURATION = {
        "KILL_ROUTE": "/usr/bin/touch /run/lab/route-$TARGET$-$PORT$-$MODE$",
        "KILL_ROUTE_REMOVE": "/bin/rm /run/lab/route-$TARGET$-23-stcp",
        "KILL_RUN_CMD": "/bin/false $TARGET$",
        "EXTERNAL_COMMAND": f"echo seen $TARGET$ >> {SEEN}",
    }

    def routes(self):
        return {path.name for path in LAB_DIR.glob("route-*")}

    def test_ban_is_what_the_command_did(self):
        self.assertEqual(self.verdict_of(ban(1, "10.77.0.40/32")), OK)
        self.assertEqual(self.routes(), {"route-10.77.0.40-23-stcp"})
        self.assertEqual(self.lab.banned(), set())
        self.assertEqual(self.verdict_of(unban(2, "10.77.0.40/32")), OK)
        self.assertEqual(self.routes(), set())
        self.channel.send(unban(3, "10.77.0.40/32"))
        self.assertEqual(self.hear(OUTCOME), {1: 3, 2: COMMAND_FAILED, 3: 1})

    def test_guard_stands_before_the_commands_too(self):
        for text, verdict in ((self.guard.v4 + "/32", OWN_ADDRESS), (GATEWAY + "/32", NEXT_HOP),
                              ("127.0.0.1/32", NOT_UNICAST)):
            self.assertEqual(self.verdict_of(ban(1, text)), verdict)
            self.assertEqual(self.verdict_of(run_command(2, RUN_CMD, text)), verdict)
            self.assertEqual(self.verdict_of(run_command(3, HOSTS_DENY_ADD, text)), verdict)
        self.assertEqual(self.routes(), set())

    def test_exit_status_is_believed(self):
        self.channel.send(run_command(1, RUN_CMD, "10.77.0.40/32"))
        self.assertEqual(self.hear(OUTCOME), {1: 1, 2: COMMAND_FAILED, 3: 1})

    def test_what_is_not_configured_is_not_run(self):
        self.assertEqual(self.verdict_of(run_command(1, HOSTS_DENY_ADD, "10.77.0.40/32")), NO_COMMAND)

    def test_flood_of_commands_runs_ten_a_minute(self):
        for number in range(1, 301):
            self.channel.send(run_command(number, EXTERNAL, "10.77.0.40/32"))
        verdicts = collections.Counter(self.hear(OUTCOME)[2] for _ in range(300))
        self.assertEqual(verdicts, {OK: 10, OVER_BUDGET: 290})
        self.assertEqual(pathlib.Path(self.SEEN).read_text(), "seen 10.77.0.40\n" * 10)
        self.assertEqual(self.daemon.stop(), 0)

    def test_id_used_twice_is_two_runs(self):
        for _ in range(2):
            self.channel.send(run_command(7, EXTERNAL, "10.77.0.40/32"))
        self.assertEqual([self.hear(OUTCOME) for _ in range(2)], [{1: 7, 2: OK}] * 2)

    def test_stop_does_not_wait_for_a_command_for_long(self):
        self.channel.send(reload_answer("commit", self.reload(EXTERNAL_COMMAND="/bin/sleep 60")))
        self.channel.send(run_command(1, EXTERNAL, "10.77.0.40/32"))
        self.hear(COMMAND_OUTPUT)
        begin = time.monotonic()
        self.assertEqual(self.daemon.stop(), 0)
        self.assertLess(time.monotonic() - begin, 2.0 * PATIENCE)
        self.assertEqual(self.guard.run(["pgrep", "-x", "sleep"], check=False).stdout, "")

    def reload(self, **changes):
        self.configure(**dict(self.CONFIGURATION, **changes))
        os.kill(self.daemon.pid, signal.SIGHUP)
        return self.hear(RELOAD_OFFER)[1]

    def test_reload_changes_the_commands_and_no_template_is_the_monitors(self):
        self.channel.send(reload_answer("commit", self.reload(KILL_ROUTE="/usr/bin/touch /run/lab/route-new-$TARGET$")))
        self.assertEqual(self.verdict_of(ban(1, "10.77.0.40/32")), OK)
        self.assertEqual(self.routes(), {"route-new-10.77.0.40"})

    def test_ban_moves_to_nftables_and_its_rule_goes(self):
        self.assertEqual(self.verdict_of(ban(1, "10.77.0.40/32")), OK)
        self.channel.send(reload_answer("commit", self.reload(FIREWALL="nftables")))
        self.hear(TABLE_CREATED)
        self.assertEqual(self.verdict_of(restore(2, "10.77.0.40/32")), OK)
        self.assertEqual(self.lab.banned(), {"10.77.0.40"})
        await_true(lambda: self.routes() == set(), "the command's rule undone")

    def test_another_command_takes_a_source_over_and_the_old_rule_goes(self):
        self.assertEqual(self.verdict_of(ban(1, "10.77.0.40/32")), OK)
        self.assertEqual(self.verdict_of(ban(1, "10.77.0.41/32")), OK)
        self.channel.send(reload_answer("commit", self.reload(
            KILL_ROUTE="/usr/bin/touch /run/lab/route-new-$TARGET$", KILL_ROUTE_REMOVE="/bin/rm /run/lab/route-new-$TARGET$")))
        self.assertEqual(self.verdict_of(ban(2, "10.77.0.40/32")), OK)
        self.assertEqual(self.routes(), {"route-new-10.77.0.40", "route-10.77.0.41-23-stcp"})
        self.assertEqual(self.verdict_of(unban(3, "10.77.0.40/32")), OK)
        self.assertEqual(self.verdict_of(unban(4, "10.77.0.41/32")), OK)  # by the undo of its own generation
        self.assertEqual(self.routes(), set())

    def test_program_that_is_gone_has_nftables_take_over_loudly(self):
        self.channel.send(reload_answer("commit", self.reload(KILL_ROUTE="/usr/bin/gone $TARGET$")))
        self.daemon.await_line(r"KILL_ROUTE cannot be used: .*/usr/bin/gone.*: nftables bans in its place")
        self.assertEqual(self.hear(TABLE_CREATED), {1: 1, 2: 1, 3: 1})


class CapturedSensor(Captured):
    ROLE = "sensor"

    def setUp(self):
        super().setUp()
        self.configure()
        self.daemon = self.launch()
        self.channel, self.villain = self.meet()
        self.assertNotEqual(self.channel.recv(8192), b"")  # its configuration

    def get_ready(self):
        self.channel.send(READY)
        self.daemon.await_ready()

    def detection(self, number, text):
        host = ipaddress.ip_address(text)
        length = 32 if host.version == 4 else 128
        target = self.guard.address(host.version)
        return field(2, field(1, source(f"{text}/{length}")) + field(2, field(1, host.packed)) +
                     field(3, field(1, ipaddress.ip_address(target).packed)) + field(4, 6) + field(5, number) +
                     field(6, 1) + field(7, 2) + field(8, 1) + field(9, 1) + field(13, 1))

    def assert_replaced(self, what):
        """Killed, replaced, said; and the monitor goes on with the next one."""
        before = {role: pid for role, pid in self.daemon.roles().items() if role != "sensor"}
        self.daemon.await_line(rf"adminalert: ERROR: sensor .*{what}")
        self.daemon.await_line(r"adminalert: ERROR: sensor was killed by signal 9;")
        self.assert_hung_up(self.channel)
        self.assert_hung_up(self.villain)
        self.channel, self.villain = self.meet()
        self.assertNotEqual(self.channel.recv(8192), b"")
        self.channel.send(READY)
        self.daemon.await_line(r"adminalert: sensor restarted|PortSentry is now active and listening\.$")
        self.channel.send(self.detection(23, "10.77.0.50"))
        self.await_ban(self.daemon, "10.77.0.50")
        after = self.daemon.roles()
        self.assertEqual({role: after[role] for role in before}, before)
        self.assertEqual(self.lab.banned(), {"10.77.0.50"})

    def test_garbage_has_it_replaced(self):
        self.get_ready()
        self.channel.send(b"\xff" * 100)
        self.assert_replaced("message with impossible values")

    def test_message_above_the_cap_has_it_replaced(self):
        self.get_ready()
        good = self.detection(23, "10.77.0.40")
        self.channel.send(good + bytes(4097 - len(good)))
        self.assert_replaced("malformed message")

    def test_descriptors_have_it_replaced_and_are_not_kept(self):
        self.get_ready()
        read_end, write_end = os.pipe()
        socket.send_fds(self.channel, [self.detection(23, "10.77.0.40")], [read_end] * 3)
        os.close(read_end)
        self.assert_replaced("malformed message")
        self.assertTrue(nobody_reads(write_end))
        os.close(write_end)

    def test_detection_before_ready_has_it_replaced(self):
        self.channel.send(self.detection(23, "10.77.0.40"))
        self.assert_replaced("message out of its phase")

    def test_hanging_up_and_living_on_has_it_replaced(self):
        self.get_ready()
        hung_up, self.channel = self.channel, self.villain
        hung_up.close()
        self.assert_replaced("it closed its channel and did not end")

    def test_second_ready_has_it_replaced(self):
        self.get_ready()
        self.channel.send(READY)
        self.assert_replaced("message out of its phase")

    def test_port_that_does_not_exist_has_it_replaced(self):
        self.get_ready()
        self.channel.send(self.detection(65536, "10.77.0.40"))
        self.assert_replaced("message with impossible values")

    def test_it_can_have_strangers_banned_but_not_the_protected(self):
        self.get_ready()
        for text in (self.guard.v4, self.guard.v6, "127.0.0.1", "224.0.0.1", "fe80::1"):
            self.channel.send(self.detection(23, text))
        self.channel.send(self.detection(23, "10.77.0.50"))
        self.await_ban(self.daemon, "10.77.0.50")
        self.assertEqual(self.lab.banned(), {"10.77.0.50"})
