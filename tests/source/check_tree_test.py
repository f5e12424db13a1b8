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
        for call in ("system(x)", "::popen(x, y)", "execvp(a, b)", "std::system(x)"):
            self.assert_one("shell", "src/enforcer/a.cc", f"void f() {{ {call}; }}\n")

    def test_call_behind_a_comment_on_the_same_line_is_found(self):
        self.assert_one("shell", "src/enforcer/a.cc", "/* fine */ int i = system(x);\n")

    def test_generated_header_outside_wire_is_found(self):
        self.assert_one("wire*.cc", "src/common/a.cc", '#include "proto/types.pb.h"\n')

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
