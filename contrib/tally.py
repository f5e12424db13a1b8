#!/usr/bin/env python3
"""Adds up what contrib/test's stages left in build/results, names what failed and what was skipped and why.

  NAME.json      from meson (one JSON object per line and test program) or from tests/integration/run.py (a list)
  NAME/*.xml     from GoogleTest: the single tests of those programs

The last line is the sum. Exit status 1 when anything failed, or when nothing ran.
"""

import argparse
import json
import pathlib
import sys
import xml.etree.ElementTree as ElementTree

# meson's words for a test program's end that is no failure.
GOOD = {"OK": "passed", "EXPECTEDFAIL": "passed", "SKIP": "skipped"}


def googletest(file):
    """(name, outcome, reason) of each test of one program."""
    for case in ElementTree.parse(file).iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        skip = case.find("skipped")
        if case.find("failure") is not None:
            yield name, "failed", ""
        elif skip is not None or case.get("result") == "skipped":
            words = (skip.get("message") or skip.text or "") if skip is not None else ""
            # GoogleTest puts "file:line" on a line of its own before the reason.
            yield name, "skipped", words.strip().splitlines()[-1] if words.strip() else "no reason given"
        elif case.get("status") == "run":
            yield name, "passed", ""


def meson(record, folder):
    """One test program: its single tests when it left a record of them, else itself."""
    program = pathlib.Path(record["command"][0]).name
    outcome = GOOD.get(record["result"], "failed")
    inner = [test for file in sorted(folder.glob(f"{program}.xml")) for test in googletest(file)]
    if not inner:
        return [(record["name"], outcome, "")]
    if outcome == "failed" and not any(test[1] == "failed" for test in inner):
        inner.append((f"{program} itself ({record['result']})", "failed", ""))  # died after its last test
    return inner


def results(folder):
    for file in sorted(folder.glob("*.json")):
        text = file.read_text()
        if text.lstrip().startswith("["):
            tests = [(t["name"], t["result"], t["text"].splitlines()[0] if t["text"] else "") for t in json.loads(text)]
        else:
            tests = [t for line in text.splitlines() for t in meson(json.loads(line), folder / file.stem)]
        for name, outcome, reason in tests:
            yield f"{file.stem}: {name}", outcome, reason


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--results", type=pathlib.Path, required=True)
    parser.add_argument("--label", default="", help="words before the sum")
    parser.add_argument("--check", action="append", default=[], help="NAME=ok or NAME=failed")
    parser.add_argument("--skipped", action="append", default=[], help="NAME: reason")
    arguments = parser.parse_args()

    outcomes = list(results(arguments.results))
    for check in arguments.check:
        name, _, outcome = check.partition("=")
        outcomes.append((name, "passed" if outcome == "ok" else "failed", ""))
    for skipped in arguments.skipped:
        name, _, reason = skipped.partition(": ")
        outcomes.append((name, "skipped", reason))
    for wanted in ("skipped", "failed"):
        for name, outcome, reason in outcomes:
            if outcome == wanted:
                print(f"{wanted}: {name}" + (f" ({reason})" if reason and wanted == "skipped" else ""))
    count = {kind: sum(outcome == kind for _, outcome, _ in outcomes) for kind in ("passed", "failed", "skipped")}
    print(arguments.label + ", ".join(f"{number} {kind}" for kind, number in count.items()))
    return 1 if count["failed"] or not count["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
