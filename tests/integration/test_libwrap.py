"""KILL_HOSTS_DENY, judged by the program that reads hosts.deny: an sshd that is linked to libwrap."""

import os
import pathlib
import re

from lab import await_true, bind, LAB_DIR
from neighbours import GUIDE_FILES, GUIDE_HOSTS_DENY, NeighbourTest, file_text

DENY = pathlib.Path("/etc/hosts.deny")


class LibwrapTest(NeighbourTest):
    def setUp(self):
        super().setUp()
        self.port = self.start_sshd()

    def assert_refused(self, family):
        """libwrap itself waits five seconds before it hangs up on a host that it refuses."""
        self.assertEqual(self.ssh_greeting(self.scanner, family, self.port), b"")
        self.assert_welcome(self.bystander, family)

    def assert_welcome(self, host, family):
        self.assertTrue(self.ssh_greeting(host, family, self.port).startswith(b"SSH-2.0"))


class Recipe(LibwrapTest):
    def test_the_guides_line_refuses_an_ipv4_host(self):
        self.assert_welcome(self.scanner, 4)
        DENY.write_text(f"ALL: {self.scanner.v4} : DENY\n")
        self.assert_refused(4)

    def test_an_ipv6_host_is_refused_only_in_brackets(self):
        DENY.write_text(f"ALL: {self.scanner.v6} : DENY\n")
        self.assert_welcome(self.scanner, 6)
        DENY.write_text(f"ALL: [{self.scanner.v6}] : DENY\n")
        self.assert_refused(6)


class WithTheDaemon(LibwrapTest):
    """FIREWALL=command with a command that touches nothing: what refuses here is libwrap alone."""

    def start_without_firewall(self, **changes):
        return self.start(**{**GUIDE_FILES, **GUIDE_HOSTS_DENY, "KILL_ROUTE": "/bin/true $TARGET$",
                             "KILL_ROUTE_REMOVE": "/bin/true $TARGET$", **changes})

    def await_wrappers_line(self, daemon, address, pattern):
        daemon.await_line(rf'attackalert: Host {re.escape(address)} has been blocked via wrappers with string: '
                          rf'"ALL: {re.escape(pattern)} : DENY"$')

    def test_sshd_refuses_a_scanner_of_either_family_and_nobody_else(self):
        daemon = self.start_without_firewall()
        self.send(self.syn(23), self.syn(23, source=self.scanner.v6))
        self.await_wrappers_line(daemon, self.scanner.v4, self.scanner.v4)
        self.await_wrappers_line(daemon, self.scanner.v6, f"[{self.scanner.v6}]")
        self.assert_refused(4)
        self.assert_refused(6)

    def test_entry_goes_with_the_ban_and_foreign_lines_stay(self):
        DENY.write_text("# mine\nALL: 192.0.2.7\nvsftpd: ALL EXCEPT LOCAL")  # without a final newline
        before = DENY.stat()
        daemon = self.start_without_firewall(BLOCK_TIME="3s")
        self.send(self.syn(23))
        self.await_wrappers_line(daemon, self.scanner.v4, self.scanner.v4)
        self.assertIn("# mine\nALL: 192.0.2.7\nvsftpd: ALL EXCEPT LOCAL\n", file_text(DENY))
        self.assert_refused(4)
        await_true(lambda: self.scanner.v4 not in file_text(DENY), "the entry gone with its ban", 20)
        self.assertTrue(file_text(DENY).startswith("# mine\nALL: 192.0.2.7\nvsftpd: ALL EXCEPT LOCAL"))
        self.assertEqual((DENY.stat().st_ino, DENY.stat().st_mode, DENY.stat().st_uid),
                         (before.st_ino, before.st_mode, before.st_uid))
        self.assert_welcome(self.scanner, 4)

    def test_hosts_deny_that_is_a_bind_mount_is_edited_in_place(self):
        """As in a container: a rename over it fails with EBUSY (PEERS 6.6)."""
        volume = LAB_DIR / "volume"
        volume.write_text("# of the container's owner\n")
        volume.chmod(0o644)
        bind(volume, DENY)
        daemon = self.start_without_firewall()
        self.send(self.syn(23))
        self.await_wrappers_line(daemon, self.scanner.v4, self.scanner.v4)
        self.assertIn(f"ALL: {self.scanner.v4} : DENY\n", volume.read_text())
        self.assert_refused(4)

    def test_hosts_deny_alone_is_never_called_a_ban(self):
        """A symlink is not edited; the firewall's ban stands and says so, the other says what failed."""
        DENY.unlink()
        os.symlink("/run/lab/elsewhere", DENY)
        daemon = self.start(**GUIDE_FILES, **GUIDE_HOSTS_DENY)
        self.send(self.syn(23))
        self.await_ban(daemon, self.scanner.v4)
        daemon.await_line(r"(?i)error.*hosts.deny")
        self.assertEqual(daemon.matching("via wrappers"), [])
        self.assertFalse(pathlib.Path("/run/lab/elsewhere").exists())
