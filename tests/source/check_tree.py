#!/usr/bin/env python3
"""Rules of the tree that a machine can hold: check_tree.py TREE. Prints FILE:LINE: rule, one per breach.

Comments count as text here only where the rule says so: calls and includes are looked for in code alone.
"""

import pathlib
import re
import sys

# Each side of the boundary may include itself and common/; common/ knows nobody.
SIDES = ("enforcer", "monitor", "sensor", "resolver", "scout", "ctl")

# Files without a test of their own name: programs that read aloud, and tables and glue that the tests of
# whole processes hold (tests/sandbox, tests/integration).
UNTESTED = {
    "main.cc": "a script; tests/integration runs it",
    "policy.cc": "a table; tests/sandbox holds every row",
}
# Single files, with the test that does it instead (below tests/).
TESTED_ELSEWHERE = {
    "common/lockdown.cc": "sandbox/lockdown_test.cc",
    "common/seccomp.cc": "sandbox/filter_test.cc",
    "common/sanitizer_defaults.cc": "integration/run.py",  # only sanitizer builds link it; all of them need it
    "enforcer/hosts_deny_policy.cc": "sandbox/hosts_deny_policy_test.cc",
    "ctl/check.cc": "integration/test_ctl.py",  # runs another program
    # Making and ending processes, and what root prepares for them: only the whole daemon shows it.
    "enforcer/launcher.cc": "integration/test_lifecycle.py",
    "enforcer/launcher_reload.cc": "integration/test_captured.py",
    "enforcer/launcher_scout.cc": "integration/test_protected.py",
    "enforcer/prepare.cc": "integration/test_errors.py",
    "enforcer/serve.cc": "integration/test_processes.py",
    # The parts of one store: its tests go through the whole of it.
    "monitor/sqlite.cc": "monitor/store_rows_test.cc",
    "monitor/store_read.cc": "monitor/store_test.cc",
    "monitor/store_schema.cc": "monitor/store_open_test.cc",
    "resolver/lookup.cc": "integration/test_resolver.py",  # needs a name server
    "scout/serve.cc": "integration/test_protected.py",
    "sensor/serve.cc": "integration/test_processes.py",
}

SHELL = re.compile(r"(?<![\w.>:])(?:std)?(?:::)?(system|popen|execl[pe]?|execvp|execvpe|posix_spawnp|wordexp)\s*\(")
# Also by their address or their number, and whatever stands before the name: who makes a program is named here.
EXECUTES = re.compile(r"\b(execve(?:at)?|execv|fexecve|posix_spawn|SYS_execve(?:at)?|__NR_execve(?:at)?)\b(?!_)")
MAY_EXECUTE = {
    "enforcer/roles.cc": "our own processes, by descriptor",
    "enforcer/commands.cc": "the owner's commands, and the one shell of the launcher",
    "ctl/check.cc": "portsentryd -t, as whoever calls portsentryctl",
}
# The shell of the owner's own templates, twice: for a text that needs one, and for a script without "#!".
SHELL_PATH = re.compile(r'"(?:[^"\\\n]|\\.)*?\b(?:/bin/|/usr/bin/|/usr/bin/env )?(?:ba|da|z|k)?sh"')
MAY_NAME_A_SHELL = {
    "enforcer/commands.cc": 'constexpr char kShell[] = "/bin/sh";',
    "common/templates.cc": '{"/bin/sh", "-c", ',
}
INCLUDE = re.compile(r'^\s*#\s*include\s*["<]([^">]+)[">]')
ANY_INCLUDE = re.compile(r"^\s*#\s*(?:include|include_next|import|embed)\b")
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
VERBS = re.compile(r"oneof verb \{(.*?)\}", re.S)
VERB = re.compile(r"^\s*(\w+) \w+ = \d+;", re.M)
NAMED_FILE = re.compile(r"`((?:src|proto|tests|etc|contrib|docs)/[\w./*-]+)")
AVOIDED = re.compile(r"<(iostream|fstream|sstream|regex|format|thread|mutex|filesystem)>")
TEXT = {".cc", ".h", ".py", ".build", ".proto", ".nft", ".conf", ".ignore", ".sh", ".in", ".md"}


def code_of(text):
    """The same lines with comments and the inside of string literals blanked."""
    def blank(match):
        whole = match.group(0)
        if whole.startswith('"'):
            return '"' + " " * (len(whole) - 2) + '"'
        if whole.startswith("'"):
            return whole  # a character, which may be a quotation mark
        return "".join("\n" if c == "\n" else " " for c in whole)

    return re.sub(r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])'""", blank, text, flags=re.S)


