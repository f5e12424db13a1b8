#!/usr/bin/env python3
"""check_man.py finds what it is there to find."""

import pathlib
import re
import shutil
import tempfile
import unittest

import check_man
from check_man import (check_exits, check_keys, check_names, check_options, check_processes, check_references,
                       check_signals, check_verbs, code_keys, code_options, code_verbs, constants_of, heads, page_keys,
                       shipped_file, value_of)

TREE = pathlib.Path(__file__).parents[2]

CONFIG_CC = r'''
constexpr std::array kRows{
    Row{{"OLD_LIST", root, classic},
        [](Reader& r, const Entry& e) { r.read_ports(e, r.config().ports); }},
    Row{{"NUMBER", both, own},
        [](Reader& r, const Entry& e) {
          r.read_number(e, 16, kMost, r.config().number);
        }},
};
constexpr std::array<std::string_view, 1> kTwoKeys{
    "OLD_LIST"};
'''
CONF = '''# Ports.
#   Default: "" (none).
OLD_LIST="1,2"

# A number.
#   Default: "20".
NUMBER="20"
'''
PAGE = r'''.Sh KEYS
.Bl -tag -width Ds
.It Cm OLD_LIST
Ports.
.Bl -tag -width "Example" -compact
.It Default
Empty: none.
.It Shipped
.Ql 1,\:\
2 .
.It Range
Ports.
.It Example
.Ql OLD_LIST=\(dq1\(dq
.It 1.2
The same.
.It 2.x
The same.
.El
.It Cm NUMBER
A number.
.Bl -tag -width "Example" -compact
.It Default
.Ql 20 .
.It Range
16 to 1000.
.It Example
.Ql NUMBER=\(dq30\(dq
.It 1.2
No such key.
.It 2.x
No such key: always 20.
.El
.El
'''


class Keys(unittest.TestCase):
    def breaches(self, page=PAGE, code=CONFIG_CC, conf=CONF):
        return list(check_keys(page, code_keys(code, {"kMost": "1000"}), shipped_file(conf)))

    def test_whole_page_passes(self):
        self.assertEqual(self.breaches(), [])

    def test_key_of_the_code_that_is_missing_is_named(self):
        self.assertEqual(self.breaches(page=PAGE[:PAGE.index(".It Cm NUMBER")]), ["NUMBER is not in the page"])

    def test_key_that_the_code_does_not_have_is_named(self):
        self.assertEqual(self.breaches(code=CONFIG_CC.replace('"NUMBER"', '"NUMERAL"')),
                         ["NUMERAL is not in the page", "NUMBER is no key of the code"])

    def test_missing_field_is_named(self):
        self.assertEqual(self.breaches(page=PAGE.replace(".It 1.2\nThe same.\n", "")), ["OLD_LIST: without 1.2"])

    def test_other_default_is_named(self):
        self.assertEqual(self.breaches(conf=CONF.replace('Default: "20"', 'Default: "21"')),
                         ["NUMBER: default '20', and '21' in etc/portsentry.conf"])

    def test_other_shipped_value_is_named(self):
        self.assertEqual(self.breaches(conf=CONF.replace('"1,2"', '"1,3"')),
                         ["OLD_LIST: shipped value '1,2', and '1,3' in etc/portsentry.conf"])

    def test_shipped_value_that_is_not_told_is_named(self):
        self.assertEqual(self.breaches(conf=CONF.replace('NUMBER="20"', 'NUMBER="22"')),
                         ["NUMBER: shipped value '20', and '22' in etc/portsentry.conf"])

    def test_key_without_a_default_in_the_shipped_file_is_named(self):
        self.assertEqual(self.breaches(conf=CONF.replace('#   Default: "20".\n', "")),
                         ["NUMBER: etc/portsentry.conf names no default"])

    def test_limit_that_the_range_does_not_name_is_named(self):
        self.assertEqual(self.breaches(page=PAGE.replace("16 to 1000", "16 to 10000")),
                         ["NUMBER: its range does not name 1000"])

    def test_example_of_another_key_is_named(self):
        self.assertEqual(self.breaches(page=PAGE.replace(r"NUMBER=\(dq30", r"NUMERAL=\(dq30")),
                         ["NUMBER: its example is no line of a configuration"])

    def test_wrong_generation_is_named(self):
        self.assertEqual(self.breaches(page=PAGE.replace("No such key.", "The same.")),
                         ["NUMBER: unknown to 1.2, and the page says otherwise"])
        self.assertEqual(self.breaches(code=CONFIG_CC.replace('kTwoKeys{\n    "OLD_LIST"', 'kTwoKeys{\n    "NONE"')),
                         ["OLD_LIST: unknown to 2.x, and the page says otherwise"])

    def test_a_key_that_is_the_same_has_the_default_before_it(self):
        text = '# A.\n# Default: "a" and "b".\nONE="a"\n\n# The same for B.\nTWO="b"\n\n# The same.\nTHREE="x"\n'
        self.assertEqual(shipped_file(text.replace("# The same.", "# The same for C.")),
                         {"ONE": ("a", "a"), "TWO": ("b", "b"), "THREE": ("b", "x")})
        self.assertEqual(shipped_file(text)["THREE"], (None, "x"))

    def test_a_section_may_name_the_default_of_its_keys(self):
        text = ('# ---- Commands ----\n\n# "" is the default of each.\n\n# One.\nONE=""\n\n'
                '# ---- Files ----\n\n# Two.\nTWO=""\n')
        self.assertEqual(shipped_file(text), {"ONE": ("", ""), "TWO": (None, "")})

    def test_a_name_that_is_no_key_is_named_wherever_it_stands(self):
        self.assertEqual(list(check_names(".Cm NUMBER\n.Pq Cm NUMERAL\n.Cm ( OTHER_KEY ) .\n.Cm list\n", {"NUMBER"})),
                         ["NUMERAL is no key of the code", "OTHER_KEY is no key of the code"])

    def test_values_are_read_as_mdoc_shows_them(self):
        self.assertEqual(value_of(".Ql stcp ."), "stcp")
        self.assertEqual(value_of('.Ql "a b" :\nwords'), "a b")
        self.assertEqual(value_of("Empty: none."), "")
        self.assertIsNone(value_of("Some words."))
        self.assertEqual(constants_of("constexpr unsigned kMost = 1'000'000;"), {"kMost": "1000000"})


