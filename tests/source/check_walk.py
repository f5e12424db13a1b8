#!/usr/bin/env python3
"""docs/audit-walk.md against the tree: check_walk.py TREE. Prints one breach per line.

Every question (a heading of the third level) has an answer, names a file and a test; every file that the text names exists;
every test is in the file that is said to hold it: TEST, TEST_F or TEST_P(Suite, Name) of a .cc, a method of a class of a
.py. A fuzzer is named by "the corpus" and is one where tests/fuzz/meson.build knows it.
"""

import pathlib
import re
import sys

QUESTION = re.compile(r"^### (.+)$", re.M)
FILE = re.compile(r"`((?:src|proto|tests|etc|contrib|docs)/[\w./-]+)`")
FILES = re.compile(r"^- File: `[^`]+`(?:, `[^`]+`)*$")
TEST = re.compile(r"^- Test: `([^`]+)`: (.+)$")
NAMES = re.compile(r"`(\w+)\.(\w+)`(?:, (?=`)|$)")


def tests_of(path):
    """{(suite, name)} of one file of tests."""
    text = path.read_text()
    if path.suffix == ".cc":
        return set(re.findall(r"^TEST(?:_[FP])?\(\s*(\w+),\s*(\w+)\s*\)", text, re.M))
    found = set()
    for head, body in re.findall(r"^class (\w+)[^\n]*:\n(.*?)(?=^\S|\Z)", text, re.M | re.S):
        found |= {(head, name) for name in re.findall(r"^    def (test_\w+)\(", body, re.M)}
    return found


def check_test(tree, path, names):
    if not (tree / path).is_file():
        return []  # said already
    if names == "the corpus":
        fuzzer = re.fullmatch(r"tests/fuzz/(\w+)_fuzz\.cc", path)
        known = (tree / "tests/fuzz/meson.build").read_text()
        return [] if fuzzer and f"['{fuzzer[1]}'," in known else [f"{path} is no fuzzer of tests/fuzz/meson.build"]
    pairs = NAMES.findall(names)
    if ", ".join(f"`{suite}.{name}`" for suite, name in pairs) != names:
        return [f"{path}: {names!r} is no list of `Suite.Name`"]
    known = tests_of(tree / path)
    return [f"{path} has no test {suite}.{name}" for suite, name in pairs if (suite, name) not in known]


def check(tree):
    text = (tree / "docs/audit-walk.md").read_text()
    breaches = [f"{name} does not exist" for name in sorted(set(FILE.findall(text))) if not (tree / name).exists()]
    parts = QUESTION.split(text)
    if len(parts) == 1:
        breaches.append("there is no question")
    for question, answer in zip(parts[1::2], parts[2::2]):
        lines = [line for line in answer.splitlines() if line.strip() and not line.startswith("#")]
        if not any(not line.startswith("- ") for line in lines):
            breaches.append(f"{question!r} has no answer")
        if not any(FILES.match(line) for line in lines):
            breaches.append(f"{question!r} names no file")
        tests = [found for line in lines if (found := TEST.match(line))]
        if not tests:
            breaches.append(f"{question!r} names no test")
        for found in tests:
            breaches += check_test(tree, found[1], found[2])
        for line in lines:
            if line.startswith("- ") and not FILES.match(line) and not TEST.match(line):
                breaches.append(f"{question!r}: {line!r} is neither a File nor a Test")
    return breaches


def main():
    breaches = check(pathlib.Path(sys.argv[1]))
    for breach in breaches:
        print(breach)
    print(f"{len(breaches)} breaches")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
