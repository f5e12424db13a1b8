#!/usr/bin/env python3
"""The man pages against the code: check_man.py TREE, or check_man.py --lint TREE. Prints one breach per line.

Every key of the configuration, every option of portsentryd, every verb and flag of portsentryctl, every exit
status, every process and every channel is in its page, and the pages name no others. Defaults are those that
etc/portsentry.conf names. --lint asks mandoc, and ends with 77 (skipped) where that is not installed.
"""

import pathlib
import re
import shutil
import subprocess
import sys

PAGES = ("portsentryd.8", "portsentryctl.8", "portsentry.conf.5", "portsentry-privsep.7")
FIELDS = {"Default", "Range", "Example", "1.2", "2.x"}  # of each key; "Shipped" where that is another value
FOREIGN = "No such key"  # how the field of a PortSentry that lacks the key begins
MACROS = {"Ar", "Cm", "Dv", "Ev", "Fl", "Nm", "Op", "Pa", "Ql", "Sx", "Xr"}
SKIPPED = 77


# ---- mdoc ------------------------------------------------------------------------------------------------

def plain(text):
    """What the escapes of our pages stand for: continued lines, places to break, double quotes."""
    return re.sub(r"\\\n|\\:", "", text).replace("\\(dq", '"').replace("\\&", "").replace("\\e", "\\")


def section(page, name):
    found = re.search(rf"^\.Sh {re.escape(name)}\n(.*?)(?=^\.Sh |\Z)", page, re.S | re.M)
    return found[1] if found else ""


def heads(text):
    """The heads of list items; one between Xo and Xc as one line."""
    return [" ".join((match[1] or match[2]).lstrip(".").replace("\n.", " ").split())
            for match in re.finditer(r"^\.It (?:Xo\n((?:\..*\n)*?)\.Xc|(.*))$", text, re.M)]


def arguments(line, macro):
    """What stands behind `macro` in a line of macros: [(argument, the Ar behind it or "")]."""
    found, now = [], ""
    for word in line.lstrip(".").split():
        if word in MACROS:
            now = word
        elif re.fullmatch(r"[|.,;:()]+", word):
            continue
        elif now == macro:
            found.append([word, ""])
        elif now == "Ar" and found and not found[-1][1]:
            found[-1][1] = word
    return [tuple(each) for each in found]


def flags_of(line):
    """Options as they are typed: {"--only": "class", "-f": "file"}."""
    return {f"-{name}": value for name, value in arguments(line, "Fl")}


def all_flags(page):
    return {flag for line in page.splitlines() if line.startswith(".") and " Fl " in f" {line[1:]} "
            for flag in flags_of(line)}


# ---- portsentry.conf(5) -------------------------------------------------------------------------------------

def code_keys(config_cc, constants):
    """{key: (origin, known to 2.x, numbers that its range must name)}"""
    two = re.search(r"kTwoKeys\{(.*?)\}", config_cc, re.S)[1]
    keys = {}
    for row in re.finditer(r'Row\{\{"(\w+)", \w+, (\w+)\},(.*?)\}\},', config_cc, re.S):
        number = re.search(r"read_number\(e, ([\w']+), ([\w']+),", row[3])
        limits = [constants.get(word, word.replace("'", "")) for word in number.groups()] if number else []
        keys[row[1]] = (row[2], f'"{row[1]}"' in two, limits)
    return keys


def constants_of(text):
    return {name: value.replace("'", "") for name, value in re.findall(r"\b(k\w+) = ([\d']+);", text)}


