"""The guide's "Email Notifications": `mail` and exim deliver what EXTERNAL_COMMAND sends."""

import re

from guide_text import block
from neighbours import GUIDE_FILES, NeighbourTest, file_text


class MailTest(NeighbourTest):
    def setUp(self):
        super().setUp()
        self.mailbox = self.have_mail("admin")
        found = re.fullmatch(r'EXTERNAL_COMMAND="(.*)"\n', block("mail"))
        self.command = found[1]


class Recipe(MailTest):
    def test_the_guides_command_delivers_an_empty_mail(self):
        done = self.sh(self.command)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.await_file(self.mailbox, "^Subject: PortSentry Alert$")


class WithTheDaemon(MailTest):
    def test_scan_sends_one_mail(self):
        daemon = self.start(**GUIDE_FILES, EXTERNAL_COMMAND=self.command)
        self.send(*[self.syn(port) for port in range(20, 40)])
        self.await_file(self.mailbox, "^Subject: PortSentry Alert$")
        daemon.await_line(rf"attackalert: External command run for host: {re.escape(self.scanner.v4)} using command: "
                          rf'"{re.escape(self.command)}"$')
        self.await_sentinel(daemon)
        self.await_file(self.mailbox, r"^Subject: PortSentry Alert$(?s:.*)^Subject: PortSentry Alert$")
        self.assertEqual(file_text(self.mailbox).count("Subject: PortSentry Alert"), 2)  # the sentinel's is the second

    def test_mail_names_the_scanner_when_the_command_does(self):
        self.start(**GUIDE_FILES, EXTERNAL_COMMAND=block("mail-target").partition('"')[2].rpartition('"')[0])
        self.send(self.syn(23))
        self.await_file(self.mailbox, rf"^Subject: Port scan from {re.escape(self.scanner.v4)}, port 23$")

    def test_observing_sends_mail_too(self):
        self.start(**GUIDE_FILES, BLOCK_TCP="0", BLOCK_UDP="0", EXTERNAL_COMMAND=self.command)
        self.send(self.syn(23))
        self.await_file(self.mailbox, "^Subject: PortSentry Alert$")
