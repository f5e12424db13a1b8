"""The state file under the whole daemon, sealed as users run it: older files, and none that can be written."""

import os
import re
import sqlite3

from lab import STATE, LabTest, await_true

STATE_FILE = STATE / "monitor" / "state.sqlite3"
# As portsentryd 0.1 made it.
VERSION_1 = """
PRAGMA journal_mode = WAL;
PRAGMA application_id = 1886614625;
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE bans(source TEXT PRIMARY KEY, address TEXT NOT NULL, protocol INTEGER NOT NULL, \
port INTEGER NOT NULL, backend INTEGER NOT NULL, since INTEGER NOT NULL, until INTEGER, \
offences INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES('schema', '1'), ('boot_id', 'another'), ('opened', '1000');
INSERT INTO bans VALUES('10.77.0.40', '10.77.0.40', 6, 23, 2, 1700000000, NULL, 1);
"""


class State(LabTest):
    def test_file_of_version_1_is_read_on_and_becomes_one_of_this_version(self):
        daemon = self.start()  # makes the directory
        daemon.stop()
        for path in STATE_FILE.parent.iterdir():
            path.unlink()
        with sqlite3.connect(STATE_FILE) as old:
            for statement in VERSION_1.replace("\\\n", "").strip().split(";\n"):
                old.execute(statement)
        old.close()
        owner = STATE_FILE.parent.stat()
        for path in STATE_FILE.parent.iterdir():
            path.chmod(0o600)
            os.chown(path, owner.st_uid, owner.st_gid)
        daemon = self.start()
        await_true(lambda: "10.77.0.40" in self.lab.banned(), "the ban of the old file, in the kernel")
        self.assertEqual(daemon.matching("cannot be used"), [])
        daemon.stop()
        with sqlite3.connect(STATE_FILE) as now:
            self.assertEqual(now.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone(), ("2",))
            self.assertEqual(now.execute("SELECT count(*) FROM bans WHERE source = '10.77.0.40'").fetchone(), (1,))
        now.close()

    def test_daemon_bans_without_a_state_file_and_says_that_nothing_is_remembered(self):
        self.start().stop()
        for path in STATE_FILE.parent.iterdir():
            path.unlink()
        STATE_FILE.mkdir()
        daemon = self.start()
        daemon.await_line("nothing will be remembered across restarts, and bans count as unrecorded: .*"
                          + re.escape(str(STATE_FILE)))
        self.send(self.syn(23, source="10.77.0.40"))
        await_true(lambda: "10.77.0.40" in self.lab.banned(), "the ban, in the kernel")
