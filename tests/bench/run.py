#!/usr/bin/env python3
"""Runs every benchmark of this directory and prints medians: sudo tests/bench/run.py [--build DIR] [PATTERN ...]

Builds what they need, then runs each bench_*.py and the compiled ones N times, one after the other. Each makes
network namespaces of its own and removes them. `--json FILE` appends one line for the machine and one for each
figure of each run; `--markdown FILE` writes the tables between the two marks of a file like docs/performance.md.
Nothing here passes or fails by a figure. Use a build with optimization, and a machine with nothing else to do.
"""

import argparse
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
TREE = HERE.parents[1]
PROGRAMS = ("portsentryd", "portsentry-monitor", "portsentry-sensor", "portsentry-resolver", "portsentry-scout",
            "portsentryctl")
GOOGLE = ("sensor_bench", "decide_bench")
TALKATIVE = ("trap_bench", "ban_bench", "store_bench")  # print for people only: shown as they are, once
# What --quick is to scripts that know no such word.
QUICKLY = {"bench_reaction": ("--bans", "10")}
LIMIT = 1800  # seconds; what takes longer hangs
BEGIN, END = "<!-- figures: written by tests/bench/run.py -->", "<!-- end of figures -->"


def output(argv):
    try:
        return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                              check=False, timeout=60).stdout.strip()
    except OSError:
        return ""


def machine(build):
    cpu = re.search(r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    system = re.search(r'^PRETTY_NAME="(.*)"$', pathlib.Path("/etc/os-release").read_text(), re.M)
    options = {option["name"]: option["value"]
               for option in json.loads(output(["meson", "introspect", "--buildoptions", str(build)]) or "[]")}
    # Whoever owns the tree has made it, maybe not the root who runs this.
    commit = output(["git", "-c", f"safe.directory={TREE}", "-C", str(TREE), "describe", "--always", "--dirty"])
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "commit": commit,
        "cpu": f"{os.cpu_count()} x {cpu[1] if cpu else platform.machine()}",
        "kernel": platform.release(),
        "system": system[1] if system else "",
        "nft": output(["nft", "--version"]),
        "build": f"{options.get('buildtype', '')}, {'sanitized' if options.get('b_sanitize', 'none') != 'none' else 'plain'}",
        "load": round(os.getloadavg()[0], 2),
    }