OPTIONS_CC = 'Word{"-tcp", Kind::tcp_mode},\nWord{"-c", Kind::file, true},\nWord{"--configfile", Kind::file, true},\n'
DAEMON = '''.Sh MODES
.Bl -tag -width Ds
.It Fl tcp
Bind.
.El
.Sh OPTIONS
.Bl -tag -width Ds
.It Fl c Ar file , Fl -configfile Ar file
Unlike
.Fl tcp .
.El
.Sh SIGNALS
.Bl -tag -width Ds
.It Dv SIGTERM , SIGINT
The end.
.El
.Sh EXIT STATUS
.Bl -tag -width Ds
.It 0
Fine.
.It 78
Not fine.
.El
'''


class Options(unittest.TestCase):
    def breaches(self, page=DAEMON, code=OPTIONS_CC):
        return list(check_options(page, code_options(code)))

    def test_whole_page_passes(self):
        self.assertEqual(self.breaches(), [])

    def test_option_that_is_missing_is_named(self):
        self.assertEqual(self.breaches(code=OPTIONS_CC + 'Word{"-x", Kind::nothing},'), ["-x is not in the page"])

    def test_option_that_the_code_does_not_have_is_named_wherever_it_stands(self):
        self.assertEqual(self.breaches(page=DAEMON.replace(".Fl tcp .", ".Fl udp .")),
                         ["-udp is no option of the code"])
        self.assertEqual(self.breaches(code=OPTIONS_CC.replace('"-tcp"', '"-stcp"')),
                         ["-stcp is not in the page", "-tcp is no option of the code"])

    def test_value_that_is_taken_or_not_is_named(self):
        self.assertEqual(self.breaches(page=DAEMON.replace("Fl c Ar file", "Fl c")),
                         ["-c: takes a value, and the page says otherwise"])
        self.assertEqual(self.breaches(page=DAEMON.replace("Fl tcp\n", "Fl tcp Ar x\n")),
                         ["-tcp: takes no value, and the page says otherwise"])

    def test_signals_are_those_that_are_handled(self):
        code = "for (const int signal : {SIGTERM, SIGINT, SIGCHLD})"
        self.assertEqual(list(check_signals(DAEMON, code)), [])
        self.assertEqual(len(list(check_signals(DAEMON, code.replace("SIGINT", "SIGHUP")))), 1)

    def test_exit_statuses_are_those_of_the_code(self):
        self.assertEqual(list(check_exits(DAEMON, {"0", "78"})), [])
        self.assertEqual(list(check_exits(DAEMON, {"0", "1"})), ["exit statuses 0 78, and 0 1 in the code"])


VERBS_CC = '''
    FlagRow{Flag::json, "--json", "", "help"},
    FlagRow{Flag::time, "--for", "TIME", "help"},
constexpr std::array kJson{Flag::json};
constexpr std::array kBanFlags{Flag::time, Flag::json};
    VerbRow{Verb::status, "status", "", Operand::none, kJson,
    VerbRow{
        Verb::ban, "ban", "ADDR|CIDR", Operand::prefix, kBanFlags, "ban"
'''
ARGUMENTS_CC = 'first == "-h" || word == "--"'
CTL = '''.Sh VERBS
.Bl -tag -width Ds
.It Xo
.Cm status
.Op Fl -json
.Xc
See.
.It Xo
.Cm ban Ar addr | cidr
.Op Fl -for Ar time
.Op Fl -json
.Xc
Ban.
.El
.Sh FLAGS
.Bl -tag -width Ds
.It Fl -json
JSON.
.It Fl -for Ar time
How long.
.It Fl h
Help.
.El
'''


