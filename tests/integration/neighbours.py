"""The programs that the guide puts beside the daemon, real ones: rsyslog, fail2ban, sshd, exim.

Each runs in the foreground on one host of the lab, with its distribution's own configuration as far as
that works without a real machine around it, in directories that are the test's own. Nothing is stopped
at the end: a test is process 1 of its namespace, and what it started goes with it.
"""

import contextlib
import os
import pathlib
import re
import shutil
import socket
import subprocess
import threading
import time

from lab import BIN, CONF, DEADLINE, IGNORE, LAB_DIR, LabTest, await_true, bind, mount_private, own_file, own_tree

SYSLOG = pathlib.Path("/var/log/syslog")
LOG_FILE = pathlib.Path("/var/log/portsentry.log")
SIEM_LOG = pathlib.Path("/var/log/siem.log")
EXIM_LOG = pathlib.Path("/var/log/exim4/mainlog")
# debconf's "local delivery only", the answer of a machine that was asked nothing.
EXIM_SETTINGS = {"dc_eximconfig_configtype": "local", "dc_other_hostnames": "guard", "dc_localdelivery": "mail_spool",
                 "dc_local_interfaces": "127.0.0.1 ; ::1", "dc_use_split_config": "false", "dc_minimaldns": "false"}
BLOCKED = CONF.parent / "portsentry.blocked"
HISTORY = CONF.parent / "portsentry.history"

# What the guide's own files say, where its sections do not say otherwise.
GUIDE_FILES = {"IGNORE_FILE": IGNORE, "BLOCKED_FILE": BLOCKED, "HISTORY_FILE": HISTORY, "LOG_FILE": LOG_FILE}
GUIDE_KILL_ROUTE = {"KILL_ROUTE": "/sbin/iptables -I INPUT -s $TARGET$ -j DROP",
                    "KILL_ROUTE_REMOVE": "/sbin/iptables -D INPUT -s $TARGET$ -j DROP"}
GUIDE_HOSTS_DENY = {"KILL_HOSTS_DENY": "ALL: $TARGET$ : DENY"}


def need(test, program, package):
    """The path of a neighbour; a test that lacks one names the package."""
    found = shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin")
    if not found:
        test.skipTest(f"{program} is not installed (Debian package {package})")
    return found


def private_dev():
    """A /dev with its own /dev/log: the real one is the machine's."""
    dev = LAB_DIR / "dev"
    dev.mkdir(mode=0o755)
    mount_private(dev)
    for name in ("null", "zero", "full", "random", "urandom", "tty"):
        (dev / name).touch()
        bind(f"/dev/{name}", dev / name)
    for name in ("pts", "shm"):
        (dev / name).mkdir()
    subprocess.run(["mount", "-t", "devpts", "-o", "newinstance,ptmxmode=0666,mode=0620", "devpts", dev / "pts"],
                   check=True, timeout=20)
    os.symlink("pts/ptmx", dev / "ptmx")
    for name, target in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
        os.symlink(f"/proc/self/fd{target}", dev / name)
    subprocess.run(["mount", "--rbind", dev, "/dev"], check=True, timeout=20)


def file_text(path):
    with contextlib.suppress(FileNotFoundError):
        return pathlib.Path(path).read_text(errors="replace")
    return ""


class Neighbour:
    """One program in the foreground of a host; what it prints is kept for the report of a failure."""

    def __init__(self, host, name, argv, **options):
        self.name = name
        self.output = LAB_DIR / f"{name}.out"
        with open(self.output, "ab") as output:
            self.process = subprocess.Popen(host.inside(argv), stdin=subprocess.DEVNULL, stdout=output,
                                            stderr=output, **options)

    def await_up(self, predicate, what):
        def up():
            if self.process.poll() is not None:
                raise AssertionError(f"{self.name} ended ({self.process.returncode}):\n{file_text(self.output)}")
            return predicate()

        await_true(up, f"{self.name}: {what}")
        return self

    def stop(self):
        self.process.terminate()
        self.process.wait(DEADLINE)