def compile_all(build):
    """Everything under tests/bench, and what its scripts start."""
    # First what meson knows: a target may be newer than that.
    subprocess.run(["ninja", "-C", str(build), "build.ninja"], check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL)
    targets = json.loads(output(["meson", "introspect", "--targets", str(build)]) or "[]")
    files = [pathlib.Path(name).relative_to(build) for target in targets for name in target["filename"]
             if target["type"] == "executable"]
    wanted = [str(name) for name in files if name.parts[:2] == ("tests", "bench") or
              str(name) in (*PROGRAMS, "tests/integration/flood")]
    subprocess.run(["ninja", "-C", str(build), *wanted], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return {pathlib.Path(name).name for name in wanted}


# ---- One run ------------------------------------------------------------------------------------------------

def run_script(path, arguments, lines):
    known = output([sys.executable, "-B", str(path), "--help"])
    argv = [sys.executable, "-B", str(path), "--build", str(arguments.build), "--json", lines]
    if "--runs" in known:
        argv += ["--runs", "1"]
    if arguments.quick:
        argv += QUICKLY.get(path.stem, ["--quick"] if "--quick" in known else [])
    return argv


def run_google(path, arguments, lines):
    return [path, f"--benchmark_out={lines}", "--benchmark_out_format=json",
            f"--benchmark_min_time={0.05 if arguments.quick else 0.5}"]


def run_program(path, _, lines):
    return [path, "--json", lines]


def read_lines(name, text):
    """One object for each figure, whoever wrote it."""
    if name in GOOGLE:
        for item in json.loads(text)["benchmarks"]:
            yield {"bench": name, "what": item["name"], "ns": item["cpu_time"]}
        return
    for line in text.splitlines():
        row = json.loads(line)
        if len(row) > 1:
            yield {"bench": row.get("bench", name)} | row


def once(name, argv_of, path, arguments):
    with tempfile.NamedTemporaryFile("r", prefix="portsentry-bench-") as lines:
        begin = time.monotonic()
        try:
            done = subprocess.run(argv_of(path, arguments, lines.name), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, check=False, timeout=LIMIT, errors="replace")
            status, said = done.returncode, done.stdout
        except subprocess.TimeoutExpired:
            status, said = 1, f"no end after {LIMIT} s"
        print(f"{name}: {time.monotonic() - begin:.0f} s" + (f", exit status {status}" if status else ""), flush=True)
        for line in said.splitlines():
            if status or "skipped" in line:
                print(f"    {line}", flush=True)
        return (list(read_lines(name, lines.read())) if status == 0 else []), said


# ---- Medians and tables ---------------------------------------------------------------------------------------

def medians(runs):
    """Rows with the same place and the same words are the same figure. Of what is called the worst: the worst."""
    found = {}
    for rows in runs:
        for place, row in enumerate(rows):
            words = tuple((key, value) for key, value in row.items() if isinstance(value, (str, bool)))
            found.setdefault((place, words), []).append(row)

    def together(key, value, rows):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return value
        return (max if key.endswith("worst") else statistics.median)(row[key] for row in rows)

    return [{key: together(key, value, rows) for key, value in rows[0].items()}
            for rows in found.values() if all(rows[0].keys() == row.keys() for row in rows)]


def cell(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def tables(rows):
    """One for each set of columns, readable as they are and as Markdown."""
    groups = {}
    for row in rows:
        groups.setdefault((row["bench"], tuple(key for key in row if key != "bench")), []).append(row)
    for (bench, columns), members in groups.items():
        cells = [list(columns)] + [[cell(row[key]) for key in columns] for row in members]
        numbers = [all(isinstance(row[key], (int, float)) for row in members) for key in columns]
        width = [max(len(line[i]) for line in cells) for i in range(len(columns))]
        lines = ["| " + " | ".join(text.rjust(width[i]) if numbers[i] else text.ljust(width[i])
                                   for i, text in enumerate(line)) + " |" for line in cells]
        rule = "|" + "|".join("-" * (width[i] + 1) + ":" if numbers[i] else "-" * (width[i] + 2)
                              for i in range(len(columns))) + "|"
        yield bench, "\n".join([lines[0], rule, *lines[1:]])


def report(described, runs, rows):
    text = [f"{described['cpu']}; Linux {described['kernel']}; {described['system']}; {described['nft']}; build: "
            f"{described['build']}; commit {described['commit']}, {described['date']}; medians of {runs} runs; load at the "
            f"beginning {described['load']}."]
    last = None
    for bench, table in tables(rows):
        if bench != last:
            text.append(f"### {bench}")
            last = bench
        text.append(table)
    return "\n\n".join(text) + "\n"


def write_between_marks(path, text):
    old = path.read_text() if path.exists() else f"{BEGIN}\n{END}\n"
    head, begin, rest = old.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{path} has no marks:\n{BEGIN}\n{END}")
    path.write_text(f"{head}{BEGIN}\n\n{text}\n{END}{tail}")


def main():
    parser = argparse.ArgumentParser(description="every benchmark, in network namespaces of its own (needs root)")
    parser.add_argument("--build", type=pathlib.Path, default=TREE / "build", help="build directory (meson setup was run)")
    parser.add_argument("--runs", type=int, default=3, help="medians of so many runs (default 3)")
    parser.add_argument("--quick", action="store_true", help="less of everything, one run: does it work?")
    parser.add_argument("--json", type=pathlib.Path, help="append every figure of every run to this file")
    parser.add_argument("--markdown", type=pathlib.Path, help="write the tables between the marks of this file")
    parser.add_argument("--list", action="store_true", help="print the names")
    parser.add_argument("patterns", nargs="*", help="those whose name contains one of these")
    arguments = parser.parse_args()
    arguments.build = arguments.build.resolve()
    runs = 1 if arguments.quick else max(arguments.runs, 1)

    def chosen(name):
        return not arguments.patterns or any(pattern in name for pattern in arguments.patterns)

    scripts = [path for path in sorted(HERE.glob("bench_*.py")) if path.stem != "bench_lab" and chosen(path.stem)]
    programs = [name for name in ("hops_bench", *GOOGLE) if chosen(name)]
    talkative = [name for name in TALKATIVE if chosen(name)]
    if arguments.list:
        print("\n".join([*(path.stem for path in scripts), *programs, *talkative]))
        return 0
    if os.geteuid() != 0:
        print("network namespaces need root: run it with sudo", file=sys.stderr)
        return 77
    built = compile_all(arguments.build)
    described = machine(arguments.build)
    print(json.dumps(described), flush=True)

    everything, failed = [], []
    work = [(path.stem, run_script, path) for path in scripts]
    for name in programs:
        if name in built:
            work.append((name, run_google if name in GOOGLE else run_program, arguments.build / "tests/bench" / name))
        else:
            print(f"{name}: skipped, not built (libbenchmark-dev?)", flush=True)
    rows = []
    for name, argv_of, path in work:
        got = []
        for number in range(runs):
            figures, _ = once(name, argv_of, path, arguments)
            if not figures:
                failed.append(name)
                break
            got.append(figures)
            everything += [{"run": number} | row for row in figures]
        rows += medians(got)
    text = report(described, runs, rows)
    print("\n" + text, flush=True)
    for name in talkative:
        if name in built and not arguments.quick:
            _, said = once(name, lambda path, *_: [path], arguments.build / "tests/bench" / name, arguments)
            print("".join(f"    {line}\n" for line in said.splitlines()), flush=True)
    if arguments.json:
        with open(arguments.json, "a", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in [{"machine": described}, *everything])
    if arguments.markdown:
        write_between_marks(arguments.markdown, text)
    print(f"load at the end {os.getloadavg()[0]:.2f}" + (f"; did not work: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
