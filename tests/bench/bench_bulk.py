#!/usr/bin/env python3
"""What many bans cost: restored, held, listed, taken over at a restart, expired; memory of each by part.

    ninja -C build portsentryd ... tests/bench/ban_bench && sudo tests/bench/bench_bulk.py [--build DIR] [SIZE ...]

Each size has a daemon of its own in a private network namespace. The rows are put into its state file while it
is stopped, IPv4 only. "a ban" of a part is what it grew by, divided by the number of bans: processes by their
PSS, the kernel by its slabs and its vmalloc area. Use a build with optimization.
"""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import bench_lab

PATIENCE = 600


def address(number):
    """As attackers come: in no order. A bijection on 24 bits."""
    mixed = number * 0x9E3779 & 0xFFFFFF
    return f"11.{mixed >> 16}.{mixed >> 8 & 255}.{mixed & 255}"


def fill(path, count, until):
    now = int(time.time())
    database = sqlite3.connect(path)
    database.execute("DELETE FROM bans")
    database.executemany(
        "INSERT INTO bans VALUES(?1, ?1, 6, 23, 1, 1, 1, ?2, ?3, 1, '')",
        ((address(i), now, until(i)) for i in range(count)))
    database.commit()
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()


def held(database):
    return database.execute("SELECT count(*) FROM bans").fetchone()[0]


def cpu(pid):
    fields = open(f"/proc/{pid}/stat", encoding="ascii").read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak(pid):
    return int(re.search(r"^VmHWM:\s+(\d+) kB", open(f"/proc/{pid}/status", encoding="ascii").read(), re.M)[1]) * 1024