def shipped_file(conf):
    """{key: (default that its comment names or None, value)}. A key that is "the same" has the default of the one
    before it, and a section may name one for all of its keys."""
    keys, comment, default, second, of_section = {}, [], None, None, None
    for line in conf.splitlines():
        found = re.match(r'(\w+)="([^"]*)"$', line)
        if line.startswith("#"):
            if line.startswith("# ----"):
                of_section = None
            if re.search(r"\bdefault of each\b", line):
                of_section = ""
            comment.append(line)
        elif not found:
            comment = []
        else:
            text = "\n".join(comment)
            named = re.search(r'Default:\s*"([^"]*)"(?: and "([^"]*)")?', text)
            if named:
                default, second = named[1], named[2]
            elif re.match(r"# The same for", text):
                default, second = second if second is not None else default, None
            else:
                default = of_section
            keys[found[1]], comment = (default, found[2]), []
    return keys


def page_keys(page):
    """{key: {field: text}}"""
    keys = {}
    for name, text in re.findall(r"^\.It Cm ([A-Z_]+)\n(.*?)(?=^\.It Cm [A-Z_]+\n|^\.Sh |\Z)", page, re.S | re.M):
        fields = re.findall(r"^\.It (Default|Shipped|Range|Example|1\.2|2\.x)\n(.*?)(?=^\.It |^\.El)", text,
                            re.S | re.M)
        keys[name] = {label: plain(value).strip() for label, value in fields}
    return keys


def value_of(field):
    """The value that a Default or Shipped field begins with; None where it begins with none."""
    if re.match(r"Empty\b", field):
        return ""
    found = re.match(r'\.Ql (?:"(.*?)"|(\S+))(?: [.:])?$', field.splitlines()[0] if field else "")
    return (found[1] or found[2]) if found else None


def check_keys(page, code, shipped):
    documented = page_keys(page)
    for key in sorted(code.keys() - documented.keys()):
        yield f"{key} is not in the page"
    for key in sorted(documented.keys() - code.keys()):
        yield f"{key} is no key of the code"
    for key in sorted(code.keys() & documented.keys()):
        fields, (origin, in_two, limits) = documented[key], code[key]
        missing = sorted(FIELDS - fields.keys())
        if missing:
            yield f"{key}: without {', '.join(missing)}"
            continue
        default, value = shipped.get(key, (None, None))
        if value is None:
            yield f"{key}: is not in etc/portsentry.conf"
        elif default is None:
            yield f"{key}: etc/portsentry.conf names no default"
        else:
            told = value_of(fields["Default"])
            if told != default:
                yield f"{key}: default {told!r}, and {default!r} in etc/portsentry.conf"
            told = value_of(fields["Shipped"]) if "Shipped" in fields else told
            if told != value:
                yield f"{key}: shipped value {told!r}, and {value!r} in etc/portsentry.conf"
        for limit in limits:
            if not re.search(rf"\b{limit}\b", fields["Range"]):
                yield f"{key}: its range does not name {limit}"
        if not re.match(rf'\.Ql "?{key}=".*""?$', fields["Example"]):
            yield f"{key}: its example is no line of a configuration"
        for generation, has in (("1.2", origin == "classic"), ("2.x", in_two)):
            if fields[generation].startswith(FOREIGN) == has:
                yield f"{key}: {'known' if has else 'unknown'} to {generation}, and the page says otherwise"


def check_names(page, keys):
    """No page names a key that there is not."""
    for name in sorted(set(re.findall(r"\bCm (?:\( )?([A-Z][A-Z_]+)\b", page)) - set(keys)):
        yield f"{name} is no key of the code"


# ---- portsentryd(8) -----------------------------------------------------------------------------------------

def code_options(options_cc):
    """{option: whether it takes a value}"""
    return {word: bool(value) for word, value in re.findall(r'\bWord\{"(-[\w-]+)", Kind::\w+(, true)?\}', options_cc)}


def check_options(page, code):
    documented = {}
    for name in ("MODES", "OPTIONS"):
        for head in heads(section(page, name)):
            documented.update(flags_of(head))
    for option in sorted(code.keys() - documented.keys()):
        yield f"{option} is not in the page"
    for option in sorted((documented.keys() | all_flags(page)) - code.keys()):
        yield f"{option} is no option of the code"
    for option in sorted(code.keys() & documented.keys()):
        if code[option] != bool(documented[option]):
            yield f"{option}: takes {'a' if code[option] else 'no'} value, and the page says otherwise"


