#!/usr/bin/env python3
"""check_guide.py finds what it is there to find."""

import unittest

from check_guide import SECTIONS, check

GOOD = "\n".join(f"## {section}\n" for section in SECTIONS)
BLOCK = "<!-- tested: mail -->\n```\nmail\n```\n"


class CheckGuide(unittest.TestCase):
    def test_whole_guide_with_a_block_that_is_run_passes(self):
        self.assertEqual(check(GOOD + BLOCK, {"mail"}), [])

    def test_missing_section_is_named(self):
        self.assertEqual(check(GOOD.replace("## Log Analysis\n", ""), set()),
                         ["the guide's section 'Log Analysis' is missing"])

    def test_wrong_order_and_foreign_sections_are_named(self):
        self.assertEqual(len(check("## Conclusion\n" + GOOD, set())), 1)
        self.assertEqual(check(GOOD + "## More\n", set()), ["'More' is no section of the guide"])

    def test_block_that_nobody_runs_is_named(self):
        self.assertEqual(check(GOOD + BLOCK, set()), ["block mail: marked as tested, and no test runs it"])

    def test_block_that_is_not_there_is_named(self):
        self.assertEqual(check(GOOD, {"mail"}), ["block mail: a test asks for it, and it is not there"])
        self.assertEqual(len(check(GOOD + "<!-- tested: mail -->\n\nwords\n", {"mail"})), 1)

    def test_block_that_is_there_twice_is_named(self):
        self.assertEqual(check(GOOD + BLOCK + BLOCK, {"mail"}), ["block mail: there is more than one"])


if __name__ == "__main__":
    unittest.main()