def measure(report, arguments):
    import lab

    class Bulk(lab.LabTest):
        def memory(self, daemon):
            return {role: bench_lab.pss(pid) for role, pid in daemon.roles().items()}

        def calm(self, seconds=3):
            threading.Event().wait(seconds)

        def size(self, count):
            def tell(what, value, unit, **more):
                report.row(f"  {what:52} {value:12.3f} {unit}", bench="bulk", bans=count, what=what, value=value, unit=unit,
                           **more)

            report.row(f"{count:,} bans:", bench="bulk", bans=count, what="begin")
            # The enforcer's part of a ban, with its event socket subscribed: to the kernel's yes, read back.
            bench = lab.BUILD / "tests" / "bench" / "ban_bench"
            if bench.exists():
                told = subprocess.run([bench, str(count)], check=True, text=True, timeout=PATIENCE,
                                      stdout=subprocess.PIPE).stdout
                found = re.search(r"beside all those.*median\s+([\d.]+) us, p99\s+([\d.]+) us", told)
                tell("decision to active, median", float(found[1]), "us")
                tell("decision to active, p99", float(found[2]), "us")
            state = lab.STATE / "monitor" / "state.sqlite3"
            # An empty one first: what everything costs without bans.
            daemon = self.start()
            self.calm()
            empty = self.memory(daemon)
            daemon.stop()
            self.guard.run(["nft", "delete", "table", "inet", "portsentry"])
            fill(state, count, lambda i: int(time.time()) + 86400)
            kernel_empty = bench_lab.kernel_memory()

            begin = time.monotonic()
            daemon = self.launch()
            daemon.await_line("now active and listening", timeout=PATIENCE)
            ready = time.monotonic() - begin
            daemon.await_line(rf"{count} bans? of an earlier run made again", timeout=PATIENCE)
            tell("start to ready, an empty kernel", ready, "s")
            tell("start to all restored", time.monotonic() - begin, "s")
            self.calm(5)
            full, kernel_full = self.memory(daemon), bench_lab.kernel_memory()
            growth = 0
            for role, pid in daemon.roles().items():
                each = (full[role] - empty[role]) / count
                growth += each
                tell(f"{role}: a ban, resident", each, "bytes", peak=peak(pid))
            tell("kernel: a ban", (kernel_full - kernel_empty) / count, "bytes")
            tell("together: a ban, resident", growth + (kernel_full - kernel_empty) / count, "bytes")

            monitor = daemon.roles()["monitor"]
            begin, busy = time.monotonic(), cpu(monitor)
            listed = self.guard.run([lab.BIN / "portsentryctl", "list", "--json"], timeout=PATIENCE).stdout
            tell("portsentryctl list", time.monotonic() - begin, "s", monitor_cpu=cpu(monitor) - busy)
            assert len(json.loads(listed)["bans"]) == count, "not all are listed"
            after = self.memory(daemon)
            tell("monitor: grown by the listing, a ban", (after["monitor"] - full["monitor"]) / count, "bytes")

            since, begin = daemon.mark(), time.monotonic()
            self.guard.run(["nft", "flush", "set", "inet", "portsentry", "ban4"], timeout=PATIENCE)
            daemon.await_line(r"\bput back|restored|made again", since=since, timeout=PATIENCE)
            tell("a flushed set to all restored", time.monotonic() - begin, "s")

            begin = time.monotonic()
            daemon.stop(timeout=PATIENCE)
            tell("stop with all in force", time.monotonic() - begin, "s")

            begin = time.monotonic()
            daemon = self.launch()
            daemon.await_line("now active and listening", timeout=PATIENCE)
            tell("start to ready, the kernel holds them", time.monotonic() - begin, "s")
            since, begin = daemon.mark(), time.monotonic()
            self.send(self.syn(23, source="10.77.0.77"))
            daemon.await_line(r"Host 10.77.0.77 has been blocked", since=since, timeout=PATIENCE)
            tell("the first ban after that, probe to line", time.monotonic() - begin, "s")
            self.calm(5)
            again = self.memory(daemon)
            tell("monitor: a ban, resident, after a restart", (again["monitor"] - empty["monitor"]) / count, "bytes")
            tell("enforcer: a ban, resident, after a restart", (again["enforcer"] - empty["enforcer"]) / count, "bytes")
            # Killed: nothing is written any more.
            daemon.process.send_signal(signal.SIGKILL)
            daemon.await_exit(timeout=PATIENCE)
            self.guard.run(["nft", "delete", "table", "inet", "portsentry"])

            # All end within a minute, which begins when all are certainly restored.
            lead = 15 + count // 15_000
            first = int(time.time()) + lead
            fill(state, count, lambda i: first + i % 60)
            daemon = self.launch()
            daemon.await_line(rf"{count} bans? of an earlier run made again", timeout=PATIENCE)
            monitor = daemon.roles()["monitor"]
            busy = cpu(monitor)
            def left():
                return json.loads(self.guard.run([lab.BIN / "portsentryctl", "status", "--json"], timeout=PATIENCE).stdout)
            while self.held(left()) > 0:
                self.calm(0.5)
                assert time.time() < first + 60 + PATIENCE, "they do not end"
            tell("the last is over after its end", time.time() - (first + min(count, 60) - 1), "s")
            tell("monitor: processor for restored to over, each", (cpu(monitor) - busy) * 1e6 / count, "us")
            self.calm(5)
            tell("monitor: grown, all over", (self.memory(daemon)["monitor"] - empty["monitor"]) / 1e6, "MB")
            daemon.stop(timeout=PATIENCE)
            self.guard.run(["nft", "delete", "table", "inet", "portsentry"])

        @staticmethod
        def held(status):
            return sum(status[kind] for kind in ("enforced", "pending", "failed"))

        def runTest(self):
            for count in arguments.sizes or (1000, 10_000, 100_000, 1_000_000):
                self.size(count)

    test = Bulk()
    test.setUp()
    test.runTest()


if __name__ == "__main__":
    sys.exit(bench_lab.main(__doc__.splitlines()[0], measure, lambda parser: parser.add_argument(
        "sizes", type=int, nargs="*", metavar="SIZE", help="numbers of bans (default 1000 10000 100000 1000000)")))
