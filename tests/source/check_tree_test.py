#!/usr/bin/env python3
"""The checker of the tree must be able to say no: each rule, broken once in a tree made for it."""

import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import check_tree  # noqa: E402


class CheckTree(unittest.TestCase):
    def breaches(self, files):
        with tempfile.TemporaryDirectory() as folder:
            tree = pathlib.Path(folder).resolve()
            for name, text in files.items():
                path = tree / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            return check_tree.Checker(tree).run()

    def assert_one(self, rule, name, text, **others):
        files = {name: text, **others}
        if name.endswith(".cc"):
            files.setdefault(name.replace("src/", "tests/").replace(".cc", "_test.cc"), "TEST(A, B) {}\n")
        found = self.breaches(files)
        self.assertEqual(len(found), 1, found)
        self.assertIn(rule, found[0])

    def test_clean_tree_passes(self):
        self.assertEqual(self.breaches({
            "src/sensor/a.cc": '#include "common/a.h"\n#include "sensor/a.h"\n// system("x") in a comment\n'
                               'const char* s = "popen(";\n',
            "src/sensor/main.cc": "int main() {}\n",
            "tests/sensor/a_test.cc": "TEST(A, B) {}\n",
        }), [])

    def test_shell_is_found(self):
        for call in ("system(x)", "::popen(x, y)", "execvp(a, b)", "std::system(x)", "execlp(a)", "execvpe(a, b, c)",
                     "posix_spawnp(a)", "::wordexp(a, b, 0)"):
            self.assert_one("shell", "src/enforcer/a.cc", f"void f() {{ {call}; }}\n")

    def test_call_behind_a_comment_on_the_same_line_is_found(self):
        self.assert_one("shell", "src/enforcer/a.cc", "/* fine */ int i = system(x);\n")

    def test_call_behind_a_quotation_mark_as_a_character_is_found(self):
        self.assert_one("shell", "src/enforcer/a.cc", "void f() { g('\"'); system(x); g('\"'); }\n")

    def test_program_that_is_executed_elsewhere_is_found(self):
        for text in ("execve(a, b, c);", "auto f = &::execv;", "syscall(SYS_execveat, a);", "fexecve(a, b, c);",
                     "::posix_spawn(&p, a, b, c, d, e);"):
            self.assert_one("execute programs", "src/enforcer/a.cc", f"void f() {{ {text} }}\n")
            self.assert_one("execute programs", "src/monitor/a.h", f"void f() {{ {text} }}\n")
        self.assertEqual(self.breaches({"src/enforcer/roles.cc": "execveat(a, b, c, d, e);\n",
                                        "tests/enforcer/roles_test.cc": "TEST(A, B) {}\n",
                                        "src/ctl/a.h": "// execve(2) would\nposix_spawn_file_actions_init(&a);\n"}), [])

    def test_shell_that_is_named_elsewhere_is_found(self):
        for text in ('"/bin/sh"', '"sh"', '"/bin/bash"', '"/usr/bin/env sh"', '"/usr/bin/dash"'):
            self.assert_one("the one of the launcher", "src/enforcer/a.cc", f"const char* s = {text};\n")
        self.assertEqual(self.breaches({"src/enforcer/a.h": '// "/bin/sh"\nconst char* s = "run by /bin/sh -c";\n'}), [])

    def test_second_shell_of_the_launcher_is_found(self):
        one = 'constexpr char kShell[] = "/bin/sh";\n'
        test = {"tests/enforcer/commands_test.cc": "TEST(A, B) {}\n"}
        self.assertEqual(self.breaches({"src/enforcer/commands.cc": one, **test}), [])
        self.assert_one("the one of the launcher", "src/enforcer/commands.cc", one + 'f("/bin/sh");\n', **test)

    def test_generated_header_outside_wire_is_found(self):
        self.assert_one("wire*.cc", "src/common/a.cc", '#include "proto/types.pb.h"\n')

    def test_generated_header_in_a_wire_of_another_side_is_found(self):
        self.assert_one("wire*.cc", "src/sensor/wire_more.cc", '#include "types.pb.h"\n')

    def test_generated_header_by_way_of_a_header_of_ours_is_found(self):
        self.assert_one("wire*.cc", "src/enforcer/a.cc", '#include "common/wire_values.h"\n')
        self.assert_one("shows no generated", "src/common/wire.h", '#include "types.pb.h"\n')
        self.assertEqual(self.breaches({"src/enforcer/a.h": '#include "common/wire.h"\n'}), [])

    def test_include_that_hides_what_it_names_is_found(self):
        self.assert_one("names its file", "src/sensor/a.h", "#include MONITOR_H\n")
        self.assert_one("begins at src/", "src/sensor/a.h", '#include "../monitor/a.h"\n')

    def test_library_of_another_side_is_found(self):
        for line in ("  dependencies: [common, monitor],", "  link_with: monitor_lib,"):
            self.assert_one("may not link monitor", "src/sensor/meson.build", line + "\n")
        self.assert_one("may not link sensor", "src/monitor/meson.build", "  dependencies: [common, capture],\n")
        self.assertEqual(self.breaches({"src/sensor/meson.build": "  'monitor.cc',\n  dependencies: [common, pcap],\n"}),
                         [])

    def test_code_that_no_rule_would_look_at_is_found(self):
        self.assert_one("no side", "src/helper/a.h", "int a;\n")
        self.assert_one("named .cc or .h", "src/sensor/a.inc", "int a;\n")

    def test_include_across_sides_is_found(self):
        self.assert_one("may not include monitor/", "src/sensor/a.h", '#include "monitor/a.h"\n')
        self.assert_one("may not include sensor/", "src/common/a.h", '#  include "sensor/a.h"\n')

    def test_missing_test_is_found(self):
        self.assertEqual(len(self.breaches({"src/monitor/a.cc": "\n"})), 1)

    def test_test_file_without_a_test_is_found(self):
        self.assertEqual(len(self.breaches({"src/monitor/a.cc": "\n", "tests/monitor/a_test.cc": "// later\n"})), 1)

    def test_unfinished_work_tabs_and_trailing_blanks_are_found(self):
        self.assert_one("half-made", "src/monitor/a.h", "// TO" + "DO: later\n")
        self.assert_one("a tab", "src/monitor/a.h", "int\ta;\n")
        self.assert_one("end of the line", "src/monitor/a.h", "int a; \n")

    def test_verb_that_the_readme_does_not_tell_is_found(self):
        proto = "message ToRoot {\n  oneof verb {\n    Ban ban = 1;  // why\n    Format format = 2;\n  }\n}\n"
        self.assert_one("Format is not in the README's message table", "proto/a.proto", proto,
                        **{"README.md": "Format is only spoken of.\n\n| A | Ban | source |\n"})

    def test_file_that_the_readme_names_and_nobody_has_is_found(self):
        self.assert_one("src/b.cc does not exist", "README.md", "See `src/b.cc` and `tests/*.py`.\n",
                        **{"tests/a.py": "\n"})

    def test_part_of_a_class_is_tested_with_the_class(self):
        parts = {"src/monitor/a.h": "int a;\n", "tests/monitor/a_test.cc": "TEST(A, B) {}\n"}
        self.assertEqual(self.breaches({"src/monitor/a_part.cc": "int b;\n", **parts}), [])
        found = self.breaches({"src/monitor/a_part.cc": "int b;\n", "src/monitor/a_part.h": "int b;\n", **parts})
        self.assertIn("has no tests/monitor/a_part_test.cc", "".join(found))

    def test_avoided_header_is_found(self):
        self.assert_one("not used here", "src/monitor/a.h", "#include <iostream>\n")


if __name__ == "__main__":
    unittest.main()
