#!/usr/bin/env python3
"""What a flood costs each process, and what a scanner in the middle of it gets.

    ninja -C build portsentryd ... tests/integration/flood && sudo tests/bench/bench_flood.py [--build DIR] [--json FILE]

SYNs as fast as the machine sends them over a veth (the sender and the kernel's half of the receiver have one
processor, the daemon the rest), from one source, and from a million that are forged; HOLD="none", so that the
capture sees them all. CPU time is of each process, by a million packets that arrived. Not a test: prints
numbers for people. Use a build with optimization.
"""

import os
import statistics
import subprocess
import sys
import threading
import time

import bench_lab

PACKETS = 1_000_000
TICK = os.sysconf("SC_CLK_TCK")
FLOODS = {
    "one source": {"sources": 1, "each": PACKETS, "trigger": "1"},
    "a million sources": {"sources": PACKETS, "each": 1, "trigger": "2"},
    "a million, each reported": {"sources": PACKETS, "each": 1, "trigger": "1"},
}
SCANNERS = 5
TRAPS = range(21, 26)  # five ports


def cpu(pid):
    """Seconds of CPU time that a process has had; of threads it has one."""
    fields = open(f"/proc/{pid}/schedstat", encoding="ascii").read().split()
    return int(fields[0]) / 1e9


def resident(pid):
    for line in open(f"/proc/{pid}/status", encoding="ascii"):
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def measure(report, arguments):
    import lab

    class Flood(lab.LabTest):
        def flood(self, sources, each):
            return subprocess.Popen(
                ["taskset", "-c", "1", *self.scanner.inside(
                    [lab.LAB_DIR / "build/tests/integration/flood", "eth0", self.scanner.mac, self.guard.mac,
                     self.guard.v4, 1000, 4000, sources, 0, each])], stdout=subprocess.PIPE, text=True)

        def time_to_ban(self, source):
            """Seconds from the first probe of five ports to the element in the kernel's set."""
            frames = [self.syn(port, source=source) for port in TRAPS]
            begin = time.monotonic()
            sent = 0
            while True:
                # Again, as a scanner would: the ring may have had no room.
                if time.monotonic() > begin + 0.05 * sent:
                    sent += 1
                    self.send(*frames)
                asked = self.guard.run(["nft", "get", "element", "inet", "portsentry", "ban4", f"{{ {source} }}"],
                                       check=False)
                if asked.returncode == 0:
                    return time.monotonic() - begin
                if time.monotonic() > begin + 10:
                    return float("inf")

        def one(self, name, how):
            daemon = self.start(SCAN_TRIGGER=how["trigger"], HOLD="none", TCP_PORTS="1-100,1000-4000",
                                BLOCK_TIME_FORGEABLE="10m")
            roles = daemon.roles()
            threading.Event().wait(1)
            before = {role: (cpu(pid), resident(pid)) for role, pid in roles.items()}
            flood = self.flood(how["sources"], how["each"])
            output = flood.communicate(timeout=120)[0].split()
            sent, seconds = int(output[0]), float(output[3])
            threading.Event().wait(1.5)
            report.row(f"{name}: {sent / seconds:,.0f} packets a second")
            millions = sent / 1e6
            for role, pid in roles.items():
                spent = (cpu(pid) - before[role][0]) / millions
                report.row(f"  {role:9} {spent * 1000:8.1f} ms CPU a million packets, "
                           f"resident {before[role][1] / 1e6:5.1f} -> {resident(pid) / 1e6:5.1f} MB",
                           bench="flood", flood=name, process=role, cpu_ms_a_million=spent * 1000,
                           resident_before=before[role][1], resident_after=resident(pid), packets_a_second=sent / seconds)
            values = {name: daemon.counter(f"sensor_{name}") for name in ("seen", "kernel_dropped", "capture_busy")}
            report.row("  the sensor saw {seen:,}, the ring had no room for {kernel_dropped:,}".format(**values),
                       bench="flood", flood=name, **values)
            # A second flood, for who scans in the middle of it.
            flood = self.flood(how["sources"] * 3, how["each"])
            threading.Event().wait(1)
            took = [self.time_to_ban(f"10.77.0.{host}") * 1000 for host in range(60, 60 + SCANNERS)]
            during = flood.poll() is None
            flood.communicate(timeout=120)
            report.row(f"  a scanner of five ports in it: banned after {statistics.median(took):.1f} ms (median), "
                       f"{max(took):.1f} ms (longest); nft's own question is a part of that"
                       + ("" if during else " (the flood was over too soon)"),
                       bench="flood", flood=name, ban_ms_median=statistics.median(took), ban_ms_max=max(took), during=during)
            daemon.stop()

        def runTest(self):
            for name, how in FLOODS.items():
                self.one(name, how)

    test = Flood()
    test.setUp()
    test.runTest()


if __name__ == "__main__":
    sys.exit(bench_lab.main(__doc__.splitlines()[0], measure))
