"""docs/guide.md as data: the blocks that it marks as tested are what the tests run.

A block is marked by a comment on the line above its fence, invisible where Markdown is shown:

    <!-- tested: NAME -->
    ```
    ...
    ```
"""

import pathlib
import re

GUIDE = pathlib.Path(__file__).resolve().parents[2] / "docs/guide.md"
MARK = re.compile(r"<!-- tested: ([\w-]+) -->\n```\w*\n(.*?)^```$", re.S | re.M)


def blocks(text=None):
    """Name -> text of every block that is marked as tested."""
    found = MARK.findall(GUIDE.read_text(encoding="utf-8") if text is None else text)
    assert len(found) == len({name for name, _ in found}), "two tested blocks of one name in docs/guide.md"
    return dict(found)


def block(name):
    return blocks()[name]
