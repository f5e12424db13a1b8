"""Bind mode: the real sensor, sealed and as its own user, on channel B with the test.

The test plays root and monitor: it seals watch orders and speaks the channel byte by byte, so it sees each
message, and can end one sensor at the moment when another has taken over."""

import contextlib
import fcntl
import os
import pathlib
import resource
import selectors
import socket
import subprocess
import threading
import time

from lab import BIN, DEADLINE, LIVE_PORT, PATIENCE, USERS, LabTest, await_true, process_state
from test_captured import field, read_fields, varint

TCP, UDP = 6, 17
READY, DETECTION, COUNTERS, BIND_FAILED, EVIDENCE, HANDED_OVER = 1, 2, 3, 4, 5, 6
CONNECT, SYN_SCAN = 7, 1
EADDRINUSE = 98
HAND_OVER = field(2, b"")
FIRST_BOUND = 64
LIMIT = 300

CONFIG = {"trigger": 1, "window": 3600, "sources": 1000, "local_check": 1, "service_check": 1}


def config(**changes):
    keys = CONFIG | changes
    return field(1, field(1, keys["trigger"]) + field(2, keys["window"]) + field(3, keys["sources"]) +
                 (field(5, 1) if keys["local_check"] else b"") + (field(6, 1) if keys["service_check"] else b"") +
                 (field(7, 1) if keys.get("traps") else b""))


def port_set(ports):
    bits = bytearray(8192)
    for port in ports:
        bits[port // 8] |= 1 << port % 8
    return bytes(bits)


def orders(capture_tcp=(), capture_udp=(), tcp=(), udp=(), banner=b""):
    """The bytes of struct WatchOrders (src/common/watch.h)."""
    return (port_set(capture_tcp) + port_set(capture_udp) + port_set(tcp) + port_set(udp) +
            (32768).to_bytes(2, "little") + (60999).to_bytes(2, "little") +
            len(banner).to_bytes(2, "little") + banner.ljust(1026, b"\0"))


def sealed(data):
    memory = os.memfd_create("orders", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(memory, data)
    fcntl.fcntl(memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)
    return memory


def address_of(data):
    packed = read_fields(data)[1]
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


class Sensor:
    """A sensor as the launcher makes it, in the guard; its messages in a list. `feed`: a descriptor."""

    def __init__(self, guard, watch, limit=LIMIT, feed=None):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        memory = sealed(watch)

        def become():
            given = [theirs.fileno(), memory] + ([] if feed is None else [feed])
            high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in given]
            for number, fd in enumerate(high, start=3):
                os.dup2(fd, number)
            os.closerange(3 + len(high), 256)
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

        user = str(USERS["portsentry-sensor"])
        held = "-all,+net_raw,+net_bind_service"
        with guard.entered():
            self.process = subprocess.Popen(
                ["setpriv", "--reuid", user, "--regid", user, "--clear-groups", "--bounding-set", held, "--inh-caps",
                 held, "--ambient-caps", held, "--", BIN / "portsentry-sensor"], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, preexec_fn=become, close_fds=False)
        theirs.close()
        os.close(memory)
        self.channel = ours
        self.channel.settimeout(DEADLINE)
        self.pid = self.process.pid

    def close(self):
        self.channel.close()
        self.process.kill()
        self.process.wait()

    def say(self, data):
        self.channel.send(data)

    def receive(self):
        data = self.channel.recv(8192)
        if not data:
            raise EOFError("the sensor hung up")
        (verb, content), = read_fields(data).items()
        return verb, read_fields(content)

    def hear(self, verb):
        """The next message of this kind; counters come between."""
        while True:
            kind, fields = self.receive()
            if kind == verb:
                return fields
            if kind != COUNTERS:
                raise AssertionError(f"message {kind} instead of {verb}")

    def configure(self, **changes):
        """Until it is ready; what could not be bound, as (protocol, port, errno)."""
        self.say(config(**changes))
        failed = []
        while True:
            kind, fields = self.receive()
            if kind == READY:
                return failed
            assert kind == BIND_FAILED, kind
            failed.append((fields[1], fields[2], fields[3]))

    def detection(self):
        return self.hear(DETECTION)

    def detections_until(self, port):
        """Detections up to the one of `port`, which the caller has brought about last."""
        found = []
        while not found or found[-1][5] != port:
            found.append(self.detection())
        return found

    def assert_says_nothing(self, seconds=0.3):
        self.channel.settimeout(seconds * PATIENCE)
        try:
            while True:
                kind, fields = self.receive()
                assert kind == COUNTERS, (kind, fields)
        except TimeoutError:
            pass
        finally:
            self.channel.settimeout(DEADLINE)

    def packet_sockets(self, guard):
        inodes = set()
        for number in os.listdir(f"/proc/{self.pid}/fd"):
            with contextlib.suppress(FileNotFoundError):  # closed since
                inodes.add(os.readlink(f"/proc/{self.pid}/fd/{number}"))
        packet = guard.run(["cat", "/proc/net/packet"]).stdout.splitlines()[1:]
        return [line for line in packet if f"socket:[{line.split()[-1]}]" in inodes]

    def ticks(self):
        fields = open(f"/proc/{self.pid}/stat", encoding="ascii").read().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])


