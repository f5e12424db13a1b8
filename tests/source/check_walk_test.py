#!/usr/bin/env python3
"""The checker of the audit walk must be able to say no."""

import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import check_walk  # noqa: E402

GOOD = """# Walk

## Root

### Who asks?

Nobody, see `src/enforcer/a.cc`.

- File: `src/enforcer/a.cc`, `proto/a.proto`
- Test: `tests/a_test.cc`: `Guard.SaysNo`, `Guard.SaysYes`
- Test: `tests/test_a.py`: `Death.test_dead`
- Test: `tests/fuzz/a_fuzz.cc`: the corpus

## Next
"""
FILES = {
    "src/enforcer/a.cc": "",
    "proto/a.proto": "",
    "tests/a_test.cc": "TEST(Guard, SaysNo) {}\nTEST_F(Guard, SaysYes) {}\n// TEST(Guard, SaysMaybe) {}\n",
    "tests/test_a.py": "class Death(Lab):\n    def test_dead(self):\n        pass\n\n\nclass Life(Lab):\n"
                       "    def test_alive(self):\n        pass\n",
    "tests/fuzz/a_fuzz.cc": "",
    "tests/fuzz/b_fuzz.cc": "",
    "tests/fuzz/meson.build": "  ['a', [common], ['corpus/a']],\n",
}


class CheckWalk(unittest.TestCase):
    def breaches(self, walk):
        with tempfile.TemporaryDirectory() as folder:
            tree = pathlib.Path(folder)
            for name, text in {**FILES, "docs/audit-walk.md": walk}.items():
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                (tree / name).write_text(text)
            return check_walk.check(tree)

    def assert_one(self, rule, old, new):
        self.assertIn(old, GOOD)
        found = self.breaches(GOOD.replace(old, new, 1))
        self.assertEqual(len(found), 1, found)
        self.assertIn(rule, found[0])

    def test_good_walk_passes(self):
        self.assertEqual(self.breaches(GOOD), [])

    def test_file_that_does_not_exist_is_found(self):
        self.assert_one("src/enforcer/b.cc does not exist", "see `src/enforcer/a.cc`", "see `src/enforcer/b.cc`")
        self.assert_one("tests/b_test.cc does not exist", "tests/a_test.cc", "tests/b_test.cc")

    def test_test_that_does_not_exist_is_found(self):
        for old, new in (("Guard.SaysNo", "Guard.SaysNothing"), ("Guard.SaysNo", "Warden.SaysNo"),
                         ("Guard.SaysYes", "Guard.SaysMaybe"), ("Death.test_dead", "Death.test_alive"),
                         ("Death.test_dead", "Life.test_dead")):
            self.assert_one(f"has no test {new}", old, new)

    def test_fuzzer_that_nobody_runs_is_found(self):
        self.assert_one("is no fuzzer", "a_fuzz.cc", "b_fuzz.cc")
        self.assert_one("is no fuzzer", "`Death.test_dead`", "the corpus")

    def test_question_without_answer_file_or_test_is_found(self):
        self.assert_one("has no answer", "Nobody, see `src/enforcer/a.cc`.", "")
        self.assert_one("names no file", "- File: `src/enforcer/a.cc`, `proto/a.proto`\n", "")
        without = "\n".join(line for line in GOOD.splitlines() if not line.startswith("- Test"))
        self.assertEqual(len(self.breaches(without)), 1)
        self.assertEqual(len(self.breaches("# Walk\n")), 1)

    def test_line_that_no_rule_reads_is_found(self):
        self.assert_one("neither a File nor a Test", "- Test: `tests/fuzz/a_fuzz.cc`", "- Tests: `tests/fuzz/a_fuzz.cc`")
        self.assert_one("is no list", "`Guard.SaysNo`, `Guard.SaysYes`", "`Guard.SaysNo` and `Guard.SaysYes`")


if __name__ == "__main__":
    unittest.main()
