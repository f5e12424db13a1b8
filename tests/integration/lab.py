"""A small network of namespaces in which the whole daemon runs, sandbox always on.

run.py starts every test as process 1 of its own PID, mount and network namespace. So nothing outlives
a test, whatever ends it: when that process goes, the kernel kills every process below it and takes the
namespaces, mounts, links and nftables rules with them. No name is made that another run could meet.

    guard ----+
    scanner --+-- bridge (the test's own namespace)      10.77.0.0/24   fd77::/64
    bystander +

Nothing here sleeps: it waits for a line, a state or an exit, always with a deadline.
"""

import contextlib
import ctypes
import errno
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
import unittest

import packets

CLONE_NEWNET = 0x40000000
NETLINK_NETFILTER = 12
ETH_P_ALL = 0x0003

# What the private file system holds; run.py names the build directory.
BUILD = pathlib.Path(os.environ.get("PORTSENTRY_BUILD", "build"))
LAB_DIR = pathlib.Path("/run/lab")
TREE = LAB_DIR / "tree"  # the source tree, wherever it really is
BIN = LAB_DIR / "bin"
CONF = pathlib.Path("/etc/portsentry/portsentry.conf")
IGNORE = pathlib.Path("/etc/portsentry/portsentry.ignore")
STATE = pathlib.Path("/var/lib/portsentry")
CONTROL = pathlib.Path("/run/portsentry/control.sock")
BINARIES = ("portsentryd", "portsentry-monitor", "portsentry-sensor", "portsentry-resolver", "portsentry-scout",
            "portsentryctl")
# Never the machine's own: the daemon or a test writes them.
OWN_ETC = ("passwd", "group", "portsentry", "hosts.allow", "hosts.deny")
USERS = {"portsentry": 64801, "portsentry-sensor": 64802, "portsentry-resolver": 64803, "portsentry-scout": 64804}

# A sanitizer build is slower; promises about time are stretched for it and for it alone.
PATIENCE = float(os.environ.get("PORTSENTRY_PATIENCE", "1"))
DEADLINE = 15.0 * PATIENCE

BROADCAST_MAC = "ff:ff:ff:ff:ff:ff"
LIVE_PORT = 8080  # a real service on the guard, on every address, in every test

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result, what):
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def _mount(source, target, kind, flags=0, data=""):
    _checked(_libc.mount(source.encode(), str(target).encode(), kind.encode(), flags, data.encode()),
             f"mount {target}")


def mount_private(target):
    """An empty directory over a real one, for this test only."""
    _mount("tmpfs", target, "tmpfs", 0, "mode=755")


def bind(source, target):
    """Puts one file or directory over another, for this test only."""
    _mount(str(source), target, "", 0x1000)  # MS_BIND


def own_file(path, text, mode=0o644):
    """A file of the test's own in the place of the machine's."""
    path = pathlib.Path(path)
    if path.is_symlink():
        path.unlink()
    write_root_file(path, text, mode)


def own_tree(path):
    """A copy of a directory of /etc, in the place of the machine's, that the test may change."""
    path = pathlib.Path(path)
    if path.is_symlink():
        real = path.resolve()
        path.unlink()
        shutil.copytree(real, path, symlinks=True)


def await_true(predicate, what, timeout=DEADLINE):
    """Polls a state that nobody announces. Returns how long it took."""
    begin = time.monotonic()
    pause = threading.Event()
    while not predicate():
        if time.monotonic() - begin > timeout:
            raise AssertionError(f"not within {timeout:.1f} s: {what}")
        pause.wait(0.01)
    return time.monotonic() - begin