class NeighbourTest(LabTest):
    """The lab with /var/log, /var/spool, /var/mail and /dev of its own, and `portsentry` on the PATH."""

    def setUp(self):
        super().setUp()
        for path in ("/var/log", "/var/spool", "/var/mail"):
            mount_private(path)
        private_dev()
        self.neighbours = []
        # Names come from /etc/hosts alone: there is no name server, and nobody waits for one.
        own_file("/etc/nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files\n")
        self.commands = LAB_DIR / "commands"
        self.commands.mkdir(mode=0o755)
        os.symlink("portsentryd", BIN / "portsentry")
        # The guide writes sudo before what needs root; the test is root already.
        self.script("sudo", 'exec "$@"')

    def script(self, name, body, folder=None):
        path = pathlib.Path(folder or self.commands, name)
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return path

    def transcript(self):
        said = "".join(f"  {n.name}:\n{file_text(n.output)}" for n in self.neighbours)
        logs = "".join(f"  {path}:\n{file_text(path)}" for path in (SYSLOG, LOG_FILE, BLOCKED, HISTORY, EXIM_LOG)
                       if os.path.exists(path))
        return "\n".join((super().transcript(), said, logs))

    def beside(self, host, name, argv, **options):
        neighbour = Neighbour(host, name, argv, **options)
        self.neighbours.append(neighbour)
        return neighbour

    def await_file(self, path, pattern, what=None, timeout=DEADLINE):
        """The first match of a pattern in a file that somebody else writes."""
        found = []

        def there():
            found[:] = re.findall(pattern, file_text(path), re.M)[:1]
            return bool(found)

        await_true(there, what or f"{pattern!r} in {path}", timeout)
        return found[0]

    # ---- Commands as an administrator types them -------------------------------------------------------

    @property
    def path_variable(self):
        return f"{self.commands}:{BIN}:/usr/sbin:/usr/bin:/sbin:/bin"

    def sh(self, line, user=None, check=False, timeout=60):
        """One line of a shell on the guard, without a terminal: what it printed and its exit status."""
        wrapper = [] if user is None else ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--"]
        return self.guard.run([*wrapper, "bash", "-c", line], check=check, timeout=timeout,
                              env=dict(os.environ, PATH=self.path_variable))

    def terminal(self, line, timeout=DEADLINE):
        """The same on a terminal of its own. Returns (output, exit status) once the line is done *and*
        nobody holds the terminal any more: what went to the background has let go of it."""
        master, slave = os.openpty()
        process = subprocess.Popen(self.guard.inside(["bash", "-c", line]), stdin=slave, stdout=slave, stderr=slave,
                                   start_new_session=True, env=dict(os.environ, PATH=self.path_variable))
        os.close(slave)
        said, gone = [], threading.Event()

        def read():
            with contextlib.suppress(OSError):  # EIO: the last one closed it
                while data := os.read(master, 4096):
                    said.append(data)
            gone.set()

        threading.Thread(target=read, daemon=True).start()
        begin = time.monotonic()
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            text = b"".join(said).decode(errors="replace")
            raise AssertionError(f"{line!r} did not come back within {timeout:.0f} s; it said:\n{text}") from None
        if not gone.wait(max(timeout - (time.monotonic() - begin), 1)):
            raise AssertionError(f"{line!r} came back, but somebody still holds its terminal")
        return b"".join(said).decode(errors="replace").replace("\r\n", "\n"), status

    # ---- rsyslog ------------------------------------------------------------------------------------------

    def start_rsyslog(self, extra="", classic_time=False):
        """Debian's own rsyslog.conf, except that the kernel's log stays the machine's."""
        program = need(self, "rsyslogd", "rsyslog")
        own_tree("/etc/rsyslog.d")
        stock = "".join(line for line in pathlib.Path("/etc/rsyslog.conf").read_text().splitlines(True)
                        if "imklog" not in line)
        if classic_time:
            stock = "$ActionFileDefaultTemplate RSYSLOG_TraditionalFileFormat\n" + stock
        own_file("/etc/rsyslog.conf", stock)
        if extra:
            self.sh(extra, check=True)
        pathlib.Path("/var/spool/rsyslog").mkdir(exist_ok=True)
        number = sum(n.name.startswith("rsyslogd") for n in self.neighbours)
        return self.beside(self.guard, f"rsyslogd-{number}",
                           [program, "-n", "-f", "/etc/rsyslog.conf", "-i", LAB_DIR / "rsyslogd.pid"]).await_up(
                               lambda: os.path.exists("/dev/log"), "/dev/log")

    def start_siem(self, host, port=514):
        """A second rsyslog on another host that takes what is forwarded over TCP."""
        program = need(self, "rsyslogd", "rsyslog")
        conf = LAB_DIR / "siem.conf"
        conf.write_text(f'module(load="imtcp")\ninput(type="imtcp" port="{port}")\n*.* {SIEM_LOG}\n')
        return self.beside(host, "siem", [program, "-n", "-f", conf, "-i", LAB_DIR / "siem.pid"]).await_up(
            lambda: f":{port} " in host.run(["ss", "-Hltn"]).stdout, f"port {port}")

    # ---- fail2ban -----------------------------------------------------------------------------------------

    def start_fail2ban(self, jail, await_jail=True):
        """The stock configuration and filters, with this jail.local; the distribution's sshd jail is off."""
        server = need(self, "fail2ban-server", "fail2ban")
        own_tree("/etc/fail2ban")
        for path in pathlib.Path("/etc/fail2ban/jail.d").iterdir():
            path.unlink()
        own_file("/etc/fail2ban/jail.local", jail)
        for folder in ("/run/fail2ban", "/var/lib/fail2ban"):
            pathlib.Path(folder).mkdir(exist_ok=True)
        neighbour = self.beside(self.guard, "fail2ban", [server, "-f", "--logtarget", "/var/log/fail2ban.log", "start"])
        if await_jail:
            neighbour.await_up(lambda: "portsentry" in self.sh("fail2ban-client status 2>&1").stdout, "its jail")
            # The jail exists before its watcher has looked at the file for the first time.
            self.await_file("/var/log/fail2ban.log", r"Jail 'portsentry' started")
        return neighbour

    def fail2ban_banned(self):
        listed = self.sh("fail2ban-client status portsentry").stdout
        found = re.search(r"Banned IP list:\s*(.*)", listed)
        return found[1].split() if found else []

    # ---- sshd ---------------------------------------------------------------------------------------------

    def start_sshd(self, port=2222):
        """An sshd that asks libwrap, as Debian builds it. Not on 22: nmap's first probes go there."""
        program = need(self, "sshd", "openssh-server")
        linked = subprocess.run(["ldd", program], check=True, text=True, stdout=subprocess.PIPE, timeout=20).stdout
        if "libwrap" not in linked:
            self.skipTest("this sshd is not linked to libwrap")
        pathlib.Path("/run/sshd").mkdir(mode=0o755)
        key = LAB_DIR / "ssh_host_key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True, timeout=20)
        conf = LAB_DIR / "sshd_config"
        conf.write_text(f"Port {port}\nHostKey {key}\nPidFile none\nUsePAM no\nUseDNS no\n")
        self.beside(self.guard, "sshd", [program, "-D", "-e", "-f", conf]).await_up(
            lambda: f":{port} " in self.guard.run(["ss", "-Hltn"]).stdout, f"port {port}")
        return port

    def ssh_greeting(self, host, family, port):
        """The first bytes that sshd sends: its version, or nothing at all when libwrap refuses."""
        kind = socket.AF_INET6 if family == 6 else socket.AF_INET
        with host.endpoint(kind, socket.SOCK_STREAM) as connection:
            connection.settimeout(DEADLINE)
            connection.connect((self.guard.address(family), port))
            with contextlib.suppress(ConnectionResetError):
                return connection.recv(64)
            return b""

    # ---- exim and mail ------------------------------------------------------------------------------------

    def have_mail(self, user="admin", number=64810):
        """exim as Debian configures it for local delivery, and a person who gets mail. Returns the mailbox."""
        need(self, "mail", "mailutils")
        need(self, "update-exim4.conf", "exim4-daemon-light")
        with open("/etc/passwd", "a", encoding="ascii") as passwd:
            passwd.write(f"{user}:x:{number}:{number}::/:/bin/sh\n")
        with open("/etc/group", "a", encoding="ascii") as group:
            group.write(f"{user}:x:{number}:\n")
        own_file("/etc/mailname", "guard\n")
        own_tree("/etc/exim4")
        settings = pathlib.Path("/etc/exim4/update-exim4.conf.conf")
        settings.write_text("".join(f"{key}='{value}'\n" for key, value in EXIM_SETTINGS.items()))
        for folder in ("/var/lib/exim4", "/var/spool/exim4", "/var/log/exim4"):
            pathlib.Path(folder).mkdir(mode=0o750)
            shutil.chown(folder, "Debian-exim", "Debian-exim")
        shutil.chown("/var/mail", "root", "mail")
        pathlib.Path("/var/mail").chmod(0o2775)
        done = self.sh("update-exim4.conf")
        self.assertEqual(done.returncode, 0, done.stdout)
        return pathlib.Path("/var/mail", user)

    # ---- iptables -----------------------------------------------------------------------------------------

    def use_iptables(self, variant):
        """/sbin/iptables is the nft or the legacy one, as update-alternatives would have it."""
        need(self, f"iptables-{variant}", "iptables")
        own_tree("/etc/alternatives")
        for name in ("iptables", "ip6tables"):
            link = pathlib.Path("/etc/alternatives", name)
            link.unlink()
            link.symlink_to(f"/usr/sbin/{name}-{variant}")
        self.assertIn("legacy" if variant == "legacy" else "nf_tables", self.sh("/sbin/iptables --version").stdout)

    def input_drops(self, family=4):
        """Sources that INPUT drops, as the guide looks for them."""
        listed = self.sh(f"{'ip6tables' if family == 6 else 'iptables'} -L INPUT -n | grep DROP").stdout
        return [line.split()[3].removesuffix("/128") for line in listed.splitlines()]
