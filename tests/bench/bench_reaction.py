#!/usr/bin/env python3
"""From one probe to its ban, in microseconds: the user-space path, every sandbox on.

    ninja -C build portsentryd ... tests/bench/reaction && sudo tests/bench/bench_reaction.py [--build DIR] [--json FILE]

One SYN to a trap (SCAN_TRIGGER="1", HOLD="none"); the kernel is asked for the element of the set, over
netlink, until it has it (reaction.cc). Bans are a second apart, so that each finds the processes asleep and
the caches cold. Who asks has one processor, and:

    one CPU     every process of the daemon is on the other one (CPUAffinity= of the service)
    unpinned    the scheduler puts them where it likes, and who asks never sleeps
    unpinned,   who asks sleeps 20 microseconds between two questions, so that the scheduler has two
    asked slow  processors to choose from

Not a test: prints numbers for people. Use a build with optimization, and a machine with nothing else to do.
"""

import os
import statistics
import subprocess
import sys

import bench_lab

PORT = 23
SLEEP = 20  # microseconds
CASES = {
    "one CPU": {"pinned": True, "sleep": 0},
    "unpinned": {"pinned": False, "sleep": 0},
    "unpinned, asked slow": {"pinned": False, "sleep": SLEEP},
}
PAUSE = 1000  # milliseconds


def percentile(values, part):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def measure(report, arguments):
    import lab

    priority = ["chrt", "--fifo", "10"] if arguments.realtime else []

    class Reaction(lab.LabTest):
        def bans(self, sleep):
            done = subprocess.run(
                [*priority, "taskset", "-c", "1",
                 *self.scanner.inside([lab.LAB_DIR / "build/tests/bench/reaction", "eth0", self.scanner.mac, self.guard.mac,
                                       self.guard.v4, self.guard.path, PORT, arguments.bans, PAUSE, sleep])],
                stdout=subprocess.PIPE, text=True, check=True)
            lines = done.stdout.splitlines()
            return float(lines[0].split()[1]), [float(line) for line in lines[1:]]

        def runTest(self):
            report.row(f"{arguments.bans} bans each, microseconds from the SYN to the element in the kernel's set:")
            for case, how in CASES.items():
                self.configure(SCAN_TRIGGER="1", HOLD="none")
                daemon = self.launch(wrapper=[*priority, *(["taskset", "-c", "0"] if how["pinned"] else [])]).await_ready()
                question, took = self.bans(how["sleep"])
                median, p90, p99 = statistics.median(took), percentile(took, 0.9), percentile(took, 0.99)
                report.row(f"  {case:22} median {median:8.1f}  p90 {p90:8.1f}  p99 {p99:8.1f}  max {max(took):8.1f}"
                           f"  (a question takes {question:.1f})",
                           bench="reaction", case=case, realtime=arguments.realtime, bans=len(took), median_us=median, p90_us=p90, p99_us=p99,
                           max_us=max(took), question_us=question)
                daemon.stop()

    if os.cpu_count() < 2:
        print("needs two processors: one for the daemon, one for who asks", file=sys.stderr)
        return
    test = Reaction()
    test.setUp()
    test.runTest()


def add_arguments(parser):
    parser.add_argument("--bans", type=int, default=200, help="in each case (default 200, a second each)")
    parser.add_argument("--quick", action="store_const", dest="bans", const=20, help="twenty in each case")
    parser.add_argument("--realtime", action="store_true",
                        help="at a real-time priority, for a machine that others use meanwhile")


if __name__ == "__main__":
    sys.exit(bench_lab.main(__doc__.splitlines()[0], measure, add_arguments))
