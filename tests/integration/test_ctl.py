"""portsentryctl against the real daemon: exit statuses, terminals of every width, pipes, completion.

What each verb prints is tested value by value in tests/ctl; here is what only a daemon, a kernel and a
terminal can show.
"""

import fcntl
import json
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import termios
import time
import unittest

import lab
from lab import BIN, CONF, DEADLINE, TREE

CTL = BIN / "portsentryctl"
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TERM": "xterm", "LANG": "C.UTF-8", "TZ": "UTC"}


class CtlTest(lab.LabTest):
    def ctl(self, *words, exit_status=0, prefix=()):
        """Runs it in the guard, not at a terminal; returns standard output."""
        done = subprocess.run(self.guard.inside([*prefix, CTL, *words]), stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, env=ENVIRONMENT)
        self.complaint = done.stderr
        self.assertEqual(done.returncode, exit_status, f"{words}: {done.stdout}{done.stderr}")
        return done.stdout

    def data(self, *words, exit_status=0):
        """The one JSON object that it prints."""
        answer = json.loads(self.ctl(*words, "--json", exit_status=exit_status))
        self.assertEqual(answer["version"], 1)
        return answer

    def at_terminal(self, *words, columns=80, **environment):
        """What it writes to a terminal of that many columns, and its exit status."""
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        process = subprocess.Popen(self.guard.inside([CTL, *words]), stdin=subprocess.DEVNULL, stdout=slave,
                                   stderr=subprocess.PIPE, env={**ENVIRONMENT, **environment})
        os.close(slave)
        written = b""
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end and select.select([master], [], [], end - time.monotonic())[0]:
            try:
                some = os.read(master, 65536)
            except OSError:  # EIO: the last one at the other end has gone
                break
            if not some:
                break
            written += some
        os.close(master)
        process.stderr.close()
        self.assertEqual(process.wait(DEADLINE), 0)
        return written.decode().replace("\r\n", "\n")


class TestCommandLine(CtlTest):
    def test_without_a_daemon_it_is_four_and_the_kernel_is_named_instead(self):
        self.assertEqual(self.ctl("status", exit_status=4), "")
        self.assertIn("nft list table inet portsentry", self.complaint)
        self.assertEqual(self.data("list", exit_status=4)["error"]["code"], "unreachable")

    def test_mistakes_are_two_and_help_is_nought(self):
        self.ctl("staus", exit_status=2)
        self.assertIn("did you mean 'status'?", self.complaint)
        self.ctl(exit_status=2)
        self.ctl("ban", exit_status=2)
        self.assertIn("usage: portsentryctl VERB", self.ctl("--help"))
        self.assertIn("--allow-for TIME", self.ctl("unban", "--help"))
        self.assertRegex(self.ctl("-V"), r"^portsentryctl \d")

    def test_check_needs_no_daemon(self):
        self.configure()
        self.ctl("check", "-f", CONF)
        lab.write_root_file(CONF, 'TCP_PORTS="1-100"\nBLOCK_TCP="3"\n')
        self.assertIn("BLOCK_TCP", self.ctl("check", "-f", CONF, exit_status=1) + self.complaint)
        broken = self.data("check", "-f", str(CONF), exit_status=1)
        self.assertFalse(broken["good"])
        self.assertTrue(any("BLOCK_TCP" in line for line in broken["lines"]), broken)

    def test_check_asks_about_the_file_that_the_daemon_runs_with(self):
        other = CONF.with_name("other.conf")
        self.configure()
        lab.write_root_file(other, CONF.read_text())
        CONF.unlink()
        self.launch(("-f", other)).await_ready()
        self.assertEqual(self.data("check")["file"], str(other))


class TestTerminals(CtlTest):
    def setUp(self):
        super().setUp()
        self.daemon = self.start()

    def test_a_pipe_gets_neither_colour_nor_tabs_nor_wrapped_lines(self):
        text = self.ctl("status")
        self.assertRegex(text, r"^mode +armed")
        self.assertNotIn("\x1b", text)
        self.assertNotIn("\t", text)
        self.assertTrue(all(line == line.rstrip() for line in text.splitlines()))

    def test_no_line_is_wider_than_the_terminal(self):
        for columns in (120, 80, 60, 40):
            text = self.at_terminal("status", columns=columns, NO_COLOR="1")
            self.assertNotIn("\x1b", text)
            for line in text.splitlines():
                self.assertLessEqual(len(line), columns, line)

    def test_colour_is_for_terminals_that_know_it(self):
        self.assertIn("\x1b[32m", self.at_terminal("status"))
        self.assertNotIn("\x1b", self.at_terminal("status", TERM="dumb"))
        self.assertNotIn("\x1b", self.at_terminal("status", NO_COLOR="1"))

    def test_every_counter_of_every_page_is_in_the_json(self):
        counters = self.data("status")["counters"]
        self.assertIn("detections", counters)
        self.assertIn("sensor_seen", counters)
        self.assertGreater(len(counters), 48)

    def test_status_tells_the_mode_first(self):
        self.assertTrue(self.ctl("status").startswith("mode "))
        self.assertTrue(self.data("status")["armed"])

    def test_status_tells_the_number_that_the_kernel_has_for_the_launcher_and_the_monitor(self):
        roles = self.daemon.roles()
        shown = {process["name"]: process["pid"] for process in self.data("status")["processes"]}
        for role in ("launcher", "monitor"):
            self.assertEqual(shown[role], roles[role], role)


