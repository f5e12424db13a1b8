"""A machine with a real systemd inside a test: systemd-nspawn boots this machine's own /usr, read-only,
below an empty root, in the network namespace of one host. In it portsentryd is installed as a package would.
"""

import contextlib
import os
import pathlib
import secrets
import shutil
import signal
import subprocess

from lab import BIN, BINARIES, LAB_DIR, TREE, await_true, is_alive, write_root_file
from neighbours import need

ROOT = LAB_DIR / "machine"
OVER = LAB_DIR / "over"  # what the package adds to /usr
CGROUPS = pathlib.Path("/sys/fs/cgroup")
UNIT = "lib/systemd/system/portsentry.service"


def rendered_unit():
    """The unit as `meson setup --prefix=/usr --sysconfdir=/etc` renders it."""
    text = (TREE / "contrib/systemd/portsentry.service.in").read_text()
    return text.replace("@SBIN_DIR@", "/usr/sbin").replace("@CONF_DIR@", "/etc/portsentry")


class Machine:
    def __init__(self, test, host):
        self.host = host
        nspawn = need(test, "systemd-nspawn", "systemd-container")
        self._lay_out()
        # systemd wants a cgroup of its own; its name must not meet another test's.
        name = f"portsentry-test-{secrets.token_hex(6)}"
        bases = [CGROUPS] if (CGROUPS / "cgroup.procs").exists() else [CGROUPS / "unified", CGROUPS / "systemd"]
        self.cgroups = [base / name for base in bases if base.is_dir()]
        for group in self.cgroups:
            try:
                group.mkdir()
            except OSError as refused:
                test.skipTest(f"no cgroup can be made here for a systemd: {refused}")
        test.addCleanup(self._end)
        enter = "".join(f"echo $$ > {group}/cgroup.procs && " for group in self.cgroups)
        boot = [nspawn, "-D", ROOT, "-b", "--quiet", "--register=no", "--keep-unit", "--link-journal=no",
                "--resolv-conf=off", "--timezone=off", "--console=pipe",
                "--capability=CAP_NET_ADMIN,CAP_NET_RAW",
                # nspawn's own filter (252) does not know Landlock; a machine's kernel has no such filter.
                "--system-call-filter=landlock_create_ruleset landlock_add_rule landlock_restrict_self"]
        self.output = LAB_DIR / "machine.out"
        with open(self.output, "wb") as output:
            self.process = subprocess.Popen(
                host.inside(["bash", "-c", enter + 'exec "$@"', "boot", *boot]), stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, start_new_session=True,
                env=dict(os.environ, SYSTEMD_NSPAWN_UNIFIED_HIERARCHY="1", SYSTEMD_NSPAWN_LOCK="0"))
        try:
            await_true(self._has_booted, "systemd has booted", 30)
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.output.read_text(errors='replace')[-4000:]}") from None

    @staticmethod
    def _lay_out():
        for path in (ROOT, OVER):
            path.mkdir(mode=0o755)
        for name in ("etc/portsentry", "etc/systemd/system", "proc", "sys", "dev", "run", "tmp", "root", "usr",
                     "var/log/journal", "var/lib/logrotate"):
            (ROOT / name).mkdir(parents=True, mode=0o755)
        (ROOT / "tmp").chmod(0o1777)
        for name in ("bin", "sbin", "lib", "lib64"):
            os.symlink(f"usr/{name}", ROOT / name)
        for name in ("passwd", "group", "ld.so.cache"):
            shutil.copy(pathlib.Path("/etc", name), ROOT / "etc" / name)
        shutil.copytree("/etc/alternatives", ROOT / "etc/alternatives", symlinks=True)
        # A machine that has booted before: systemd would else enable whatever this /usr holds.
        for name, text in (("machine-id", secrets.token_hex(16) + "\n"), ("hostname", "server\n"),
                           ("hosts", "127.0.0.1 localhost server\n"), ("hosts.deny", ""),
                           ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n")):
            write_root_file(ROOT / "etc" / name, text)
        for name in ("sbin", "bin", "lib/systemd/system", "lib/sysusers.d", "share/portsentry"):
            (OVER / name).mkdir(parents=True, mode=0o755)
        for name in BINARIES:
            shutil.copy(BIN / name, OVER / "sbin" / name)
        os.symlink("portsentryd", OVER / "sbin/portsentry")
        os.symlink("../sbin/portsentryd", OVER / "bin/portsentry")
        write_root_file(OVER / UNIT, rendered_unit())
        for source, target in (("sysusers/portsentry.conf", "lib/sysusers.d/portsentry.conf"),
                               ("logrotate/portsentry", "share/portsentry/logrotate")):
            write_root_file(OVER / target, (TREE / "contrib" / source).read_text())
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", f"ro,lowerdir={OVER}:/usr", ROOT / "usr"], check=True,
                       timeout=20)

    def _has_booted(self):
        if self.process.poll() is not None:
            raise AssertionError(f"systemd-nspawn ended ({self.process.returncode}):\n{self.output.read_text()}")
        return (self._leader() is not None
                and self.sh("systemctl is-system-running").stdout.strip() in ("running", "degraded"))

    def _leader(self):
        """systemd's pid as this test sees it: the child of nspawn whose own namespace calls it 1."""
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit() and is_alive(entry.name):
                with contextlib.suppress(OSError):
                    status = (entry / "status").read_text()
                    nested = [line for line in status.splitlines() if line.startswith("NSpid:")][0].split()
                    if nested[-1] == "1" and len(nested) > 2 and (entry / "comm").read_text() == "systemd\n":
                        return int(entry.name)
        return None

    def sh(self, line, check=False, timeout=60):
        """As root in the machine, without a terminal."""
        return subprocess.run(["nsenter", f"--target={self._leader()}", "--mount", "--uts", "--ipc", "--net", "--pid",
                               "--root", "--", "env", "-C", "/", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C",
                               "TERM=dumb", "SYSTEMD_PAGER=", "COLUMNS=300", "bash", "-c", line],
                              check=check, timeout=timeout, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)

    @staticmethod
    def path(name):
        """A file of the machine as this test sees it (below /run and /tmp it cannot)."""
        return ROOT / str(name).lstrip("/")

    def _end(self):
        """systemd is process 1 of its namespace: with it goes everything in the machine, nspawn last."""
        if (leader := self._leader()) is not None:
            os.kill(leader, signal.SIGKILL)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
        for group in self.cgroups:
            for path, _, _ in os.walk(group, topdown=False):
                with contextlib.suppress(FileNotFoundError):
                    await_true(lambda path=path: self._removed(path), f"{path} removed")

    @staticmethod
    def _removed(path):
        try:
            os.rmdir(path)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True
