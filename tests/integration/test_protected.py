"""Never the wrong one: who is protected, live, on a real kernel, with the whole daemon and its sandbox on."""

import contextlib
import os
import pathlib
import signal
import socket
import struct
import time

import test_captured
from lab import CONF, PATIENCE, Host, LabTest, await_true, config_text, own_file, write_root_file
from test_captured import field

RESOLV_CONF = pathlib.Path("/etc/resolv.conf")
UTMP = pathlib.Path("/run/utmp")
SESSIONS = pathlib.Path("/run/systemd/sessions")
DHCLIENT = pathlib.Path("/var/lib/dhcp")
PORT = 23
LIFTED = r"ban of {} lifted: it is protected now"
SECONDS = 8 * PATIENCE
PROTECTED_NETWORK, CONTAINER_NETWORK = 17, 18  # verdicts of proto/enforcer.proto


def utmp_record(address, kind=7, host=b""):
    """struct utmp of glibc on this machine (USER_PROCESS: 7)."""
    packed = socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address).ljust(16, b"\0")
    if struct.calcsize("l") == 8 and os.uname().machine == "aarch64":
        return struct.pack("<hxxi32s4s32s256shhlqq16s20x", kind, 4242, b"pts/0", b"ts/0", b"anna", host, 0, 0, 0,
                           int(time.time()), 0, packed)
    return struct.pack("<hxxi32s4s32s256shhiii16s20x", kind, 4242, b"pts/0", b"ts/0", b"anna", host, 0, 0, 0,
                       int(time.time()), 0, packed)


def logind_session(address, **changes):
    keys = {"UID": 1000, "USER": "anna", "ACTIVE": 1, "STATE": "active", "REMOTE": 1, "TYPE": "tty", "CLASS": "user",
            "REMOTE_HOST": address, "SERVICE": "sshd", "REALTIME": int(time.time() * 1000000)}
    keys.update(changes)
    return "# This is private data. Do not parse.\n" + "".join(f"{k}={v}\n" for k, v in keys.items())