def _have_private_files():
    """A root file system as a fresh machine has it, with our two users, seen by this test alone."""
    _mount("tmpfs", "/run", "tmpfs", 0, "mode=755")
    LAB_DIR.mkdir(mode=0o755)
    real = LAB_DIR / "etc"
    build = LAB_DIR / "build"
    for path, source in ((real, "/etc"), (TREE, pathlib.Path(__file__).resolve().parents[2]), (build, BUILD)):
        path.mkdir(mode=0o755)
        bind(source, path)
    _mount("tmpfs", "/etc", "tmpfs", 0, "mode=755")
    for entry in real.iterdir():
        if entry.name not in OWN_ETC:
            os.symlink(entry, f"/etc/{entry.name}")
    for name in ("hosts.allow", "hosts.deny"):
        write_root_file(pathlib.Path("/etc", name), "# The test's own.\n")
    for name in ("passwd", "group"):
        lines = [line for line in (real / name).read_text().splitlines() if line.split(":")[0] not in USERS]
        for user, number in USERS.items():
            lines.append(f"{user}:x:{number}:{number}::/nonexistent:/usr/sbin/nologin" if name == "passwd"
                         else f"{user}:x:{number}:")
        path = pathlib.Path("/etc", name)
        path.write_text("\n".join(lines) + "\n")
        path.chmod(0o644)
    CONF.parent.mkdir(mode=0o755)
    _mount("tmpfs", "/var/lib", "tmpfs", 0, "mode=755")
    # A copy: the tree may lie in a home directory that the daemon's users cannot enter.
    BIN.mkdir(mode=0o755)
    for name in BINARIES:
        shutil.copyfile(build / name, BIN / name)
        (BIN / name).chmod(0o755)


