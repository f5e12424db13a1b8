#!/usr/bin/env python3
"""Runs the integration tests: tests/integration/run.py --build DIR [PATTERN ...]

Each test is process 1 of its own PID, mount and network namespace (see lab.py), so tests cannot meet,
two run at a time, and a test that hangs is cut off without leaving anything behind. One line per test,
then a summary; exit status 0 only when nothing failed.
"""

import argparse
import concurrent.futures
import fnmatch
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
# A test that needs longer hangs. A cycle of the kill loop takes a second, on a busy machine up to three.
TEST_SECONDS = 120 + 3 * int(os.environ.get("PORTSENTRY_KILL_CYCLES", "0"))

ALONE = "*Flood.*"


def flatten(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flatten(item)
        else:
            yield item


def discover():
    sys.path.insert(0, str(HERE))
    return sorted(test.id() for test in flatten(unittest.defaultTestLoader.discover(str(HERE), "test_*.py")))


class Recorder(unittest.TestResult):
    """Failures with the daemon's own lines beside them."""

    def _note(self, kind, test, error):
        words = self._exc_info_to_string(error, test)
        transcript = getattr(test, "transcript", None)
        self.notes.append((kind, words + (transcript() if transcript and hasattr(test, "daemons") else "")))

    def __init__(self):
        super().__init__()
        self.notes = []

    def addError(self, test, err):
        self._note("failed", test, err)

    def addFailure(self, test, err):
        self._note("failed", test, err)

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self._note("failed", test, err)

    def addSkip(self, test, reason):
        self.notes.append(("skipped", reason))


def run_here(test_id, report):
    """In the test's own namespaces."""
    sys.path.insert(0, str(HERE))
    recorder = Recorder()
    unittest.defaultTestLoader.loadTestsFromName(test_id).run(recorder)
    kinds = [kind for kind, _ in recorder.notes]
    result = "failed" if "failed" in kinds else "skipped" if kinds else "passed"
    pathlib.Path(report).write_text(json.dumps({"result": result, "text": "\n".join(t for _, t in recorder.notes)}))
    os._exit(0)  # threads that read a killed daemon's pipes need no farewell


def run_one(test_id, environment):
    begin = time.monotonic()
    with tempfile.NamedTemporaryFile("r", prefix="portsentry-test-") as report:
        argv = ["setpriv", "--pdeathsig", "KILL", "--",
                "unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc", "--propagation", "private", "--net",
                "--", sys.executable, "-B", __file__, "--here", test_id, "--report", report.name]
        try:
            done = subprocess.run(argv, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, errors="replace",
                                  timeout=TEST_SECONDS * float(environment["PORTSENTRY_PATIENCE"]))
            output, content = done.stdout, report.read()
        except subprocess.TimeoutExpired as late:
            output, content = f"no end after {late.timeout:.0f} s\n{late.stdout or ''}", ""
    outcome = json.loads(content) if content else {"result": "failed", "text": "the test process died"}
    if outcome["result"] == "failed" and output:
        outcome["text"] += f"\n{output}"
    return dict(outcome, name=test_id, seconds=round(time.monotonic() - begin, 2))


def main():
    parser = argparse.ArgumentParser(description="integration tests in network namespaces (needs root)")
    parser.add_argument("--build", default=str(HERE.parents[1] / "build"), help="directory with the binaries")
    parser.add_argument("--jobs", type=int, default=2, help="tests at a time (default 2)")
    parser.add_argument("--patience", type=float, default=1.0, help="stretches every deadline (sanitizer builds)")
    parser.add_argument("--repeat", type=int, default=1, help="run every test this often")
    parser.add_argument("--results", help="write the outcome of every test to this file, as JSON")
    parser.add_argument("--list", action="store_true", help="print the names of the tests")
    parser.add_argument("--here", help=argparse.SUPPRESS)
    parser.add_argument("--report", help=argparse.SUPPRESS)
    parser.add_argument("patterns", nargs="*", help="run tests whose name contains one of these")
    arguments = parser.parse_args()

    if arguments.here:
        run_here(arguments.here, arguments.report)
    tests = [name for name in discover() if not arguments.patterns or
             any(fnmatch.fnmatch(name, f"*{pattern}*") for pattern in arguments.patterns)]
    if arguments.list:
        print("\n".join(tests))
        return 0
    if os.geteuid() != 0:
        print("integration tests make network namespaces, which needs root: run them with sudo", file=sys.stderr)
        return 77
    build = pathlib.Path(arguments.build).resolve()
    missing = [name for name in ("portsentryd", "portsentry-monitor", "portsentry-sensor", "portsentry-resolver",
                                 "portsentry-scout", "portsentryctl") if not (build / name).is_file()]
    if missing or not tests:
        print(f"nothing to run: {', '.join(missing) + ' missing in ' + str(build) if missing else 'no such test'}",
              file=sys.stderr)
        return 2
    environment = dict(os.environ, PORTSENTRY_BUILD=str(build), PORTSENTRY_PATIENCE=str(arguments.patience),
                       LC_ALL="C.UTF-8", TZ="UTC")

    outcomes = []
    printing = threading.Lock()

    def run_and_print(name):
        outcome = run_one(name, environment)
        with printing:
            outcomes.append(outcome)
            reason = f"  ({outcome['text'].splitlines()[0]})" if outcome["result"] == "skipped" else ""
            print(f"{outcome['result']:8} {outcome['seconds']:6.2f} s  {name}{reason}", flush=True)
            if outcome["result"] == "failed":
                print("".join(f"    {line}\n" for line in outcome["text"].splitlines()), flush=True)

    # Who measures under a flood has the machine for itself, when the others have ended.
    alone = [name for name in tests if fnmatch.fnmatch(name, ALONE)]
    together = [name for name in tests if name not in alone]
    for names, jobs in ((together, max(arguments.jobs, 1)), (alone, 1)):
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            for future in [pool.submit(run_and_print, name) for _ in range(arguments.repeat) for name in names]:
                future.result()
    if arguments.results:
        pathlib.Path(arguments.results).write_text(json.dumps(sorted(outcomes, key=lambda o: o["name"]), indent=1))
    count = {kind: sum(o["result"] == kind for o in outcomes) for kind in ("passed", "failed", "skipped")}
    print(", ".join(f"{number} {kind}" for kind, number in count.items()))
    return 1 if count["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
