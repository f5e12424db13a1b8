#!/usr/bin/env python3
"""Lines that run as root: what counts and what does not, in a tree made for it."""

import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import check_root_lines as lines  # noqa: E402

TREE = {
    "src/enforcer/main.cc": '// why\n#include "common/wire.h"\n\nint main() {\n  f("//");  // says\n}\n/* two\nlines */\n',
    "src/enforcer/rules.nft": "# why\ntable inet portsentry\n\n",
    "src/enforcer/hosts_deny.cc": '#include "common/editing.h"\nint b;\n',
    "src/common/editing.h": "int editing;\n",
    "src/common/wire.h": "#pragma once\n",
    "src/common/wire.cc": '#include "types.pb.h"\n#include "common/wire.h"\n',
    "src/common/part.cc": '#include "common/wire.h"\n',
    "src/common/own.h": "int own;\n",
    "src/common/own.cc": '#include "common/wire.h"\n',
    "src/common/unused.cc": "int unused;\n",
    "SECURITY.md": "",
}


class RootLines(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.tree = pathlib.Path(folder.name).resolve()
        for name, text in TREE.items():
            self.put(name, text)

    def put(self, name, text):
        (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
        (self.tree / name).write_text(text)

    def test_code_counts_and_comments_and_what_nobody_includes_do_not(self):
        rows, unknown = lines.count(self.tree)
        self.assertEqual(unknown, [])
        self.assertEqual(rows, {lines.LAUNCHER: 4, lines.COMMON: 4, lines.TOGETHER: 8, lines.RULES: 1, lines.APART: 2})

    def test_table_that_says_it_is_right_and_write_makes_it_so(self):
        self.put("SECURITY.md", "".join(f"| {row} | 1,234 |\n" for row in lines.count(self.tree)[0]))
        self.assertEqual(len(lines.check(self.tree)[1]), 5)
        lines.write(self.tree)
        self.assertEqual(lines.check(self.tree)[1], [])
        self.put("src/common/wire.h", "#pragma once\nint more;\n")
        self.assertEqual(len(lines.check(self.tree)[1]), 2)

    def test_row_that_is_missing_or_there_twice_is_found(self):
        table = "".join(f"| {row} | {number:,} |\n" for row, number in lines.count(self.tree)[0].items())
        self.put("SECURITY.md", table + f"| {lines.APART} | 2 |\n")
        self.assertEqual(len(lines.check(self.tree)[1]), 1)
        self.put("SECURITY.md", table.replace("apart: ", ""))
        self.assertEqual(len(lines.check(self.tree)[1]), 1)

    def test_include_that_leads_elsewhere_is_found(self):
        self.put("src/enforcer/main.cc", '#include "monitor/a.h"\n#include "nowhere.h"\n')
        self.put("src/monitor/a.h", "int a;\n")
        self.assertEqual(len(lines.count(self.tree)[1]), 2)
        self.assertEqual(len(lines.check(self.tree)[1]), 2)


if __name__ == "__main__":
    unittest.main()
