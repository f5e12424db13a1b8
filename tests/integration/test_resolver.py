"""The resolver by itself, sandbox on, against name servers that lie: the test stands where the monitor stands."""

import fcntl
import os
import pathlib
import random
import re
import socket
import struct
import subprocess
import threading
import time

from lab import BIN, PATIENCE, USERS, LabTest, write_root_file

HOSTS = pathlib.Path("/etc/hosts")
RESOLV_CONF = pathlib.Path("/etc/resolv.conf")
SAFE = re.compile(rb"(?:[A-Za-z0-9.-]|\\\d{3}){0,253}")
ADDRESS = "192.0.2.7"


def varint(value):
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def block(field, content):
    return varint(field << 3 | 2) + varint(len(content)) + content


def question(number, address):
    packed = socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
    return block(1, varint(1 << 3) + varint(number) + block(2, block(1, packed)))


def labels(*parts):
    return b"".join(bytes([len(part)]) + part for part in parts) + b"\0"


def answer(query, rdata, flags=0x8180, answers=1):
    """A PTR answer to `query` with this as its name, in wire format."""
    end = query.index(b"\0", 12) + 5
    head = query[:2] + struct.pack(">5H", flags, 1, answers, 0, 0) + query[12:end]
    return head + (struct.pack(">HHHIH", 0xC00C, 12, 1, 60, len(rdata)) + rdata if answers else b"")


class NameServer:
    """Answers with what `reply(query)` returns; nothing is silence."""

    def __init__(self, host, reply, address="127.0.0.1", tcp_reply=None):
        self.queries = []
        self._sockets = [host.service(address, 53, socket.SOCK_DGRAM)]
        threading.Thread(target=self._datagrams, args=(self._sockets[0], reply), daemon=True).start()
        if tcp_reply:
            self._sockets.append(host.service(address, 53))
            threading.Thread(target=self._streams, args=(self._sockets[1], tcp_reply), daemon=True).start()

    def _datagrams(self, endpoint, reply):
        while True:
            query, client = endpoint.recvfrom(4096)
            self.queries.append(query)
            if said := reply(query):
                endpoint.sendto(said, client)

    def _streams(self, endpoint, reply):
        while True:
            client, _ = endpoint.accept()
            with client:
                query = client.recv(4096)[2:]
                said = reply(query)
                client.sendall(struct.pack(">H", len(said)) + said)