class Host:
    """One network namespace. Processes and sockets of it belong to it; files are everybody's."""

    def __init__(self, name, number):
        self.name = name
        self.v4 = f"10.77.0.{number}"
        self.v6 = f"fd77::{number:x}"
        self.mac = f"02:77:00:00:00:{number:02x}"
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        _checked(_libc.unshare(CLONE_NEWNET), "unshare")
        self._fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        self.sysctl("net/ipv6/conf/default/accept_dad", 0)
        self.sysctl("net/ipv6/conf/all/accept_dad", 0)
        self.sysctl("net/ipv6/conf/default/router_solicitations", 0)
        _checked(_libc.setns(home, CLONE_NEWNET), "setns")
        os.close(home)
        self.path = f"/proc/{os.getpid()}/fd/{self._fd}"
        self.ip("link set lo up")

    def address(self, family):
        return self.v6 if family == 6 else self.v4

    @staticmethod
    def sysctl(name, value):
        """Of the namespace that the calling thread is in."""
        pathlib.Path("/proc/sys", name).write_text(f"{value}\n")

    @contextlib.contextmanager
    def entered(self):
        """The calling thread is inside meanwhile: sockets born here stay here."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        _checked(_libc.setns(self._fd, CLONE_NEWNET), "setns")
        try:
            yield
        finally:
            _checked(_libc.setns(home, CLONE_NEWNET), "setns")
            os.close(home)

    def inside(self, argv):
        return ["nsenter", f"--net={self.path}", "--", *map(str, argv)]

    def run(self, argv, check=True, timeout=60, **options):
        return subprocess.run(self.inside(argv), check=check, timeout=timeout, text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)

    def ip(self, *commands):
        subprocess.run(self.inside(["ip", "-batch", "-"]), check=True, text=True, timeout=20,
                       input="\n".join(commands) + "\n")

    def nft(self, text):
        subprocess.run(self.inside(["nft", "-f", "-"]), check=True, text=True, timeout=20, input=text)

    def nmap(self, *arguments):
        """A real scan, one try per port, that does not dwell on silence. `-n -Pn` always."""
        return self.run(["nmap", "-n", "-Pn", "-T4", "--max-retries", "0", "--initial-rtt-timeout", "200ms",
                         "--max-rtt-timeout", "300ms", "--host-timeout", "30s", *arguments]).stdout

    # ---- Ordinary sockets ----------------------------------------------------------------------------

    def endpoint(self, family, kind, protocol=0):
        with self.entered():
            return socket.socket(family, kind, protocol)

    def service(self, address, port, kind=socket.SOCK_STREAM, v6only=False):
        """A live service: listens (TCP) or is bound (UDP). Connections wait in its backlog."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        endpoint = self.endpoint(family, kind)
        endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            endpoint.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(v6only))
        endpoint.bind((address, port))
        if kind == socket.SOCK_STREAM:
            endpoint.listen(64)
        return endpoint

    def forget_connections(self):
        """Empties connection tracking."""
        with self.endpoint(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as netlink:
            # nfnetlink_conntrack.h: IPCTNL_MSG_CT_DELETE of everything, acknowledged.
            netlink.send(struct.pack("=IHHIIBBH", 20, 1 << 8 | 2, 5, 1, 0, 0, 0, 0))
            if error := struct.unpack_from("=i", netlink.recv(512), 16)[0]:
                raise OSError(-error, "connection tracking cannot be emptied")

    def tcp_answer(self, target, port, timeout=0.6):
        """What one SYN brings: 'open' (SYN-ACK), 'closed' (RST) or 'silent'.

        The kernel repeats a SYN after a second; before that there is exactly one."""
        family = socket.AF_INET6 if ":" in target else socket.AF_INET
        with self.endpoint(family, socket.SOCK_STREAM) as probe:
            probe.settimeout(timeout)
            code = errno.ETIMEDOUT
            with contextlib.suppress(TimeoutError):
                code = probe.connect_ex((target, port))
        if code == 0:
            return "open"
        if code == errno.ECONNREFUSED:
            return "closed"
        if code in (errno.ETIMEDOUT, errno.EAGAIN, errno.EHOSTUNREACH):
            return "silent"
        raise AssertionError(f"connect to {target} port {port}: {os.strerror(code)}")

    def udp_answer(self, target, port, timeout=0.6):
        """What one datagram to a port brings: 'closed' (ICMP port unreachable), 'open' or 'silent'."""
        family = socket.AF_INET6 if ":" in target else socket.AF_INET
        with self.endpoint(family, socket.SOCK_DGRAM) as probe:
            probe.settimeout(timeout)
            probe.connect((target, port))
            try:
                probe.send(b"?")
                probe.recv(512)
                return "open"
            except ConnectionRefusedError:
                return "closed"
            except (TimeoutError, OSError):
                return "silent"

    # ---- Frames --------------------------------------------------------------------------------------

    def send_frames(self, frames, interface="eth0"):
        """In this order: on one link what was sent first arrives first."""
        with self.endpoint(socket.AF_PACKET, socket.SOCK_RAW) as wire:
            with self.entered():
                wire.bind((interface, 0))
            for data in frames:
                wire.send(data)


class Lab:
    def __init__(self):
        _have_private_files()
        Host.sysctl("net/ipv6/conf/default/disable_ipv6", 1)  # the bridge is a cable, not a host
        subprocess.run(["ip", "-batch", "-"], check=True, text=True, timeout=20, input="\n".join(
            ["link set lo up", "link add br0 type bridge stp_state 0 mcast_snooping 0", "link set br0 up"]) + "\n")
        self.guard = Host("guard", 1)
        self.scanner = Host("scanner", 2)
        self.bystander = Host("bystander", 3)
        for host in (self.guard, self.scanner, self.bystander):
            self._plug_in(host)

    def _plug_in(self, host):
        subprocess.run(["ip", "-batch", "-"], check=True, text=True, timeout=20, input="\n".join([
            f"link add {host.name} type veth peer name eth0 address {host.mac} netns {host.path}",
            f"link set {host.name} master br0 up",
        ]) + "\n")
        host.ip(f"addr add {host.v4}/24 brd + dev eth0", f"addr add {host.v6}/64 dev eth0 nodad", "link set eth0 up")

    def cable(self, one, other, name, one_addresses, other_addresses):
        """A second link straight between two hosts, in one moment; the interface has the same name at both ends."""
        subprocess.run(["ip", "link", "add", name, "netns", one.path, "type", "veth", "peer", "name", name, "netns",
                        other.path], check=True, timeout=20)
        for host, addresses in ((one, one_addresses), (other, other_addresses)):
            host.ip(*(f"addr add {a} dev {name}" + (" nodad" if ":" in a else "") for a in addresses),
                    f"link set {name} up")

    @staticmethod
    def mac_of(host, interface):
        return json.loads(host.run(["ip", "-j", "link", "show", interface]).stdout)[0]["address"]

    # ---- The guard's kernel ---------------------------------------------------------------------------

    def tables(self):
        listing = json.loads(self.guard.run(["nft", "-j", "list", "tables"]).stdout)
        return {(item["table"]["family"], item["table"]["name"]) for item in listing["nftables"] if "table" in item}

    def has_table(self):
        return ("inet", "portsentry") in self.tables()

    def ban_set(self, name):
        """Address text -> seconds that the kernel still holds it (0: without end)."""
        result = self.guard.run(["nft", "-j", "list", "set", "inet", "portsentry", name], check=False)
        if result.returncode != 0:
            return {}
        bans = {}
        for item in json.loads(result.stdout)["nftables"]:
            for element in item.get("set", {}).get("elem", []):
                if isinstance(element, dict):
                    bans[element["elem"]["val"]] = element["elem"].get("expires", 0)
                else:
                    bans[element] = 0
        return bans

    def has_rules(self):
        """The chains hold what ruleset.nft puts into them."""
        listing = self.guard.run(["nft", "list", "table", "inet", "portsentry"], check=False).stdout
        return "jump banned" in listing and "drop" in listing

    def banned(self):
        return {address for name in ("ban4", "ban6", "ban6net", "perm4", "perm6", "perm6net")
                for address in self.ban_set(name)}


def quote(value):
    return '"' + str(value) + '"'


def stretched(duration):
    """A pattern for a ban's time as lines tell it: up to a twentieth longer than was asked for."""
    units = {"d": 86400, "h": 3600, "m": 60, "s": 1}
    granted = sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)([dhms])", duration))

    def words(seconds):
        text = ""
        for unit, length in units.items():
            if seconds >= length:
                text += f"{seconds // length}{unit}"
                seconds %= length
        return text

    return "(" + "|".join(words(granted + more) for more in range(min(granted // 20, 600) + 1)) + ")"


def config_text(**changes):
    """An armed configuration, trigger 1; a change to None leaves the key out."""
    keys = {
        "TCP_PORTS": "1-100", "UDP_PORTS": "69,161", "BLOCK_TCP": "1", "BLOCK_UDP": "1", "SCAN_TRIGGER": "1",
        "BLOCK_TIME": "30m", "IGNORE_FILE": IGNORE, "HISTORY_FILE": STATE / "portsentry.history",
        "BLOCKED_FILE": STATE / "portsentry.blocked",
    }
    keys.update(changes)
    keys.setdefault("BLOCK_TIME_FORGEABLE", keys["BLOCK_TIME"])  # one time for all, unless the test is about times
    return "".join(f"{key}={quote(value)}\n" for key, value in keys.items() if value is not None)


def write_root_file(path, text, mode=0o644):
    path.write_text(text)
    path.chmod(mode)


def process_state(pid):
    """The letter of proc_pid_stat(5), or nothing when there is no such process."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


def is_alive(pid):
    """A zombie that waits for process 1 (this test) is dead."""
    return process_state(pid) not in (None, "Z", "X")


class Daemon:
    """portsentryd in the foreground, its lines as they come."""

    def __init__(self, lab, arguments=("-f", CONF), wrapper=(), binary=BIN / "portsentryd"):
        self.lab = lab
        self.lines = []
        self._news = threading.Condition()
        self.process = subprocess.Popen(
            lab.guard.inside([*wrapper, binary, *arguments]), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.pid = self.process.pid  # nsenter and wrappers exec: the launcher's own
        self._readers = [threading.Thread(target=self._collect, args=(stream,), daemon=True)
                         for stream in (self.process.stdout, self.process.stderr)]
        for reader in self._readers:
            reader.start()

    def _collect(self, stream):
        for raw in stream:
            with self._news:
                self.lines.append(raw.decode("utf-8", "backslashreplace").rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    # ---- Lines -----------------------------------------------------------------------------------------

    def mark(self):
        """Lines up to now are the past: pass it as `since`."""
        with self._news:
            return len(self.lines)

    def matching(self, pattern, since=0):
        with self._news:
            return [line for line in self.lines[since:] if re.search(pattern, line)]

    def await_line(self, pattern, timeout=DEADLINE, since=0):
        end = time.monotonic() + timeout
        with self._news:
            while True:
                for line in self.lines[since:]:
                    if found := re.search(pattern, line):
                        return found
                left = end - time.monotonic()
                if not any(reader.is_alive() for reader in self._readers):
                    raise AssertionError(f"the daemon ended without a line that matches {pattern!r}")
                if left <= 0:
                    raise AssertionError(f"no line matches {pattern!r} within {timeout:.1f} s")
                self._news.wait(left)

    def await_ready(self):
        self.await_line(r"adminalert: PortSentry is now active and listening\.$")
        return self

    def transcript(self):
        return "".join(f"    | {line}\n" for line in self.lines) or "    | (no line)\n"

    # ---- Processes -------------------------------------------------------------------------------------

    def family(self):
        """Every living process of this daemon: pid -> name of its binary."""
        found = {}
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit() and is_alive(entry.name):
                with contextlib.suppress(OSError):
                    binary = pathlib.Path(os.readlink(entry / "exe"))
                    if binary.parent == BIN and binary.name != "portsentryctl":
                        found[int(entry.name)] = binary.name
        return found

    def roles(self):
        """launcher, enforcer, monitor, sensor, scout, and resolver if there is one -> pid; waits for one of each."""
        roles = {}

        def complete():
            roles.clear()
            roles["launcher"] = self.pid
            for pid, binary in self.family().items():
                role = binary.removeprefix("portsentry-") if binary.startswith("portsentry-") else "enforcer"
                if pid != self.pid:
                    if role in roles:
                        return False
                    roles[role] = pid
            return {"launcher", "enforcer", "monitor", "sensor", "scout"} <= roles.keys()

        await_true(complete, "one launcher, enforcer, monitor, sensor and scout")
        return roles

    def await_exit(self, timeout=DEADLINE):
        """The exit status; also that not one process is left, in the same time."""
        begin = time.monotonic()
        status = self.process.wait(timeout)
        await_true(lambda: not self.family(), "every process gone", max(timeout - (time.monotonic() - begin), 0.1))
        for reader in self._readers:
            reader.join(5)
        return status

    def stop(self, number=signal.SIGTERM, timeout=DEADLINE):
        self.process.send_signal(number)
        return self.await_exit(timeout)

    def status(self):
        """What portsentryctl says, as data."""
        done = self.lab.guard.run([BIN / "portsentryctl", "status", "--json"])
        return json.loads(done.stdout)

    def counter(self, name):
        def find(value):
            if isinstance(value, dict):
                if value.get("name") == name:
                    return value.get("value", value.get("count"))
                if name in value:
                    return value[name]
                value = list(value.values())
            if isinstance(value, list):
                for item in value:
                    if (found := find(item)) is not None:
                        return found
            return None

        return find(self.status()) or 0


class LabTest(unittest.TestCase):
    """A guard, a scanner and a bystander who must never be touched, whatever the test does."""

    def setUp(self):
        self.lab = Lab()
        self.guard, self.scanner, self.bystander = self.lab.guard, self.lab.scanner, self.lab.bystander
        self.live = self.guard.service("::", LIVE_PORT)
        self.daemons = []

    def configure(self, ignore="", **changes):
        write_root_file(CONF, config_text(**changes))
        write_root_file(IGNORE, ignore)

    def launch(self, arguments=("-f", CONF), wrapper=()):
        daemon = Daemon(self.lab, arguments, wrapper)
        self.daemons.append(daemon)
        self.addCleanup(self._end, daemon)
        return daemon

    def start(self, ignore="", **changes):
        self.configure(ignore, **changes)
        return self.launch().await_ready()

    @staticmethod
    def _end(daemon):
        if daemon.process.poll() is None:
            daemon.process.kill()
        daemon.process.wait(DEADLINE)

    def tearDown(self):
        for daemon in self.daemons:
            for line in daemon.matching(r"AddressSanitizer|runtime error:|LeakSanitizer"):
                self.fail(line)
        self.assert_bystander_untouched()

    def transcript(self):
        return "\n".join(f"  daemon {d.pid}:\n{d.transcript()}" for d in self.daemons)

    # ---- Sentences ---------------------------------------------------------------------------------------

    def assert_bystander_untouched(self):
        for family in (4, 6):
            self.assertEqual(self.bystander.tcp_answer(self.guard.address(family), LIVE_PORT, timeout=3), "open",
                             f"the bystander lost the guard's service on IPv{family}")
            self.assertNotIn(self.bystander.address(family), self.lab.banned())
        for daemon in self.daemons:
            for address in (self.bystander.v4, self.bystander.v6):
                self.assertEqual(daemon.matching(rf"attackalert:.*\b{re.escape(address)}(?![0-9a-f.:])"), [])

    def ban_set_of(self, address):
        return "ban6" if ":" in address else "ban4"

    def event_line(self, address, kind, protocol="TCP", port=r"\d+"):
        host = re.escape(f"{address}/{address}")
        return rf"attackalert: {re.escape(kind)} scan from host: {host} to {protocol} port: {port}$"

    def blocked_line(self, address, set_name=None, duration="30m"):
        """`duration` as granted, which the daemon stretches a little; None: any."""
        told = stretched(duration) if duration else r"\w+"
        return (rf'attackalert: Host {re.escape(address)} has been blocked via nftables set '
                rf'"inet portsentry {set_name or self.ban_set_of(address)}" for {told}$')

    def await_ban(self, daemon, address, since=0, set_name=None, source=None):
        """The line that claims a ban, and the kernel's own word for it."""
        source = source or address
        daemon.await_line(self.blocked_line(source, set_name), since=since)
        self.assertIn(source.partition("/")[0], self.lab.ban_set(set_name or self.ban_set_of(address)))

    def assert_cut_off(self, family):
        """Neither a live service nor a closed port answers the scanner any more."""
        target = self.guard.address(family)
        self.assertEqual(self.scanner.tcp_answer(target, LIVE_PORT), "silent")
        self.assertEqual(self.scanner.tcp_answer(target, 99), "silent")
        self.assertEqual(self.scanner.udp_answer(target, 9), "silent")

    def assert_reachable(self, family):
        self.assertEqual(self.scanner.tcp_answer(self.guard.address(family), LIVE_PORT, timeout=3), "open")

    # ---- Crafted packets -----------------------------------------------------------------------------------

    def send(self, *ip_packets, target_mac=None, vlan=None, interface="eth0"):
        """From the scanner's link to the guard, whatever addresses the packets carry."""
        self.scanner.send_frames([packets.frame(target_mac or self.guard.mac, self.scanner.mac, packet, vlan)
                                  for packet in ip_packets], interface)

    def syn(self, port, source=None, target=None, flags=packets.SYN, source_port=40000, sequence=1, family=4, **fields):
        source = source or self.scanner.address(family)
        target = target or self.guard.address(6 if ":" in source else 4)
        return packets.ip(source, target, packets.TCP,
                          packets.tcp(source, target, source_port, port, flags, sequence), **fields)

    def datagram(self, port, source=None, target=None, source_port=40000, payload=b"hello", family=4, **fields):
        source = source or self.scanner.address(family)
        target = target or self.guard.address(6 if ":" in source else 4)
        return packets.ip(source, target, packets.UDP,
                          packets.udp(source, target, source_port, port, payload), **fields)

    def await_sentinel(self, daemon, family=4, port=99):
        """Sends one probe that must count, from an address of its own, and waits for its line.

        Packets of one link are judged in order: when this line is there, everything sent before it has
        been judged too, and what has no line by now will never have one."""
        sentinels = self.__dict__.setdefault("_sentinels", iter(range(200, 250)))
        number = next(sentinels)
        source = f"fd77::{number:x}" if family == 6 else f"10.77.0.{number}"
        self.send(self.syn(port, source=source))
        daemon.await_line(self.event_line(source, "TCP SYN/Normal", port=port))
        return source

    def assert_unnoticed(self, daemon, *addresses, since=0):
        for address in addresses or (self.scanner.v4, self.scanner.v6):
            self.assertEqual(daemon.matching(rf"attackalert:.*[ /]{re.escape(address)}(?![0-9a-f.:])", since), [])
            self.assertNotIn(address, self.lab.banned())
