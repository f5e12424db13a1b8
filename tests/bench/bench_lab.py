"""What the benchmarks here share: a guard in namespaces of its own (tests/integration/lab.py), the memory of
its processes, and the lines of a report.

A benchmark calls main(): it starts itself again as process 1 of private namespaces, so that nothing of it
outlives it, and there runs `measure(report, arguments)`.
"""

import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))


class Report:
    """A table for people, and with `--json FILE` one object a line for programs."""

    def __init__(self, path):
        self._file = open(path, "a", encoding="utf-8") if path else None  # closed by the end of the process

    def row(self, text, **values):
        print(text, flush=True)
        if self._file:
            self._file.write(json.dumps(values) + "\n")
            self._file.flush()


def main(subject, measure, add_arguments=lambda parser: None):
    parser = argparse.ArgumentParser(description=subject)
    parser.add_argument("--build", default=str(HERE.parents[1] / "build"), help="directory with the binaries")
    parser.add_argument("--json", help="append the figures to this file, one object a line")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    add_arguments(parser)
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        print("network namespaces need root: run it with sudo", file=sys.stderr)
        return 77
    if not arguments.inside:
        environment = dict(os.environ, PORTSENTRY_BUILD=str(pathlib.Path(arguments.build).resolve()),
                           LC_ALL="C.UTF-8", TZ="UTC")
        if arguments.json:
            pathlib.Path(arguments.json).touch()
        return subprocess.run(
            ["setpriv", "--pdeathsig", "KILL", "--", "unshare", "--pid", "--fork", "--kill-child", "--mount",
             "--mount-proc", "--propagation", "private", "--net", "--", sys.executable, "-B", *sys.argv, "--inside"],
            env=environment, stdin=subprocess.DEVNULL, check=False).returncode
    # /run is private from here on: the file of the report is opened before.
    report = Report(arguments.json)
    measure(report, arguments)
    sys.stdout.flush()
    os._exit(0)  # threads that read a killed daemon's pipes need no farewell


def median(values):
    return statistics.median(values)


def pss(pid):
    """Proportional resident memory of one process, in bytes."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"^Pss:\s+(\d+) kB", text, re.M)[1]) * 1024


def kernel_memory():
    """What the kernel's slabs and its vmalloc area hold, in bytes: elements and bucket tables of sets."""
    slab = 0
    for line in pathlib.Path("/proc/slabinfo").read_text().splitlines()[2:]:
        fields = line.split()
        pages_per_slab, slabs = int(fields[5]), int(fields[14])
        slab += slabs * pages_per_slab * 4096
    vmalloc = int(re.search(r"^VmallocUsed:\s+(\d+) kB", pathlib.Path("/proc/meminfo").read_text(), re.M)[1])
    return slab + vmalloc * 1024


def switches(pid):
    """How often a process has gone to sleep by itself: each is a wake-up."""
    return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)",
                         pathlib.Path(f"/proc/{pid}/status").read_text(), re.M)[1])