def check_signals(page, launcher_cc):
    handled = set(re.search(r"const int signal : \{(.*?)\}", launcher_cc)[1].split(", ")) - {"SIGCHLD"}
    told = set(re.findall(r"\bSIG[A-Z]+\b", " ".join(heads(section(page, "SIGNALS")))))
    if handled != told:
        yield f"signals {' '.join(sorted(told))}, and {' '.join(sorted(handled))} in the code"


# ---- portsentryctl(8) ---------------------------------------------------------------------------------------

def code_verbs(verbs_cc, arguments_cc):
    """{flag: value}, {verb: (operands, {flags})}, {what is typed in a verb's place}"""
    rows = re.findall(r'FlagRow\{Flag::(\w+), "(-[\w-]+)", "(\w*)"', verbs_cc)
    name = {word: flag for word, flag, _ in rows}
    arrays = {array: {name[flag] for flag in re.findall(r"Flag::(\w+)", words)}
              for array, words in re.findall(r"constexpr std::array (k\w+)\{((?:Flag::\w+(?:, )?)+)\};", verbs_cc)}
    verbs = {verb: (operands, arrays[array]) for verb, operands, array in
             re.findall(r'VerbRow\{\s*Verb::\w+, "(\w+)", "([^"]*)", Operand::\w+,\s*(k\w+),', verbs_cc)}
    instead = set(re.findall(r'== "(--?\w[\w-]*)"', arguments_cc))
    return {flag: value.lower() for _, flag, value in rows}, verbs, instead


def check_verbs(page, flags, verbs, instead):
    documented = {}
    for head in heads(section(page, "VERBS")):
        operands, _, options = head.partition("Op Fl ")
        words = [word for word in operands.split() if word not in MACROS]
        documented[words[0]] = ("".join(words[1:]), set(flags_of("Fl " + options)) if options else set())
    for verb in sorted(verbs.keys() - documented.keys()):
        yield f"verb {verb} is not in the page"
    for verb in sorted(documented.keys() - verbs.keys()):
        yield f"{verb} is no verb of the code"
    for verb in sorted(verbs.keys() & documented.keys()):
        operands = re.sub(r"[\[\] ]", "", verbs[verb][0]).lower()
        if operands != documented[verb][0]:
            yield f"{verb}: operands {documented[verb][0]!r}, and {operands!r} in the code"
        if verbs[verb][1] != documented[verb][1]:
            yield f"{verb}: flags {sorted(documented[verb][1])}, and {sorted(verbs[verb][1])} in the code"
    told = {}
    for head in heads(section(page, "FLAGS")):
        told.update(flags_of(head))
    for flag in sorted((flags.keys() | instead) - told.keys()):
        yield f"flag {flag} is not in the page"
    for flag in sorted((told.keys() | all_flags(page)) - flags.keys() - instead):
        yield f"{flag} is no flag of the code"
    for flag in sorted(flags.keys() & told.keys()):
        if flags[flag] != told[flag]:
            yield f"{flag}: value {told[flag]!r}, and {flags[flag]!r} in the code"


# ---- All of them ----------------------------------------------------------------------------------------------

def check_exits(page, statuses):
    told = set(heads(section(page, "EXIT STATUS")))
    if told != statuses:
        yield f"exit statuses {' '.join(sorted(told, key=int))}, and {' '.join(sorted(statuses, key=int))} in the code"