class Verbs(unittest.TestCase):
    def breaches(self, page=CTL, code=VERBS_CC, arguments=ARGUMENTS_CC):
        return list(check_verbs(page, *code_verbs(code, arguments)))

    def test_whole_page_passes(self):
        self.assertEqual(self.breaches(), [])

    def test_heads_of_several_lines_are_one(self):
        self.assertEqual(heads(CTL)[:2],
                         ["Cm status Op Fl -json", "Cm ban Ar addr | cidr Op Fl -for Ar time Op Fl -json"])

    def test_verb_that_is_missing_or_unknown_is_named(self):
        self.assertEqual(self.breaches(code=VERBS_CC.replace('"ban", "ADDR', '"block", "ADDR')),
                         ["verb block is not in the page", "ban is no verb of the code"])

    def test_other_operands_are_named(self):
        self.assertEqual(self.breaches(code=VERBS_CC.replace("ADDR|CIDR", "ADDR")),
                         ["ban: operands 'addr|cidr', and 'addr' in the code"])

    def test_flag_that_a_verb_does_not_take_is_named(self):
        page = CTL.replace(".Op Fl -json\n.Xc\nSee", ".Op Fl -json\n.Op Fl -for Ar time\n.Xc\nSee")
        self.assertEqual(self.breaches(page=page),
                         ["status: flags ['--for', '--json'], and ['--json'] in the code"])

    def test_flag_that_is_not_explained_is_named(self):
        self.assertEqual(self.breaches(page=CTL.replace(".It Fl h\nHelp.\n", "")), ["flag -h is not in the page"])
        self.assertEqual(self.breaches(page=CTL.replace("Fl h\n", "Fl h , Fl -help\n")),
                         ["--help is no flag of the code"])

    def test_other_value_is_named(self):
        self.assertEqual(self.breaches(page=CTL.replace(".It Fl -for Ar time", ".It Fl -for Ar moment")),
                         ["--for: value 'moment', and 'time' in the code"])


class Others(unittest.TestCase):
    PAGE = ".It sensor (B)\n.Ql portsentry-sensor ,\n"
    ROLES = ('Role{RoleId::sensor, "portsentry-sensor", "portsentry-sensor", "portsentry-sensor",\n'
             'Role{RoleId::nft, "nft", "nft", "root",')

    def test_every_process_and_channel_is_named(self):
        readme = "| B down (`proto/sensor.proto`) | x |\n"
        self.assertEqual(list(check_processes(self.PAGE, self.ROLES, readme)), [])
        self.assertEqual(list(check_processes(self.PAGE, self.ROLES, readme + "| A down | x |\n")),
                         ["channels B, and A B in README.md"])
        self.assertEqual(list(check_processes(self.PAGE.replace("-sensor", "-scout"), self.ROLES, readme)),
                         ["portsentry-sensor, of portsentry-sensor, is not in the page"])

    def test_pages_refer_to_pages_that_there_are(self):
        self.assertEqual(list(check_references(".Xr portsentryd 8\n.Xr portsentryd 1\n.Xr nft 8\n", {"portsentryd.8"})),
                         ["refers to portsentryd(1), which there is not"])

    def test_what_is_read_of_the_tree_is_not_nothing(self):
        """A regular expression that no longer matches the code would find nothing missing."""
        config = (TREE / "src/common/config.cc").read_text()
        keys = code_keys(config, constants_of((TREE / "src/common/messages.h").read_text() + config))
        self.assertEqual(len(keys), len(re.findall(r"\bRow\{\{", config)))
        self.assertEqual(keys["MAX_SOURCES"], ("own", False, ["16", "1000000"]))
        self.assertEqual(keys["TCP_PORTS"], ("classic", True, []))
        options = (TREE / "src/enforcer/options.cc").read_text()
        self.assertEqual(len(code_options(options)), len(re.findall(r"\bWord\{", options)))
        verbs = (TREE / "src/ctl/verbs.cc").read_text()
        flags, rows, instead = code_verbs(verbs, (TREE / "src/ctl/arguments.cc").read_text())
        self.assertEqual(len(flags), len(re.findall(r"\bFlagRow\{", verbs)))
        self.assertEqual(len(rows), len(re.findall(r"\bVerbRow\{", verbs)))
        self.assertEqual(instead, {"-h", "--help", "-V", "--version"})
        self.assertEqual(len(page_keys((TREE / "man/portsentry.conf.5").read_text())), len(keys))

    @unittest.skipIf(shutil.which("mandoc") is None, "mandoc is not installed")
    def test_lint_names_what_mandoc_does_not_like(self):
        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree(TREE / "man", f"{folder}/man")
            self.assertEqual(check_man.lint(pathlib.Path(folder)), [])
            with open(f"{folder}/man/portsentryd.8", "a", encoding="utf-8") as page:
                page.write(".Nonsense\n")
            self.assertEqual(len(check_man.lint(pathlib.Path(folder))), 1)


if __name__ == "__main__":
    unittest.main()