class Checker:
    def __init__(self, tree):
        self.tree = tree
        self.breaches = []

    def say(self, path, line, rule):
        self.breaches.append(f"{path.relative_to(self.tree)}:{line}: {rule}")

    def check_source(self, path, side):
        text = path.read_text()
        for number, line in enumerate(code_of(text).splitlines(), 1):
            if call := SHELL.search(line):
                self.say(path, number, f"{call[1]}() would search $PATH or start a shell")
            if (call := EXECUTES.search(line)) and f"{side}/{path.name}" not in MAY_EXECUTE:
                self.say(path, number, f"{call[1]}: only {', '.join(MAY_EXECUTE)} execute programs")
        self.check_shell(path, side, text)
        wire = side == "common" and re.fullmatch(r"wire(_\w+)?\.(cc|h)", path.name)
        for number, line in enumerate(text.splitlines(), 1):
            found = INCLUDE.match(line)
            if not found:
                if ANY_INCLUDE.match(line):
                    self.say(path, number, "an include names its file, so that it can be judged")
                continue
            name = found[1]
            # A header of wire*.cc that sees them shows them to whoever includes it.
            shows = name != "common/wire.h" and re.fullmatch(r"common/wire_\w+\.h", name)
            if (name.endswith(".pb.h") or shows) and not wire:
                self.say(path, number, "only wire*.cc see generated protobuf headers")
            elif name.endswith(".pb.h") and path.name == "wire.h":
                self.say(path, number, "wire.h, which all sides include, shows no generated protobuf header")
            if ".." in name.split("/"):
                self.say(path, number, "an include begins at src/, so that its side can be seen")
            if AVOIDED.search(line):
                self.say(path, number, f"<{name}> is not used here (STYLE: what to avoid)")
            other = name.split("/")[0]
            if other in SIDES and other != side:
                self.say(path, number, f"src/{side} may not include {other}/")

    def check_shell(self, path, side, text):
        without_comments = re.sub(r"//[^\n]*", "", text)
        allowed = MAY_NAME_A_SHELL.get(f"{side}/{path.name}", "\0")
        for number, line in enumerate(without_comments.splitlines(), 1):
            if SHELL_PATH.search(line.replace(allowed, "", 1)):
                self.say(path, number, "a shell: the one of the launcher is in " + " and ".join(MAY_NAME_A_SHELL))

    def check_links(self, side):
        """No side links another one's library: what is not included could still be declared by hand."""
        path = self.tree / "src" / side / "meson.build"
        for number, line in enumerate(path.read_text().splitlines() if path.is_file() else (), 1):
            for library, other in {**{name: name for name in SIDES}, "capture": "sensor"}.items():
                if other != side and re.search(rf"\b(dependencies|link_with|objects)\b.*\b{library}(_lib)?\b", line):
                    self.say(path, number, f"src/{side} may not link {other}")

    def check_has_test(self, path, side):
        name = f"{side}/{path.name}"
        if path.name in UNTESTED:
            return
        if name in TESTED_ELSEWHERE:
            if not (self.tree / "tests" / TESTED_ELSEWHERE[name]).is_file():
                self.say(path, 1, f"tests/{TESTED_ELSEWHERE[name]} should test it and is missing")
            return
        stem = path.stem
        # One class, written in several files by subject: foo.h, foo.cc, foo_subject.cc. Its test may be
        # written by subject too, or be one.
        stems = [stem]
        while "_" in stems[-1] and not path.with_name(f"{stems[-1]}.h").exists():
            stems.append(stems[-1].rpartition("_")[0])
        if not path.with_name(f"{stems[-1]}.h").exists():
            stems = [stem]
        names = [f"{s}{kind}_test.cc" for s in stems for kind in ("", "_root")]
        tests = [test for name in names if (test := self.tree / "tests" / side / name).exists()]
        if not tests:
            self.say(path, 1, f"has no tests/{side}/{stem}_test.cc")
        elif not any(re.search(r"\bTEST(_[FP])?\s*\(", test.read_text()) for test in tests):
            self.say(tests[0], 1, "holds no test")

    def check_text(self, path):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if "\t" in line:
                self.say(path, number, "a tab")
            if line != line.rstrip():
                self.say(path, number, "blanks at the end of the line")
            if path != pathlib.Path(__file__).resolve() and (found := UNFINISHED.search(line)):
                self.say(path, number, f"{found[0]}: nothing half-made lands")

    def check_readme(self):
        """What an auditor reads there is all there is: every verb is in its table, every file that it names exists."""
        path = self.tree / "README.md"
        text = path.read_text() if path.is_file() else ""
        tables = "\n".join(line for line in text.splitlines() if line.startswith("|"))
        for proto in sorted((self.tree / "proto").glob("*.proto")):
            for verb in (name for verbs in VERBS.findall(proto.read_text()) for name in VERB.findall(verbs)):
                if not re.search(rf"\b{verb}\b", tables):
                    self.say(proto, 1, f"{verb} is not in the README's message table")
        for number, line in enumerate(text.splitlines(), 1):
            for name in NAMED_FILE.findall(line):
                if not any(self.tree.glob(name)):
                    self.say(path, number, f"{name} does not exist")

    def run(self):
        for folder in sorted((self.tree / "src").glob("*/")):
            if folder.is_dir() and folder.name not in ("common", *SIDES):
                self.say(folder, 1, "is no side that this check knows")
        for side in ("common", *SIDES):
            self.check_links(side)
            for path in sorted((self.tree / "src" / side).rglob("*")):
                if path.suffix in (".cc", ".h") or path.name.endswith(".h.in"):
                    self.check_source(path, side)
                elif path.suffix in (".c", ".cpp", ".cxx", ".hpp", ".hh", ".inc", ".ipp"):
                    self.say(path, 1, "is named .cc or .h, or no rule would look at it")
                if path.suffix == ".cc":
                    self.check_has_test(path, side)
        self.check_readme()
        roots = ("src", "proto", "tests", "etc", "contrib", ".ci")
        # tests/data and corpora hold broken files on purpose.
        apart = {self.tree / "tests/data", self.tree / "tests/fuzz/corpus"}
        scripts = {self.tree / name for name in ("contrib/test", "contrib/demo", ".ci/run", "contrib/packages")}
        for folder in roots:
            for path in sorted((self.tree / folder).rglob("*")):
                if path.is_file() and not apart & set(path.parents) and (path.suffix in TEXT or path in scripts):
                    self.check_text(path)
        return self.breaches


def main():
    breaches = Checker(pathlib.Path(sys.argv[1]).resolve()).run()
    for breach in breaches:
        print(breach)
    print(f"{len(breaches)} breaches")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