def check_processes(page, roles_cc, readme):
    for title, binary, user in re.findall(r'Role\{RoleId::\w+,\s*"([^"]+)",\s*"([^"]+)",\s*"([^"]+)"', roles_cc):
        for name in {binary, user} - {"nft", "root"}:
            if not re.search(rf"^\.Ql {re.escape(name)}( [.,:;])?$", page, re.M):
                yield f"{name}, of {title}, is not in the page"
    told = set(re.findall(r"\((\w)\)", " ".join(heads(page))))
    channels = set(re.findall(r"^\| (\w) (?:down|up)\b", readme, re.M))
    if told != channels:
        yield f"channels {' '.join(sorted(told))}, and {' '.join(sorted(channels))} in README.md"


def check_references(page, pages):
    for name, number in re.findall(r"\bXr (portsentry\S*) (\d)", page):
        if f"{name}.{number}" not in pages:
            yield f"refers to {name}({number}), which there is not"


def check(tree):
    def read(path):
        return (tree / path).read_text()

    pages = {name: read(f"man/{name}") for name in PAGES}
    constants = constants_of("".join(path.read_text() for path in sorted((tree / "src/common").glob("*.*"))
                                     if path.suffix in (".h", ".cc")))
    keys = code_keys(read("src/common/config.cc"), constants)
    options = code_options(read("src/enforcer/options.cc"))
    flags, verbs, instead = code_verbs(read("src/ctl/verbs.cc"), read("src/ctl/arguments.cc"))
    exits = dict(re.findall(r"\b(kExit\w+) = (\d+)", read("src/common/log.h")))
    ctl_exits = {exits["kExitOk"], exits["kExitUsage"], *re.findall(r"\bkExit\w+ = (\d+)", read("src/ctl/client.h"))}
    conf, daemon, ctl, privsep = (pages[name] for name in
                                  ("portsentry.conf.5", "portsentryd.8", "portsentryctl.8", "portsentry-privsep.7"))
    found = {name: [] for name in PAGES}
    found["portsentry.conf.5"] += check_keys(conf, keys, shipped_file(read("etc/portsentry.conf")))
    found["portsentry.conf.5"] += [f"{flag} is no option of portsentryd"
                                   for flag in sorted(all_flags(conf) - options.keys())]
    found["portsentryd.8"] += check_options(daemon, options)
    found["portsentryd.8"] += check_signals(daemon, read("src/enforcer/launcher.cc"))
    found["portsentryd.8"] += check_exits(daemon, set(exits.values()))
    found["portsentryctl.8"] += check_verbs(ctl, flags, verbs, instead)
    found["portsentryctl.8"] += check_exits(ctl, ctl_exits)
    found["portsentry-privsep.7"] += check_processes(privsep, read("src/enforcer/roles.cc"), read("README.md"))
    for name, page in pages.items():
        found[name] += check_names(page, keys)
        found[name] += check_references(page, PAGES)
        if f"'man/{name}'" not in read("meson.build"):
            found[name].append("is not installed by meson.build")
    for path in sorted((tree / "man").iterdir()):
        if path.name not in PAGES:
            found[path.name] = ["is no page that check_man.py knows"]
    return [f"man/{name}: {breach}" for name, breaches in found.items() for breach in breaches]


def lint(tree):
    """What mandoc says of the pages. Whether a page that we refer to is installed here is not for them to say."""
    done = subprocess.run(["mandoc", "-T", "lint", *(f"man/{name}" for name in PAGES)], cwd=tree, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    said = [line for line in done.stdout.splitlines()
            if "referenced manual not found" not in line and "outdated mandoc.db" not in line]
    if done.returncode > 4:
        said.append(f"mandoc ended with {done.returncode}")
    return said


def main():
    tree = pathlib.Path(sys.argv[-1])
    if "--lint" in sys.argv[1:-1]:
        if shutil.which("mandoc") is None:
            print("skipped: mandoc is not installed, nobody reads the man pages as mdoc")
            return SKIPPED
        breaches = lint(tree)
    else:
        breaches = check(tree)
    for breach in breaches:
        print(breach)
    print(f"{len(breaches)} breaches")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