class Protected(LabTest):
    def setUp(self):
        super().setUp()
        own_file(RESOLV_CONF, "# The test's own.\n")
        DHCLIENT.mkdir(mode=0o755)
        SESSIONS.mkdir(mode=0o755, parents=True)
        write_root_file(UTMP, "")

    def probe(self, host=None, target=None):
        (host or self.scanner).tcp_answer(target or self.guard.v4, PORT, timeout=0.2)

    def assert_spared(self, daemon, reason=None, address=None, probe=None):
        """It scans for as long as three decisions take, and is not banned. The reason is told of whom it is news."""
        since = daemon.mark()
        for _ in range(3):
            (probe or self.probe)()
            time.sleep(0.9)
        if reason:
            daemon.await_line(reason, since=since)
        self.assertNotIn(address or self.scanner.v4, self.lab.banned())

    def assert_banned(self, daemon, address=None, probe=None):
        """Sooner or later: a probe a second, each of them a new chance."""
        address = address or self.scanner.v4

        def banned():
            (probe or self.probe)()
            return address in self.lab.banned()

        await_true(banned, f"{address} is banned", SECONDS)

    def await_lifted(self, daemon, address=None):
        address = address or self.scanner.v4
        daemon.await_line(LIFTED.format(address), SECONDS)
        self.assertNotIn(address, self.lab.banned())

    # ---- What the scout reads ------------------------------------------------------------------------

    def test_resolver_is_spared_and_follows_its_file(self):
        write_root_file(RESOLV_CONF, f"nameserver {self.scanner.v4}\n")
        daemon = self.start()
        self.assert_spared(daemon, r"a resolver of this host")
        write_root_file(RESOLV_CONF, "nameserver 203.0.113.53\n")
        self.assert_banned(daemon)
        # Replaced, as resolvconf and systemd do it, and not written over.
        fresh = RESOLV_CONF.with_name("resolv.conf.new")
        write_root_file(fresh, f"nameserver 203.0.113.53\nnameserver {self.scanner.v4}\n")
        fresh.rename(RESOLV_CONF)
        self.await_lifted(daemon)
        self.assert_spared(daemon)

    def test_upstream_of_a_stub_is_spared(self):
        RESOLV_CONF.unlink()
        RESOLV_CONF.symlink_to("/run/systemd/resolve/stub-resolv.conf")
        resolved = pathlib.Path("/run/systemd/resolve")
        resolved.mkdir(mode=0o755)
        write_root_file(resolved / "stub-resolv.conf", "nameserver 127.0.0.53\n")
        write_root_file(resolved / "resolv.conf", f"nameserver {self.scanner.v4}\n")
        daemon = self.start()
        self.assert_spared(daemon, r"a resolver of this host")

    def test_dhcp_server_is_spared(self):
        daemon = self.start()
        self.assert_banned(daemon)
        lease = ('lease {\n  interface "eth0";\n  fixed-address 10.77.0.1;\n'
                 f"  option dhcp-server-identifier {self.scanner.v4};\n  expire never;\n}}\n")
        write_root_file(DHCLIENT / "dhclient.eth0.leases", lease)
        self.await_lifted(daemon)
        self.assert_spared(daemon)
        over = lease.replace("expire never", "expire 4 2020/01/02 00:00:00")
        write_root_file(DHCLIENT / "dhclient.eth0.leases", lease + over)
        self.assert_banned(daemon)

    def test_login_by_utmp_protects_within_seconds_and_an_open_connection_does_not(self):
        daemon = self.start()
        with self.scanner.endpoint(socket.AF_INET, socket.SOCK_STREAM) as held:
            held.connect((self.guard.v4, 8080))
            self.assert_banned(daemon)
        # What a client calls itself, or a login that failed, is none either.
        UTMP.write_bytes(utmp_record("0.0.0.0", host=self.scanner.v4.encode()) + utmp_record(self.scanner.v4, kind=6))
        time.sleep(6)  # longer than the scout waits where nobody tells of a change
        self.assertIn(self.scanner.v4, self.lab.banned())
        UTMP.write_bytes(utmp_record(self.scanner.v4))
        self.await_lifted(daemon)
        self.assert_spared(daemon)
        # It has ended: protected for an hour more.
        UTMP.write_bytes(utmp_record("0.0.0.0", kind=8))
        time.sleep(6)
        self.assert_spared(daemon)

    def test_login_by_logind_protects_and_a_name_or_a_greeter_does_not(self):
        daemon = self.start()
        write_root_file(SESSIONS / "c1", logind_session(self.scanner.v4, CLASS="greeter"))
        write_root_file(SESSIONS / "c2", logind_session("scanner.example.net"))
        write_root_file(SESSIONS / "c3", logind_session(self.scanner.v4) + f"REMOTE_HOST={self.scanner.v4}\n")
        os.mkfifo(SESSIONS / "c4.ref")
        os.mkfifo(SESSIONS / "c5")  # nobody waits for a pipe
        self.assert_banned(daemon)
        write_root_file(SESSIONS / "c6", logind_session(self.scanner.v4))
        self.await_lifted(daemon)
        self.assert_spared(daemon)

    def test_without_protect_sessions_a_login_protects_nobody(self):
        UTMP.write_bytes(utmp_record(self.scanner.v4))
        daemon = self.start(PROTECT_SESSIONS="0", LOGIN_PORTS="2222")
        with self.guard.service("::", 2222) as listening:
            theirs = self.scanner.endpoint(socket.AF_INET, socket.SOCK_STREAM)
            theirs.connect((self.guard.v4, 2222))
            ours, _ = listening.accept()
        with ours, theirs:
            self.assert_banned(daemon)
            for _ in range(3):
                theirs.send(b"x")
                ours.settimeout(5)
                self.assertEqual(ours.recv(1), b"x", "the session that it has lives on")
            with self.guard.service("::", 2222):
                self.assertEqual(self.scanner.tcp_answer(self.guard.v4, 2222), "silent", "and it begins no other")

    def test_network_that_holds_a_login_is_narrowed_to_the_host(self):
        UTMP.write_bytes(utmp_record("fd99::1"))
        self.scanner.ip("addr add fd99::5/64 dev eth0 nodad")
        # The way back, so that the source is not on a link of the guard's.
        self.guard.ip(f"route add fd99::/64 via {self.scanner.v6}")

        def probe():
            with self.scanner.endpoint(socket.AF_INET6, socket.SOCK_STREAM) as endpoint:
                endpoint.bind(("fd99::5", 0))
                endpoint.settimeout(0.2)
                with contextlib.suppress(OSError):
                    endpoint.connect((self.guard.v6, PORT))

        daemon = self.start()
        self.assert_banned(daemon, "fd99::5", probe)
        self.assertEqual(self.lab.ban_set("ban6net"), {})
        self.assertTrue(daemon.matching(r"somebody who is logged in"))

    def test_nothing_to_read_is_told(self):
        RESOLV_CONF.unlink()
        UTMP.unlink()
        daemon = self.start()
        daemon.await_line(r"no file tells of resolvers, leases or logins")
        self.assert_banned(daemon)

    # ---- The scout's own life ------------------------------------------------------------------------

    def test_set_outlives_the_scout_and_another_follows(self):
        UTMP.write_bytes(utmp_record(self.scanner.v4))
        daemon = self.start()
        first = daemon.roles()["scout"]
        os.kill(first, signal.SIGSTOP)  # it does not see the end of the login, nor tell it
        UTMP.write_bytes(b"")
        os.kill(first, signal.SIGKILL)
        daemon.await_line(r"scout ended; whom it named last is not banned until it is back")
        self.assert_spared(daemon, r"somebody is logged in from there")
        await_true(lambda: daemon.roles()["scout"] != first, "another scout")
        write_root_file(RESOLV_CONF, f"nameserver {self.scanner.v4}\n")
        self.assert_spared(daemon)

    # ---- What both halves see by themselves ----------------------------------------------------------

    def test_next_hop_follows_the_routes(self):
        daemon = self.start()
        self.guard.ip(f"route add 10.99.0.0/24 via {self.scanner.v4}")
        self.assert_spared(daemon, r"a next hop of this host's routes")
        self.guard.ip(f"route del 10.99.0.0/24 via {self.scanner.v4}")
        self.assert_banned(daemon)

    def test_own_new_address_is_spared_when_somebody_forges_it(self):
        daemon = self.start()
        stranger = "10.77.0.99"

        def probe(port=PORT):
            self.send(self.syn(port, source=stranger))

        self.guard.ip(f"addr add {stranger}/24 dev eth0")
        for _ in range(3):
            probe()
            time.sleep(0.9)
        self.assertEqual(self.lab.banned(), set())
        self.guard.ip(f"addr del {stranger}/24 dev eth0")
        self.assert_banned(daemon, stranger, probe)

    def test_container_behind_a_bridge_is_spared(self):
        container = Host("box", 9)
        self.guard.ip("link add docker0 type bridge", "addr add 172.17.0.1/16 dev docker0", "link set docker0 up",
                      f"link add veth9 type veth peer name eth0 netns {container.path}",
                      "link set veth9 master docker0 up")
        container.ip("addr add 172.17.0.9/16 dev eth0", "link set eth0 up")
        daemon = self.start()

        def probe():
            self.probe(container, "172.17.0.1")

        self.assert_spared(daemon, r"a network of this host's containers", "172.17.0.9", probe)
        # Where the way to somewhere else leads over it, it is a network like any other.
        self.guard.ip("route add 10.98.0.0/24 via 172.17.0.77 dev docker0")
        self.assert_banned(daemon, "172.17.0.9", probe)

    def test_protect_networks_follows_a_reload(self):
        daemon = self.start()
        self.assert_banned(daemon)
        write_root_file(CONF, config_text(PROTECT_NETWORKS="10.77.0.2/31 192.0.2.0/24"))
        os.kill(daemon.pid, signal.SIGHUP)
        self.await_lifted(daemon)
        self.assert_spared(daemon)
        write_root_file(CONF, config_text())
        since = daemon.mark()
        os.kill(daemon.pid, signal.SIGHUP)
        daemon.await_line(r"configuration read again", since=since)
        self.assert_banned(daemon)


