#!/usr/bin/env python3
"""How many lines run as root, and whether SECURITY.md says so: check_root_lines.py TREE [--write].

Counted are lines that are neither blank nor comment: every file of src/enforcer, and of src/common whatever those
include, and what that includes in turn. It is counted generously: a header brings its foo.cc, and each file without
a header of its own that includes it, also where the linker leaves some of it out; so it never says too little. The
hosts.deny editor (a process of its own, without a capability, in a filter) is apart. Not counted: what is generated
from proto/, and libraries.
"""

import pathlib
import re
import sys

from check_tree import code_of

INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.M)
# Made while building: protoc's, and two that configure_file() makes of the .h.in of the same name.
GENERATED = re.compile(r"\w+\.pb\.h|build_paths\.h|enforcer/ruleset\.h")
EDITOR = re.compile(r"hosts_deny(_\w+)?\.(cc|h)")

LAUNCHER = "launcher and enforcer (`src/enforcer`)"
COMMON = "what these include of `src/common`"
TOGETHER = "together"
RULES = "the kernel's rules, loaded by nft (`src/enforcer/*.nft`)"
APART = "apart: the hosts.deny editor (`src/enforcer/hosts_deny*`)"


def lines_of(path):
    text = path.read_text()
    if path.suffix == ".nft":
        return sum(1 for line in text.splitlines() if line.strip() and not line.strip().startswith("#"))
    return sum(1 for line in code_of(text).splitlines() if line.strip())


def reached(tree, begin):
    """`begin` and all that it includes; and the names that no file of the tree has."""
    parts = [path for path in (tree / "src/common").glob("*.cc") if not path.with_suffix(".h").exists()]
    known, waiting, unknown = set(), list(begin), set()
    while waiting:
        path = waiting.pop()
        if path in known:
            continue
        known.add(path)
        if path.with_suffix(".cc").exists():
            waiting.append(path.with_suffix(".cc"))
        name = str(path.relative_to(tree / "src"))
        waiting += [part for part in parts if name in INCLUDE.findall(part.read_text())]
        for name in INCLUDE.findall(path.read_text()):
            if (tree / "src" / name).is_file():
                waiting.append(tree / "src" / name)
            elif not GENERATED.fullmatch(name):
                unknown.add(f"{path.relative_to(tree)} includes {name}, which is not in src/")
    return known, unknown


def count(tree):
    """Row -> lines, and what cannot be counted."""
    folder = tree / "src/enforcer"
    own = {path for path in folder.rglob("*") if path.suffix in (".cc", ".h")}
    editor = {path for path in own if EDITOR.fullmatch(path.name)}
    known, unknown = reached(tree, own - editor)
    common = {path for path in known if path.parent == tree / "src/common"}
    strange = known - own - common
    unknown |= {f"{path.relative_to(tree)} is of neither side" for path in strange}
    rows = {LAUNCHER: sum(map(lines_of, own - editor)), COMMON: sum(map(lines_of, common))}
    rows[TOGETHER] = rows[LAUNCHER] + rows[COMMON]
    rows[RULES] = sum(map(lines_of, folder.glob("*.nft")))
    rows[APART] = sum(map(lines_of, editor))
    return rows, sorted(unknown)


def stated(text):
    """Row -> what SECURITY.md says; a row that it has twice counts as not said."""
    found = {}
    for row in (LAUNCHER, COMMON, TOGETHER, RULES, APART):
        numbers = re.findall(rf"^\| {re.escape(row)} \| ([\d,]+) \|$", text, re.M)
        if len(numbers) == 1:
            found[row] = int(numbers[0].replace(",", ""))
    return found


def check(tree):
    rows, breaches = count(tree)
    if breaches:
        return rows, breaches
    said = stated((tree / "SECURITY.md").read_text())
    for row, number in rows.items():
        if said.get(row) != number:
            was = f"{said[row]:,}" if row in said else "nothing, or twice"
            breaches.append(f"SECURITY.md says {was} where the tree has `| {row} | {number:,} |`")
    return rows, breaches


def write(tree):
    path = tree / "SECURITY.md"
    text = path.read_text()
    for row, number in count(tree)[0].items():
        text = re.sub(rf"^(\| {re.escape(row)} \| )[\d,]+( \|)$", rf"\g<1>{number:,}\g<2>", text, flags=re.M)
    path.write_text(text)


def main():
    tree = pathlib.Path(sys.argv[1]).resolve()
    if sys.argv[2:] == ["--write"]:
        write(tree)
    rows, breaches = check(tree)
    for row, number in rows.items():
        print(f"{number:7,}  {row}")
    for breach in breaches:
        print(breach)
    if any("SECURITY.md" in breach for breach in breaches):
        print("Has root more to do than before? If that is meant: python3 -B tests/source/check_root_lines.py . --write")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