class BindTest(LabTest):
    def sensor(self, limit=LIMIT, **watch):
        sensor = Sensor(self.guard, orders(**watch), limit)
        self.addCleanup(sensor.close)
        return sensor

    def ready(self, limit=LIMIT, settings=None, **watch):
        sensor = self.sensor(limit, **watch)
        self.assertEqual(sensor.configure(**settings or {}), [])
        return sensor

    def connect(self, port, family=4, host=None):
        host = host or self.scanner
        client = host.endpoint(socket.AF_INET6 if family == 6 else socket.AF_INET, socket.SOCK_STREAM)
        self.addCleanup(client.close)
        client.settimeout(DEADLINE)
        client.connect((self.guard.address(family), port))
        return client

    def knock(self, port, family=4):
        client = self.scanner.endpoint(socket.AF_INET6 if family == 6 else socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(client.close)
        client.settimeout(DEADLINE)
        client.connect((self.guard.address(family), port))
        client.send(b"hello")
        return client


class BoundSensor(BindTest):
    def test_connection_is_a_detection(self):
        sensor = self.ready(tcp=[79])
        for family in (4, 6):
            self.connect(79, family)
            seen = sensor.detection()
            self.assertEqual(address_of(read_fields(seen[1])[1]), self.scanner.address(family))
            self.assertEqual(address_of(seen[2]), self.scanner.address(family))
            self.assertEqual(address_of(seen[3]), self.guard.address(family))
            self.assertEqual((seen[4], seen[5], seen[6]), (TCP, 79, CONNECT))
            self.assertNotIn(7, seen)  # flags 0
            self.assertEqual((seen[8], seen[9]), (1, 1))

    def test_datagram_is_a_detection_without_a_target(self):
        sensor = self.ready(udp=[161])
        for family, unspecified in ((4, "0.0.0.0"), (6, "::")):
            self.knock(161, family)
            seen = sensor.detection()
            self.assertEqual(address_of(seen[2]), self.scanner.address(family))
            self.assertEqual(address_of(seen[3]), unspecified)
            self.assertEqual((seen[4], seen[5], seen[6]), (UDP, 161, CONNECT))

    def test_without_ports_to_look_at_there_is_no_packet_socket(self):
        sensor = self.ready(tcp=[79])
        self.connect(79)
        sensor.detection()
        self.assertEqual(sensor.packet_sockets(self.guard), [])
        self.send(self.syn(23))
        sensor.assert_says_nothing()

    def test_numbers_are_such_that_the_policy_holds(self):
        sensor = self.ready(capture_udp=[69], tcp=[79, 111])
        self.connect(79)
        sensor.detection()
        descriptors = pathlib.Path(f"/proc/{sensor.pid}/fd")

        def high():
            return {int(n) for n in os.listdir(descriptors) if int(n) >= FIRST_BOUND}
        # The detection is told before the connection is closed.
        await_true(lambda: high() == {64, 65}, "nothing but the bound sockets")
        kinds = {int(n): os.readlink(descriptors / n) for n in os.listdir(descriptors)}
        self.assertEqual(set(range(FIRST_BOUND)) - set(kinds), set(), "a free low number")
        self.assertIn("eventpoll", kinds[9])

    def test_half_open_scan_is_no_connect(self):
        sensor = self.ready(tcp=[79, 111])
        self.scanner.nmap("-sS", "-p", "79", self.guard.v4)
        self.send(self.syn(79, source="10.77.0.201"))
        self.connect(111)
        self.assertEqual([d[5] for d in sensor.detections_until(111)], [111])

    def test_full_connects_of_nmap_are_counted(self):
        sensor = self.ready(settings={"trigger": 3}, tcp=[21, 23, 79])
        for family in (4, 6):
            self.scanner.nmap("-sT", *(["-6"] if family == 6 else []), "-p", "21,23,79", self.guard.address(family))
            seen = sensor.detection()
            self.assertEqual((seen[6], seen[8]), (CONNECT, 3))
            self.assertEqual(address_of(seen[2]), self.scanner.address(family))

    def test_port_that_is_taken_shifts_no_other(self):
        """1.2 names a port by its place in the file: with 22 taken, it blocks for 79 as for 22."""
        service = self.guard.service("0.0.0.0", 22)
        resolver = self.guard.service("127.0.0.53", 53, socket.SOCK_DGRAM)
        sensor = self.sensor(tcp=[11, 22, 79], udp=[53, 69])
        self.assertEqual(sensor.configure(), [(TCP, 22, EADDRINUSE), (UDP, 53, EADDRINUSE)])
        self.connect(79)
        self.assertEqual(sensor.detection()[5], 79)
        service.close()
        resolver.close()

    def test_nothing_could_be_bound_and_it_is_ready_all_the_same(self):
        with self.guard.service("0.0.0.0", 22):
            self.assertEqual(self.sensor(tcp=[22]).configure(), [(TCP, 22, EADDRINUSE)])

    def test_banner_comes_when_the_trigger_is_reached_and_later(self):
        banner = b"** UNAUTHORIZED ACCESS PROHIBITED **\r\n"
        sensor = self.ready(settings={"trigger": 2}, tcp=[21, 23], udp=[161], banner=banner)
        self.assertEqual(self.connect(21).recv(1000), b"")
        second = self.connect(23)
        self.assertEqual(second.recv(1000), banner)
        self.assertEqual(second.recv(1000), b"")
        self.assertEqual(self.connect(21).recv(1000), banner)
        for _ in range(2):  # one port twice is one port
            self.assertEqual(self.connect(21, 6).recv(1000), b"")
        self.assertEqual(self.knock(161, 6).recv(1000), banner)
        self.assertEqual(sensor.detection()[8], 2)

    def test_a_thousand_and_twentythree_bytes_of_banner(self):
        sensor = self.ready(tcp=[21], banner=b"x" * 1023)
        client = self.connect(21)
        told = b""
        while part := client.recv(4096):
            told += part
        self.assertEqual(told, b"x" * 1023)
        sensor.detection()

    def test_ourselves_do_not_count_unless_the_check_is_off(self):
        for check in (1, 0):
            sensor = self.ready(settings={"local_check": check}, tcp=[79], udp=[161])
            for address in ("127.0.0.1", self.guard.v4, "::1"):
                family = socket.AF_INET6 if ":" in address else socket.AF_INET
                with self.guard.endpoint(family, socket.SOCK_STREAM) as client:
                    client.connect((address, 79))
                    self.assertEqual(client.recv(10), b"")
                if not check:
                    self.assertEqual(address_of(sensor.detection()[2]), address)
            if check:
                self.connect(79)
                self.assertEqual(address_of(sensor.detection()[2]), self.scanner.v4)
            sensor.close()

    def test_live_service_counts_when_its_check_is_off(self):
        for check in (1, 0):
            sensor = self.ready(settings={"service_check": check}, capture_tcp=[22, 99])
            with self.guard.service("0.0.0.0", 22):
                self.send(self.syn(22, source="10.77.0.201"))
                self.send(self.syn(99, source="10.77.0.202"))
                self.assertEqual([d[5] for d in sensor.detections_until(99)], [99] if check else [22, 99])
            sensor.close()

    def test_capture_says_by_which_interface(self):
        sensor = self.ready(capture_tcp=[99])
        self.send(self.syn(99))
        seen = sensor.detection()
        link = self.guard.run(["ip", "-o", "link", "show", "eth0"]).stdout
        self.assertEqual((seen[12], seen[6]), (int(link.split(":")[0]), SYN_SCAN))

    def test_many_at_once_are_all_taken(self):
        sensor = self.ready(settings={"trigger": 1000}, tcp=list(range(1, 201)), limit=500)
        with selectors.DefaultSelector() as waiting:
            for port in range(1, 201):
                client = self.scanner.endpoint(socket.AF_INET, socket.SOCK_STREAM)
                self.addCleanup(client.close)
                client.setblocking(False)
                client.connect_ex((self.guard.v4, port))
                waiting.register(client, selectors.EVENT_READ)
            end = time.monotonic() + DEADLINE
            while waiting.get_map() and time.monotonic() < end:
                for key, _ in waiting.select(1):
                    self.assertEqual(key.fileobj.recv(1), b"")
                    waiting.unregister(key.fileobj)
            self.assertFalse(waiting.get_map(), "closed by the sensor")
        counters = sensor.hear(COUNTERS)
        self.assertTrue(counters)

    def test_silence_about_what_it_may_not_be_told(self):
        """Out of turn: the sensor ends, and says why by its status."""
        for words in ([HAND_OVER], [config(), config()], [config(), b"\x07"]):
            sensor = self.sensor(tcp=[79])
            for word in words:
                sensor.say(word)
            self.assertEqual(sensor.process.wait(DEADLINE), 40)


class Succession(BindTest):
    def source(self, text, touches, reported=False):
        family = socket.AF_INET6 if ":" in text else socket.AF_INET
        prefix = field(1, field(1, socket.inet_pton(family, text))) + field(2, 128 if ":" in text else 32)
        body = field(1, prefix)
        for protocol, port, age in touches:
            body += field(2, field(1, protocol) + field(2, port) + (field(3, age) if age else b""))
        return field(3, body + (field(3, 1) if reported else b""))

    def relay(self, old, successor):
        """What the monitor does between SensorReady of one and ReloadCommit. How many sources it passed on."""
        old.say(HAND_OVER)
        count = 0
        while True:
            data = old.channel.recv(8192)
            verb = data[0] >> 3
            if verb == HANDED_OVER:
                return count
            if verb == EVIDENCE:
                successor.say(varint(3 << 3 | 2) + data[1:])  # the same content under ToSensor's number
                count += 1

    def test_no_connection_is_lost_while_one_follows_the_other(self):
        """Clients connect all the time; each must be closed properly (never reset) by one of them."""
        watch = {"tcp": [79, 80], "udp": [161]}
        sensors = [self.ready(settings={"trigger": 1}, **watch)]
        stop, counts, trouble = threading.Event(), [0], []

        def keep_connecting():
            while not stop.is_set():
                try:
                    with self.scanner.endpoint(socket.AF_INET, socket.SOCK_STREAM) as client:
                        client.settimeout(DEADLINE)
                        client.connect((self.guard.v4, 79))
                        if client.recv(10) != b"":
                            trouble.append("data?")
                    counts[0] += 1
                except OSError as error:
                    trouble.append(error)

        client = threading.Thread(target=keep_connecting)
        client.start()
        try:
            for _ in range(5):
                begin = counts[0]
                await_true(lambda: counts[0] > begin + 20, "clients")
                old, successor = sensors[-1], self.ready(settings={"trigger": 1}, **watch)
                sensors.append(successor)
                self.relay(old, successor)
                old.process.kill()
                old.process.wait()
        finally:
            stop.set()
            client.join(DEADLINE)
        self.assertEqual(trouble, [])
        self.assertGreater(counts[0], 100)

    def test_what_was_known_is_known_to_the_successor(self):
        watch = {"capture_udp": [69], "tcp": [21, 22, 23]}
        old = self.ready(settings={"trigger": 3}, **watch)
        for family in (4, 6):
            self.assertEqual(self.connect(21, family).recv(1), b"")
        self.send(self.datagram(69))
        old.hear(COUNTERS)  # after the datagram, or a second later
        successor = self.ready(settings={"trigger": 3}, **watch)
        self.assertEqual(self.relay(old, successor), 2)
        old.process.kill()
        self.connect(23)
        seen = successor.detection()
        self.assertEqual((seen[5], seen[8], seen[9]), (23, 3, 1))
        self.assertEqual(self.connect(22, 6).recv(1), b"")  # taken, before the next comes
        self.connect(23, 6)
        seen = successor.detection()
        self.assertEqual((seen[5], seen[8], seen[9]), (23, 3, 1))

    def test_reported_source_is_not_reported_as_new(self):
        old = self.ready(tcp=[21, 22])
        self.connect(21)
        self.assertEqual(old.detection()[9], 1)
        successor = self.ready(tcp=[21, 22])
        self.relay(old, successor)
        old.process.kill()
        self.connect(22)
        seen = successor.detection()
        self.assertEqual((seen[5], seen[8]), (22, 2))
        self.assertNotIn(9, seen)

    def test_after_handing_over_it_is_silent_and_alive(self):
        old = self.ready(capture_tcp=[99], tcp=[21])
        old.say(HAND_OVER)
        old.hear(HANDED_OVER)
        self.assertEqual(self.connect(21).recv(1), b"")  # still closed properly
        self.send(self.syn(99))
        old.assert_says_nothing()
        self.assertNotIn(process_state(old.pid), (None, "Z"))
        begin = old.ticks()
        old.assert_says_nothing(0.5)
        self.assertLess(old.ticks() - begin, 10, "it does not spin")

    def test_memory_larger_than_the_channel_arrives_as_it_is_read(self):
        old = self.ready(settings={"trigger": 1000, "sources": 5000}, capture_tcp=[99])
        sources = [f"10.77.{number // 250 + 1}.{number % 250 + 1}" for number in range(3000)]
        for begin in range(0, len(sources), 1000):
            self.send(*(self.syn(99, source=source) for source in sources[begin:begin + 1000]))
            old.hear(COUNTERS)
        old.say(HAND_OVER)
        heard = set()
        while True:
            kind, fields = old.receive()
            if kind == HANDED_OVER:
                break
            if kind == EVIDENCE:
                heard.add(address_of(read_fields(fields[1])[1]))
        self.assertGreaterEqual(len(heard & set(sources)), 2900)  # a ring may overflow on a slow machine

    def test_hostile_memory_ends_nothing_but_is_bounded(self):
        sensor = self.ready(settings={"trigger": 3, "window": 60}, tcp=[21, 22, 23])
        sensor.say(self.source("10.77.0.77", [(TCP, 1, 59), (TCP, 1, 1), (UDP, 1, 3600)]))
        sensor.say(self.source(self.scanner.v4, [(TCP, port, 61) for port in range(1, 129)], reported=True))
        self.assertEqual(self.connect(21).recv(1), b"")
        self.assertEqual(self.connect(22).recv(1), b"")
        self.connect(23)
        self.assertEqual(sensor.detection()[8], 3)


class ManyPorts(BindTest):
    def test_fifteen_thousand_ports_some_taken_start_at_once_and_idle_at_nothing(self):
        taken = [self.guard.service("0.0.0.0", port) for port in (22, 5000, 14999)]
        begin = time.monotonic()
        sensor = self.sensor(limit=15_000 + 192, tcp=range(1, 15_001))
        failed = sensor.configure()
        self.assertLess(time.monotonic() - begin, 5 * PATIENCE)
        self.assertEqual(failed, [(TCP, port, EADDRINUSE) for port in (22, 5000, LIVE_PORT, 14999)])
        idle = sensor.ticks()
        sensor.assert_says_nothing(1)
        self.assertLessEqual(sensor.ticks() - idle, 1)
        for family in (4, 6):
            self.connect(15_000, family)
            self.assertEqual(sensor.detection()[5], 15_000)
        for service in taken:
            service.close()

    def test_as_many_as_the_machine_allows(self):
        count = min(65_535, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 192)
        sensor = self.sensor(limit=count + 192, tcp=range(1, count + 1))
        self.assertEqual(sensor.configure(), [(TCP, LIVE_PORT, EADDRINUSE)])
        self.connect(count)
        self.assertEqual(sensor.detection()[5], count)

    def test_more_failures_than_the_channel_holds_are_all_told(self):
        ports = range(20_001, 22_001)
        resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        taken = [self.guard.service("0.0.0.0", port) for port in ports]
        sensor = self.sensor(limit=4096, tcp=ports)
        self.assertEqual(sensor.configure(), [(TCP, port, EADDRINUSE) for port in ports])
        for service in taken:
            service.close()

class WholeDaemon(BindTest):
    """The modes `tcp` and `udp` of 1.2, from the file to the kernel's ban set."""

    def connected(self, address, protocol, port):
        return rf"attackalert: Connect from host: {address}/{address} to {protocol} port: {port}$"

    def test_connect_scan_is_reported_and_banned(self):
        for family in (4, 6):
            daemon = self.start(TCP_MODE="tcp", UDP_MODE="", TCP_PORTS="21,23,79", SCAN_TRIGGER="2")
            self.scanner.nmap("-sT", *(["-6"] if family == 6 else []), "-p", "21,23,79", self.guard.address(family))
            address = self.scanner.address(family)
            daemon.await_line(self.connected(address, "TCP", r"\d+"))
            self.await_ban(daemon, address)
            self.assert_cut_off(family)
            daemon.stop()

    def test_both_bind_modes_in_one_daemon_with_a_banner(self):
        daemon = self.start(TCP_MODE="tcp", UDP_MODE="udp", TCP_PORTS="79", UDP_PORTS="161", BLOCK_TCP="0",
                            BLOCK_UDP="0", PORT_BANNER="** go away **")
        self.assertEqual(self.connect(79).recv(100), b"** go away **")
        self.assertEqual(self.knock(161, 6).recv(100), b"** go away **")
        daemon.await_line(self.connected(self.scanner.v4, "TCP", 79))
        daemon.await_line(self.connected(self.scanner.v6, "UDP", 161))

    def test_fifteen_thousand_ports_some_taken(self):
        taken = [self.guard.service("0.0.0.0", port) for port in (22, 14999)]
        daemon = self.start(TCP_MODE="tcp", UDP_MODE="audp", TCP_PORTS="1-15000", BLOCK_UDP="0")
        for port in (22, LIVE_PORT, 14999):
            daemon.await_line(rf"ERROR: could not bind TCP socket: {port}\. Attempting to continue")
        daemon.await_line(r"Going into listen mode on 14997 TCP ports$")
        self.connect(15_000)
        daemon.await_line(self.connected(self.scanner.v4, "TCP", 15_000))
        self.await_ban(daemon, self.scanner.v4)
        self.send(self.datagram(1023, source="10.77.0.202"))
        daemon.await_line(self.event_line("10.77.0.202", "UDP", "UDP", 1023))
        for service in taken:
            service.close()

    def test_nothing_left_to_watch_ends_the_daemon(self):
        taken = self.guard.service("0.0.0.0", 79)
        self.configure(TCP_MODE="tcp", UDP_MODE="", TCP_PORTS="79")
        daemon = self.launch()
        daemon.await_line("ERROR: nothing is left to watch")
        self.assertEqual(daemon.await_exit(), 1)
        taken.close()

    def test_bind_for_one_protocol_and_stealth_for_the_other(self):
        daemon = self.start(TCP_MODE="tcp", UDP_MODE="sudp", TCP_PORTS="79", UDP_PORTS="161", BLOCK_TCP="0",
                            BLOCK_UDP="0")
        self.send(self.syn(79, source="10.77.0.201"))
        self.send(self.datagram(161, source="10.77.0.202"))
        daemon.await_line(self.event_line("10.77.0.202", "UDP", "UDP", 161))
        self.connect(79)
        daemon.await_line(self.connected(self.scanner.v4, "TCP", 79))
        self.assert_unnoticed(daemon, "10.77.0.201")