class GuardOfRoot(test_captured.AsMonitor):
    """The monitor in somebody's hands: what root's configuration and root's own view spare is spared."""

    CONFIGURATION = {"PROTECT_NETWORKS": "10.77.0.0/28 fd88::7"}

    def test_networks_of_the_owner_and_of_containers_are_refused(self):
        self.begin_serving()
        self.guard.ip("link add docker0 type bridge", "addr add 172.17.0.1/16 dev docker0", "link set docker0 up")
        for number, (text, verdict) in enumerate((
                ("10.77.0.2/32", PROTECTED_NETWORK), ("fd88::7/128", PROTECTED_NETWORK), ("fd88::/64", PROTECTED_NETWORK),
                ("172.17.3.4/32", CONTAINER_NETWORK), ("172.18.3.4/32", test_captured.OK),
                ("10.77.0.16/32", test_captured.OK)), 1):
            self.assertEqual(self.verdict_of(test_captured.ban(number, text)), verdict, text)
        self.assertEqual(self.lab.banned(), {"172.18.3.4", "10.77.0.16"})


class CapturedScout(test_captured.Captured):
    """The scout in somebody's hands: it can spare addresses, and nothing else."""

    ROLE = "scout"
    BEGIN, END = field(1, b""), field(3, field(1, 1))

    def setUp(self):
        super().setUp()
        self.configure()
        self.daemon = self.launch()
        self.channel, self.villain = self.meet()

    @staticmethod
    def found(address, where=8):
        return field(2, field(1, field(1, socket.inet_pton(socket.AF_INET, address))) + field(2, where))

    def probe(self):
        self.scanner.tcp_answer(self.guard.v4, PORT, timeout=0.2)

    def assert_bans(self):
        def banned():
            self.probe()
            return self.scanner.v4 in self.lab.banned()

        await_true(banned, "a scanner is banned", SECONDS)

    def test_garbage_costs_it_its_channel_and_nobody_anything(self):
        self.channel.send(self.BEGIN)
        self.channel.send(self.END)
        self.daemon.await_ready()
        self.channel.send(b"\xff" * 100)
        self.daemon.await_line(r"scout sent a message with impossible values; it is replaced")
        self.assert_bans()

    def test_who_it_is_silent_about_is_not_banned_before_it_has_told(self):
        self.daemon.await_line(r"the scout has not told whom not to ban; nobody is banned until it does")
        self.daemon.await_ready()
        since = self.daemon.mark()
        self.probe()
        self.daemon.await_line(r"it is not known yet whom not to ban", since=since)
        self.assertEqual(self.lab.banned(), set())
        self.channel.send(self.BEGIN)
        self.channel.send(self.END)
        self.assert_bans()

    def test_half_a_snapshot_changes_nothing(self):
        for message in (self.BEGIN, self.END, self.BEGIN, self.found(self.scanner.v4)):
            self.channel.send(message)
        self.daemon.await_ready()
        self.assert_bans()
        self.channel.send(self.BEGIN)
        self.daemon.await_line(r"scout sent a message out of turn; it is replaced")
        self.assertIn(self.scanner.v4, self.lab.banned())

    def test_addresses_of_this_host_or_of_nobody_are_no_message(self):
        self.channel.send(self.BEGIN)
        self.channel.send(self.found("127.0.0.1"))
        self.daemon.await_line(r"scout sent a message with impossible values; it is replaced")
