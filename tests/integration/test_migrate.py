"""A portsentry.conf of PortSentry 1.2 or 2.x: used as it is, and written anew by --migrate."""

import pathlib

from lab import BIN, CONF, LabTest, write_root_file

OK, CONFIGURATION = 0, 78
NEW = pathlib.Path("/run/lab/new.conf")

OLD = """# as an administrator of 1.2 left it
TCP_PORTS="1,11,15,79"
UDP_PORTS="1,7,9"
ADVANCED_PORTS_TCP="1024"
RESOLVE_HOST = "0"
BLOCK_TCP="0"
BLOCK_UDP="3"
SCAN_TRIGGER="0"
TCP_PORTS="1,2,,3"
SHELL="/bin/sh"
"""


class OldConfiguration(LabTest):
    def migrate(self, text):
        write_root_file(CONF, text)
        command = f"{BIN / 'portsentryd'} --migrate {CONF} 2>&1 >{NEW}"
        done = self.guard.run(["sh", "-c", command], check=False)
        return done.returncode, done.stdout, NEW.read_text()

    def test_runs_as_it_is_and_its_differences_are_told(self):
        write_root_file(CONF, OLD)
        daemon = self.launch(("-f", CONF)).await_ready()
        for line in (r":9: warning: TCP_PORTS: stands on line 2 and again on line 9",
                     r":7: warning: BLOCK_UDP: found '3'.* nobody is banned",
                     r":10: warning: SHELL: unknown key, ignored"):
            self.assertEqual(len(daemon.matching(line)), 1, daemon.transcript())

    def test_migrated_it_passes_the_check_and_runs_without_a_warning(self):
        status, report, new = self.migrate(OLD)
        self.assertEqual(status, OK, report)
        for line in (r":2: TCP_PORTS: replaced by line 9", r":5: RESOLVE_HOST: kept",
                     r":4: ADVANCED_PORTS_TCP: changed meaning: ",
                     r":7: BLOCK_UDP: replaced by BLOCK_UDP=\"0\": ", r":10: SHELL: unknown"):
            self.assertRegex(report, line)
        write_root_file(CONF, new)
        done = self.guard.run([BIN / "portsentryd", "-t", "-f", CONF], check=False)
        self.assertEqual(done.returncode, OK, done.stdout)
        # It says SCAN_TRIGGER="0", which is worth a warning in any file.
        told = [line for line in done.stdout.splitlines() if "warning" in line and "SCAN_TRIGGER" not in line]
        self.assertEqual(told, [])
        daemon = self.launch(("-f", CONF)).await_ready()
        self.assertEqual(daemon.matching("(?!.*SCAN_TRIGGER)(warning|error)"), [])

    def test_migrating_twice_changes_nothing(self):
        first = self.migrate(OLD)[2]
        status, report, second = self.migrate(first)
        self.assertEqual((status, second), (OK, first))
        for line in report.splitlines():
            self.assertRegex(line, r": kept$")

    def test_a_file_with_mistakes_is_not_migrated(self):
        status, report, new = self.migrate(OLD + "BLOCK_TIME=30m\n")
        self.assertEqual((status, new), (CONFIGURATION, ""))
        self.assertRegex(report, r":11: error: BLOCK_TIME: the value needs double quotes")
        self.assertRegex(report, r"not migrated")
