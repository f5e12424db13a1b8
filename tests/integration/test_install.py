"""As `meson install` lays it out: the other binaries are found in libexec, by any user and as a daemon."""

import pathlib
import re
import shutil
import sys

from lab import BIN, CONF, IGNORE, LAB_DIR, TREE, Daemon, LabTest, mount_private

NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--")
HELPERS = ("portsentry-monitor", "portsentry-sensor", "portsentry-resolver", "portsentry-scout")


class Installed(LabTest):
    def setUp(self):
        super().setUp()
        text = (LAB_DIR / "build/build_paths.h").read_text()
        self.libexec = pathlib.Path(re.search(r'"(/[^"]*libexec[^"]*)"', text)[1])
        root = pathlib.Path("/", *self.libexec.parts[1:-2])
        if root == pathlib.Path("/usr") or sys.executable.startswith(f"{root}/"):
            self.skipTest(f"{root} is in use on this machine and cannot be hidden for a test")
        root.mkdir(parents=True, exist_ok=True)
        mount_private(root)
        self.libexec.mkdir(parents=True, mode=0o755)
        self.daemon_binary = root / "sbin/portsentryd"
        self.daemon_binary.parent.mkdir(mode=0o755)
        shutil.copy(BIN / "portsentryd", self.daemon_binary)
        for name in HELPERS:
            shutil.copy(BIN / name, self.libexec / name)
        shutil.copy(TREE / "etc/portsentry.conf", CONF)
        shutil.copy(TREE / "etc/portsentry.ignore", IGNORE)

    def ask(self, *arguments):
        return self.guard.run([*NOBODY, self.daemon_binary, *arguments], check=False)

    def test_version_help_and_check_answer_an_ordinary_user(self):
        for arguments, said in ((["-V"], r"^portsentryd \d"), (["-h"], "^usage:"), (["-t"], rf"{CONF}: ok")):
            done = self.ask(*arguments)
            self.assertEqual(done.returncode, 0, done.stdout)
            self.assertRegex(done.stdout, said)

    def test_daemon_starts(self):
        daemon = Daemon(self.lab, [], binary=self.daemon_binary)
        self.addCleanup(self._end, daemon)
        daemon.await_ready()
        self.assertEqual(daemon.stop(), 0)

    def test_installing_again_keeps_the_administrators_file(self):
        mine = CONF.read_text().replace('BLOCK_TCP="0"', 'BLOCK_TCP="1"')
        CONF.write_text(mine)
        self.guard.run([TREE / "contrib/install-config", TREE / "etc", CONF.parent])
        self.assertEqual(CONF.read_text(), mine)
        self.assertEqual((CONF.parent / "portsentry.conf.new").read_text(), (TREE / "etc/portsentry.conf").read_text())
        self.assertFalse((CONF.parent / "portsentry.ignore.new").exists())

    def test_missing_helper_is_named_with_the_places_where_it_was_looked_for(self):
        (self.libexec / "portsentry-sensor").unlink()
        daemon = Daemon(self.lab, [], binary=self.daemon_binary)
        self.addCleanup(self._end, daemon)
        self.assertEqual(daemon.await_exit(), 1)
        self.assertEqual(len(daemon.lines), 1, daemon.transcript())
        self.assertEqual(len(daemon.matching(rf"portsentry-sensor not found .*{self.libexec}")), 1, daemon.transcript())
