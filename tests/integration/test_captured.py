"""A captured monitor and a captured sensor against the real root processes, in their real sandbox.

portsentryd takes the program that lies beside it. Here that is villains/villain.cc, which has the user and
the descriptors of the process that it stands for, and hands its channel to the test. So the test says, byte by
byte, what an attacker inside that process could say."""

import array
import collections
import contextlib
import ipaddress
import os
import shutil
import signal
import socket
import threading
import time

from lab import BIN, LAB_DIR, PATIENCE, LabTest, await_true
from test_hostile_peers import nobody_reads

MEETING = LAB_DIR / "villain"
GATEWAY = "10.77.0.254"

# Verdicts of proto/enforcer.proto.
OK, NOT_UNICAST, OWN_ADDRESS, NEXT_HOP, SHARED_PREFIX, OVER_BUDGET = 1, 10, 11, 12, 13, 15
OUTCOME, TABLE_CREATED, ADOPTED_DONE, SENSOR_CHANNEL, SENSOR_LOST = 1, 2, 4, 5, 6


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


ACCEPT, RESTORE_DONE, DROP_SENSOR = field(1, b""), field(5, b""), field(6, b"")
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


class CapturedMonitor(Captured):
    ROLE = "monitor"

    def setUp(self):
        super().setUp()
        self.guard.ip(f"route add default via {GATEWAY}")
        self.configure()
        self.daemon = self.launch()
        self.channel, self.villain = self.meet()
        self.sensors = []

    def receive(self):
        """One message: its verb and its fields. A sensor's channel is kept, so that the sensor lives."""
        data, passed, _, _ = socket.recv_fds(self.channel, 8192, 1)
        self.sensors += [socket.socket(fileno=descriptor) for descriptor in passed]
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

    def test_flood_of_drop_sensor_is_no_flood_of_sensors(self):
        self.begin_serving()
        began = time.monotonic()
        with self.flood(DROP_SENSOR) as heard:
            await_true(lambda: heard[SENSOR_LOST, None] >= 4, "some sensors dropped")
            took = time.monotonic() - began
        # Each waited twice as long as the one before: 0.1 s, 0.2 s, 0.4 s.
        self.assertGreater(took, 0.7)
        self.assertEqual(self.daemon.stop(), 0)


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
                     field(6, 1) + field(7, 2) + field(8, 1) + field(9, 1))

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
