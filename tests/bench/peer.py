"""PortSentry 1.2 as Debian packages it, to be measured beside ours: fetched, unpacked, never installed.

It reads /etc/portsentry/portsentry.conf, compiled in; inside a lab that is a private file.
"""

import contextlib
import os
import pathlib
import signal
import subprocess
import tempfile

VARIABLE = "PORTSENTRY_12"  # path of the binary; set it to measure another build


@contextlib.contextmanager
def unpacked():
    """Puts the binary's path, or nothing, into the environment; prints why there is nothing."""
    if VARIABLE in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="portsentry-12-") as folder:
        os.chmod(folder, 0o755)
        os.environ[VARIABLE] = _fetch(folder)
        yield


def _fetch(folder):
    try:
        subprocess.run(["apt-get", "download", "-q", "portsentry=1.2*"], cwd=folder, check=True, timeout=60,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        package, = pathlib.Path(folder).glob("*.deb")
        subprocess.run(["dpkg-deb", "-x", package, folder], check=True, timeout=60)
        binary = pathlib.Path(folder, "usr/sbin/portsentry")
        return str(binary) if binary.is_file() else ""
    except (OSError, ValueError, subprocess.SubprocessError) as failure:
        print(f"portsentry 1.2 is skipped: {getattr(failure, 'stderr', '') or failure}".strip())
        return ""


CONFIGURATION = """TCP_PORTS="1"
UDP_PORTS="1"
ADVANCED_PORTS_TCP="1024"
ADVANCED_PORTS_UDP="1024"
IGNORE_FILE="/etc/portsentry/portsentry.ignore"
HISTORY_FILE="/var/lib/portsentry/portsentry.history"
BLOCKED_FILE="/var/lib/portsentry/portsentry.blocked"
RESOLVE_HOST="0"
BLOCK_TCP="1"
BLOCK_UDP="1"
KILL_ROUTE="/usr/sbin/iptables -I INPUT -s $TARGET$ -j DROP"
SCAN_TRIGGER="0"
"""


class Peer:
    """One `portsentry -atcp` on the guard: every TCP port below 1024 on which nobody listens."""

    def __init__(self, lab, guard):
        self.binary = pathlib.Path(os.environ[VARIABLE])
        lab.write_root_file(lab.CONF, CONFIGURATION)
        lab.write_root_file(lab.IGNORE, "127.0.0.1/32\n")
        lab.STATE.mkdir(mode=0o755, exist_ok=True)
        for name in ("portsentry.history", "portsentry.blocked.atcp"):
            (lab.STATE / name).write_text("")
        self.guard = guard
        guard.run([self.binary, "-atcp"])
        # It reads raw IP: the socket is there when it listens.
        lab.await_true(lambda: self.pids() and ":0006 " in guard.run(["cat", "/proc/net/raw"]).stdout,
                       "portsentry 1.2 to listen")

    def pids(self):
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and os.readlink(entry / "exe") == str(self.binary):
                    found.append(int(entry.name))
        return found

    def stop(self):
        for pid in self.pids():
            os.kill(pid, signal.SIGKILL)
        self.guard.run(["iptables", "-F", "INPUT"])