class Resolver(LabTest):
    def setUp(self):
        super().setUp()
        for path in (HOSTS, RESOLV_CONF):
            path.unlink(missing_ok=True)
        write_root_file(HOSTS, "127.0.0.1 localhost\n192.0.2.1 gate.example gate\nfd77::5 six.example\n"
                               "192.0.2.2 odd_name$(reboot);\n")
        write_root_file(RESOLV_CONF, "nameserver 127.0.0.1\noptions timeout:30 attempts:5\n")
        self.ids = iter(range(1, 1 << 20))

    def begin(self):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        passed = fcntl.fcntl(theirs.fileno(), fcntl.F_DUPFD, 10)
        theirs.close()
        user = USERS["portsentry-resolver"]
        with self.guard.entered():
            process = subprocess.Popen(
                ["bash", "-c", f'exec 3<&{passed} {passed}<&- "$0"', BIN / "portsentry-resolver"], env={"LC_ALL": "C"},
                user=user, group=user, extra_groups=[], pass_fds=(passed,),
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        os.close(passed)
        ours.settimeout(15 * PATIENCE)
        self.addCleanup(process.wait, 10)
        self.addCleanup(process.kill)
        self.addCleanup(ours.close)
        self.channel, self.process = ours, process
        return self

    def name_of(self, address):
        """What the resolver says, after the gate that the monitor has."""
        number = next(self.ids)
        self.channel.send(question(number, address))
        reply = self.channel.recv(4096)
        head = varint(1 << 3) + varint(number)
        self.assertTrue(reply, f"the resolver ended: {self.process.poll()}")
        self.assertEqual(reply[0], 0x0A)
        body = reply[2:] if reply[1] < 0x80 else reply[3:]
        self.assertTrue(body.startswith(head), reply)
        rest = body[len(head):]
        if not rest:
            return b""
        text = rest[2:] if rest[1] < 0x80 else rest[3:]
        self.assertTrue(SAFE.fullmatch(text), text)
        self.assertLessEqual(len(text), 253)
        return text

    def serve(self, rdata):
        NameServer(self.guard, lambda query: answer(query, rdata))
        return self.begin()

    def test_names_come_from_the_hosts_file_and_from_the_name_server(self):
        self.serve(labels(b"scanner", b"example"))
        self.assertEqual(self.name_of("192.0.2.1"), b"gate.example")
        self.assertEqual(self.name_of("fd77::5"), b"six.example")
        self.assertEqual(self.name_of(ADDRESS), b"scanner.example")
        self.assertEqual(self.name_of("2001:db8::7"), b"scanner.example")

    def test_odd_bytes_of_the_hosts_file_are_escaped(self):
        self.assertEqual(self.begin().name_of("192.0.2.2"), rb"odd\095name\036\040reboot\041\059")

    def test_longest_name_fits(self):
        parts = [b"a" * 63, b"b" * 63, b"c" * 63, b"d" * 61]
        self.serve(labels(*parts))
        self.assertEqual(self.name_of(ADDRESS), b".".join(parts))

    def test_hostile_names_become_plain_text_or_none(self):
        villains = [
            [b"\x1b]0;owned\x07", b"example"], [b"a\r\nattackalert: Host 10.0.0.1 has been blocked"], [b"../../etc/passwd"],
            [b"two words"], [b"nul\0byte", b"x"], [b"$(reboot)"], [b"\xff\xfe\x80"], [b"%n%n%s"], [b"a.b"], [b"-x"],
            [bytes(range(1, 64)), bytes(range(64, 127)), bytes(range(127, 190)), bytes(range(190, 251))],
            [b"\\" * 63, b"\\" * 63, b"\\" * 63], [b"x" * 63] * 3 + [b"y" * 62],
        ]
        said = []
        NameServer(self.guard, lambda query: answer(query, labels(*said)))
        self.begin()
        for parts in villains:
            said[:] = parts
            self.name_of(ADDRESS)
        said[:] = [b"still", b"here"]
        self.assertEqual(self.name_of(ADDRESS), b"still.here")

    def test_broken_answers_are_no_name_and_end_nothing(self):
        chance = random.Random(3)
        NameServer(self.guard, lambda query: answer(query, chance.randbytes(chance.randrange(64)))
                   + chance.randbytes(chance.randrange(8)))
        self.begin()
        for _ in range(150):
            self.name_of(ADDRESS)
        self.assertEqual(self.name_of("192.0.2.1"), b"gate.example")

    def test_name_that_points_at_itself_is_no_name(self):
        NameServer(self.guard, lambda query: answer(query, struct.pack(">H", 0xC000 | query.index(b"\0", 12) + 5 + 12)))
        self.assertEqual(self.begin().name_of(ADDRESS), b"")

    def test_unknown_address_has_no_name(self):
        NameServer(self.guard, lambda query: answer(query, b"", flags=0x8183, answers=0))
        self.assertEqual(self.begin().name_of(ADDRESS), b"")

    def test_silent_name_server_costs_a_second_and_the_next_question_is_served(self):
        NameServer(self.guard, lambda query: None)
        self.begin()
        began = time.monotonic()
        self.assertEqual(self.name_of(ADDRESS), b"")
        self.assertLess(time.monotonic() - began, 1.9 * PATIENCE)
        self.assertEqual(self.name_of("192.0.2.1"), b"gate.example")

    def test_no_name_server_is_known_at_once(self):
        self.begin()
        began = time.monotonic()
        self.assertEqual(self.name_of(ADDRESS), b"")
        self.assertLess(time.monotonic() - began, 0.9 * PATIENCE)

    def test_answer_that_was_cut_short_is_asked_for_again_over_tcp(self):
        NameServer(self.guard, lambda query: answer(query, b"", flags=0x8380, answers=0),
                   tcp_reply=lambda query: answer(query, labels(b"long", b"example")))
        self.assertEqual(self.begin().name_of(ADDRESS), b"long.example")
        self.assertEqual(self.name_of("192.0.2.9"), b"long.example")

    def test_truncated_answer_without_tcp_is_no_name(self):
        NameServer(self.guard, lambda query: answer(query, b"", flags=0x8380, answers=0))
        self.begin()
        self.assertEqual(self.name_of(ADDRESS), b"")
        self.assertEqual(self.name_of("192.0.2.1"), b"gate.example")

    def test_name_server_over_ipv6_is_asked(self):
        write_root_file(RESOLV_CONF, "nameserver ::1\n")
        NameServer(self.guard, lambda query: answer(query, labels(b"six")), address="::1")
        self.assertEqual(self.begin().name_of(ADDRESS), b"six")

    def test_three_dead_name_servers_are_given_up(self):
        write_root_file(RESOLV_CONF, "nameserver 127.0.0.1\nnameserver ::1\nnameserver 127.0.0.3\n")
        self.begin()
        self.assertEqual(self.name_of(ADDRESS), b"")

    def test_new_resolv_conf_is_heeded(self):
        NameServer(self.guard, lambda query: answer(query, labels(b"old")))
        NameServer(self.guard, lambda query: answer(query, labels(b"new")), address="127.0.0.2")
        self.begin()
        self.assertEqual(self.name_of(ADDRESS), b"old")
        fresh = RESOLV_CONF.with_suffix(".fresh")
        write_root_file(fresh, "nameserver 127.0.0.2\n")
        fresh.rename(RESOLV_CONF)
        self.assertEqual(self.name_of(ADDRESS), b"new")

    def test_nsswitch_conf_cannot_bring_other_code_in(self):
        nsswitch = pathlib.Path("/etc/nsswitch.conf")
        nsswitch.unlink(missing_ok=True)
        write_root_file(nsswitch, "hosts: systemd mdns4_minimal [NOTFOUND=return] nosuchthing\n")
        self.serve(labels(b"dns"))
        self.assertEqual(self.name_of(ADDRESS), b"dns")
        maps = pathlib.Path(f"/proc/{self.process.pid}/maps").read_text()
        self.assertNotIn("libnss", maps)

    def test_it_is_sealed_without_any_right(self):
        self.begin().name_of("192.0.2.1")
        status = dict(re.findall(r"(?m)^(\w+):[ \t]*(.*)$",
                                 pathlib.Path(f"/proc/{self.process.pid}/status").read_text()))
        self.assertEqual((status["Seccomp"], status["NoNewPrivs"], status["Threads"]), ("2", "1", "1"))
        for capabilities in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            self.assertEqual(int(status[capabilities], 16), 0)
        self.assertEqual(sorted(os.listdir(f"/proc/{self.process.pid}/fd"), key=int), ["0", "1", "2", "3"])

    def test_it_ends_with_the_monitor(self):
        self.begin().channel.close()
        self.assertEqual(self.process.wait(10), 0)

    def test_it_ends_when_the_monitor_talks_nonsense(self):
        for nonsense in (b"\xff", question(0, ADDRESS), question(1, ADDRESS) * 2, block(1, varint(1 << 3) + b"\x01")):
            self.begin().channel.send(nonsense)
            self.assertEqual(self.process.wait(10), 1)
            self.assertIn("channel R: malformed", self.process.stderr.read())

    def test_it_does_not_run_by_hand(self):
        done = self.guard.run([BIN / "portsentry-resolver"], check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("started by portsentryd", done.stdout)