class TestCompletion(CtlTest):
    SCRIPT = """
        portsentryctl() { [[ "$*" == 'list --plain' ]] && printf '192.0.2.7\\n2001:db8::/64\\n'; }
        source "$1"
        COMP_LINE=$2 COMP_POINT=${#2} COMP_WORDBREAKS=$' \\t\\n"\\'><=;|&(:'
        _portsentryctl 2>&1
        printf '%s\\n' "${COMPREPLY[@]}"
    """

    def complete(self, line):
        done = subprocess.run(["bash", "--norc", "-c", self.SCRIPT, "bash",
                               TREE / "contrib/completion/portsentryctl.bash", line],
                              stdout=subprocess.PIPE, text=True, timeout=20, check=True)
        return done.stdout.split()

    def test_verbs_flags_and_what_is_banned(self):
        self.assertEqual(self.complete("portsentryctl un"), ["unban"])
        self.assertEqual(self.complete("portsentryctl unban 192"), ["192.0.2.7"])
        self.assertEqual(self.complete("portsentryctl unban a"), ["all"])
        self.assertEqual(self.complete("portsentryctl ban 192.0.2.7 --p"), ["--permanent"])
        self.assertEqual(self.complete("portsentryctl top --by p"), ["port"])

    def test_of_an_ipv6_address_what_follows_the_last_colon(self):
        self.assertEqual(self.complete("portsentryctl why 2001:d"), ["db8::/64"])

    ZSH = """
        PS1='ready> ' fpath=(%s $fpath)
        portsentryctl() { [[ "$*" == 'list --plain' ]] && print -l 192.0.2.7 2001:db8::/64 || print -r -- "ran <$*>" }
        autoload -Uz compinit && compinit -D -u
        print set up
    """

    def zsh(self, *lines):
        """What each line, typed into a zsh of its own with its tabs, has become when it is run."""
        if not shutil.which("zsh"):
            self.skipTest("zsh is not installed (Debian package zsh)")
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
        shell = subprocess.Popen(["zsh", "-f", "-i"], stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                 env={**ENVIRONMENT, "TERM": "dumb", "HOME": "/run/lab"})
        os.close(slave)
        self.addCleanup(os.close, master)
        self.addCleanup(shell.wait, DEADLINE)
        self.addCleanup(shell.kill)
        said = ""

        def hear(pattern):
            nonlocal said
            end = time.monotonic() + DEADLINE
            while not (found := re.search(pattern, said)):
                left = max(end - time.monotonic(), 0)
                self.assertTrue(select.select([master], [], [], left)[0], f"no {pattern!r} in {said!r}")
                said += os.read(master, 65536).decode(errors="replace")
            said = said[found.end():]
            return found

        script = lab.LAB_DIR / "completion.zsh"
        script.write_text(self.ZSH % (TREE / "contrib/completion"))
        os.write(master, f"source {script}\n".encode())
        hear(r"set up\r?\n")
        became = []
        for line in lines:
            hear("ready> ")
            os.write(master, f"{line}\n".encode())
            became.append(hear(r"\nran <(.*)>")[1].split())
        return became

    def test_zsh_knows_the_same(self):
        self.assertEqual(self.zsh("portsentryctl unb\t", "portsentryctl unban 19\t", "portsentryctl unban al\t",
                                  "portsentryctl top --by po\t"),
                         [["unban"], ["unban", "192.0.2.7"], ["unban", "all"], ["top", "--by", "port"]])

    def test_both_name_every_verb(self):
        verbs = set(re.findall(r"^  ([a-z]+)  ", self.ctl("--help"), re.M)) | {"help"}
        self.assertGreater(len(verbs), 15)
        self.assertEqual({word for word in self.complete("portsentryctl ") if word[0] != "-"}, verbs)
        named = re.findall(r"^    '([a-z]+):", (TREE / "contrib/completion/_portsentryctl").read_text(), re.M)
        self.assertEqual(set(named), verbs)


if __name__ == "__main__":
    unittest.main()
