"""The capture under a flood of forged sources: what it costs, what it remembers, and that it is over afterwards.

Bounds here do not depend on how fast the machine is; the figures are those of tests/bench/bench_flood.py.
"""

import pathlib
import re
import subprocess
import time

from lab import BIN, DEADLINE, LAB_DIR, PATIENCE, LabTest, await_true

FLOOD = LAB_DIR / "build" / "tests/integration/flood"
RATE = 100_000  # a second
PACKETS = 400_000
# Two tables of 160 bytes for each of 65,536 sources (evidence.h), of which this flood fills one; and what a
# sensor's allocator keeps beside them.
TABLE = 65_536 * 160 + (2 << 20)
QUIET = 3  # seconds


def figure(pid, name):
    return int(re.search(rf"^{name}:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M)[1])


def busy(pid):
    """Nanoseconds that a process has had a processor."""
    return int(pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[0])


class CaptureFlood(LabTest):
    def flood(self):
        process = subprocess.Popen(
            self.scanner.inside([FLOOD, "eth0", self.scanner.mac, self.guard.mac, self.guard.v4, 1000, 4000, PACKETS, RATE,
                                 1]), stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.kill)
        return process

    def arrived(self, daemon):
        return daemon.counter("sensor_seen") + daemon.counter("sensor_kernel_dropped")

    def test_the_sensor_alone_works_by_timer_and_sleeps_when_it_is_over(self):
        daemon = self.start(SCAN_TRIGGER="2", HOLD="none", TCP_PORTS="1-100,1000-4000")
        roles = daemon.roles()
        others = [pid for role, pid in roles.items() if role != "sensor"]
        awake = figure(roles["sensor"], "voluntary_ctxt_switches")
        resident = figure(roles["sensor"], "VmRSS") * 1024
        spent = {pid: busy(pid) for pid in roles.values()}

        self.flood().wait(60 * PATIENCE)
        # Nothing else was sent: what the kernel's filter saw is the flood, and each packet of it is accounted for.
        await_true(lambda: self.arrived(daemon) >= PACKETS, "the flood has been counted")
        awake = figure(roles["sensor"], "voluntary_ctxt_switches") - awake
        # Again after each pause that a busy machine's sender makes.
        self.assertGreaterEqual(daemon.counter("sensor_capture_busy"), 1)
        self.assertLess(awake, PACKETS / 10, "not every packet wakes the sensor")
        used = {pid: busy(pid) - before for pid, before in spent.items()}
        self.assertLess(sum(used[pid] for pid in others), used[roles["sensor"]] / 4, "a flood is the sensor's business")

        first = figure(roles["sensor"], "VmRSS") * 1024
        # A sanitizer has memory of its own beside ours: its build shows the rest.
        sanitized = "sanitizer build" in self.guard.run([BIN / "portsentryd", "-V"]).stdout
        if not sanitized:
            self.assertLess(first - resident, TABLE)
        self.flood().wait(60 * PATIENCE)
        await_true(lambda: self.arrived(daemon) >= 2 * PACKETS, "the second flood has been counted")
        # A second one finds the tables full.
        if not sanitized:
            self.assertLess(figure(roles["sensor"], "VmRSS") * 1024 - first, 1 << 20)

        awake = figure(roles["sensor"], "voluntary_ctxt_switches")
        time.sleep(QUIET)  # the silence is what is tested
        # A timer of a millisecond would be three thousand.
        self.assertLess(figure(roles["sensor"], "voluntary_ctxt_switches") - awake, 10 * QUIET)
        self.assertEqual(self.lab.banned(), set())
        self.await_sentinel_pair(daemon)

    def await_sentinel_pair(self, daemon):
        """Two ports after all that: seen at once."""
        self.send(self.syn(98, source="10.77.0.199"), self.syn(99, source="10.77.0.199"))
        daemon.await_line(self.blocked_line("10.77.0.199", duration=None))
        self.assertEqual(self.lab.banned(), {"10.77.0.199"})

    def test_one_that_keeps_scanning_hides_no_other(self):
        daemon = self.start(SCAN_TRIGGER="2", HOLD="none", TCP_PORTS="1-100,1000-4000")
        process = subprocess.Popen(
            self.scanner.inside([FLOOD, "eth0", self.scanner.mac, self.guard.mac, self.guard.v4, 1000, 4000, 1, RATE, 8 * RATE]),
            stdout=subprocess.DEVNULL)
        self.addCleanup(process.wait, DEADLINE)
        self.addCleanup(process.kill)
        await_true(lambda: daemon.counter("sensor_lookup_over_budget") + daemon.counter("sensor_counted_by_list") > 10_000,
                   "the look-ups are spent")
        for host in range(60, 65):
            source = f"10.77.0.{host}"
            # Once: nothing but the look-ups is short.
            self.send(*(self.syn(port, source=source) for port in range(21, 26)))
            daemon.await_line(self.blocked_line(source, duration=None))
        self.assertIsNone(process.poll(), "the flood was over too early to show anything")
