"""The owner's commands through the whole daemon: when they run, what is said of them, and what a restart remembers."""

import os
import re
import signal

from lab import DEADLINE, LAB_DIR, STATE, LabTest, await_true

ROUTE = {"KILL_ROUTE": "/usr/bin/touch /run/lab/route-$TARGET$", "KILL_ROUTE_REMOVE": "/bin/rm /run/lab/route-$TARGET$"}
# Like iptables: adding twice is two rules, removing takes one, or fails.
LIKE_IPTABLES = """#!/bin/sh
cd /run/lab
if [ "$1" = add ]; then
  echo "$2" >> rules
  [ ! -e slow ] || sleep 5
else
  line=$(grep -nxFm1 "$2" rules | cut -d: -f1)
  [ "$line" ] && sed -i "${line}d" rules
fi
"""
BY_COMMAND = r"attackalert: Host {} has been blocked via dropped route using command: "


class Commands(LabTest):
    def routes(self):
        return {path.name.removeprefix("route-") for path in LAB_DIR.glob("route-*")}

    def command_bans(self, daemon, source):
        since = daemon.mark()
        self.send(self.syn(23, source=source))
        daemon.await_line(BY_COMMAND.format(re.escape(source)), since=since)
        self.assertIn(source, self.routes())


class Memory(Commands):
    def test_ban_of_a_command_survives_a_restart_without_running_it_again_and_ends(self):
        daemon = self.start(BLOCK_TIME="6s", **ROUTE)
        self.command_bans(daemon, "10.77.0.40")
        daemon.stop()
        self.assertEqual(self.routes(), {"10.77.0.40"}, "a stop ends no ban")
        made = (LAB_DIR / "route-10.77.0.40").stat().st_mtime_ns
        daemon = self.start(BLOCK_TIME="6s", **ROUTE)
        daemon.await_line("1 ban of an earlier run still in force")
        self.assertEqual(daemon.matching("has been blocked"), [])
        self.assertEqual((LAB_DIR / "route-10.77.0.40").stat().st_mtime_ns, made)
        daemon.await_line("ban of 10.77.0.40 has expired", timeout=DEADLINE + 6)
        self.assertEqual(self.routes(), set())

    def test_ban_that_ended_while_nobody_was_there_is_undone_at_the_start(self):
        daemon = self.start(BLOCK_TIME="1s", **ROUTE)
        self.command_bans(daemon, "10.77.0.40")
        daemon.process.kill()
        daemon.await_exit()
        (LAB_DIR / "route-10.77.0.40").touch()  # should the undo have been faster than the kill
        self.start(BLOCK_TIME="1s", **ROUTE)
        await_true(lambda: self.routes() == set(), "the rule gone")

    def test_rule_that_somebody_removed_by_hand_is_not_undone_for_ever(self):
        """The guide's recipe for a false positive: remove the rule, name the host, restart."""
        daemon = self.start(**{**ROUTE, "KILL_ROUTE_REMOVE": "/bin/false"})
        self.command_bans(daemon, "10.77.0.40")
        daemon.stop()
        (LAB_DIR / "route-10.77.0.40").unlink()
        daemon = self.start(ignore="10.77.0.40\n", **{**ROUTE, "KILL_ROUTE_REMOVE": "/bin/false"})
        daemon.await_line("the ban is taken for ended by hand", timeout=DEADLINE + 16)
        self.assertEqual(daemon.matching("ban of 10.77.0.40 lifted"), [])  # nothing confirmed that
        self.assertEqual(daemon.counter("bans_undo_failed"), 1)

    def test_rule_whose_maker_died_before_its_answer_is_known_and_stands_once_and_ends(self):
        rules, slow = LAB_DIR / "rules", LAB_DIR / "slow"
        script = LAB_DIR / "rule"
        script.write_text(LIKE_IPTABLES)
        script.chmod(0o755)
        slow.touch()
        keys = {"KILL_ROUTE": f"{script} add $TARGET$", "KILL_ROUTE_REMOVE": f"{script} del $TARGET$", "BLOCK_TIME": "6s"}
        daemon = self.start(**keys)
        self.send(self.syn(23, source="10.77.0.40"))
        await_true(lambda: rules.exists() and rules.read_text(), "the rule")
        os.kill(daemon.roles()["monitor"], signal.SIGKILL)
        self.assertEqual(daemon.await_exit(), 1)
        self.assertEqual(rules.read_text(), "10.77.0.40\n")
        slow.unlink()
        daemon = self.start(**keys)
        daemon.await_line("1 ban of an earlier run made again")
        self.assertEqual(rules.read_text(), "10.77.0.40\n", "taken back before it was made again")
        await_true(lambda: rules.read_text() == "", "the rule gone with its ban", 6 + DEADLINE)

    def test_state_that_is_no_state_is_moved_aside_and_the_daemon_starts(self):
        daemon = self.start(**ROUTE)
        daemon.stop()
        state = STATE / "monitor" / "state.sqlite3"
        state.write_bytes(b"nonsense" * 1000)
        daemon = self.start(**ROUTE)
        self.command_bans(daemon, "10.77.0.40")


class Hooks(Commands):
    def test_what_a_command_prints_is_told_as_text(self):
        daemon = self.start(EXTERNAL_COMMAND=r"/usr/bin/printf 'hello $TARGET$\n\033[2Jtrick\n'")
        self.send(self.syn(23))
        daemon.await_line(rf"command for host {re.escape(self.scanner.v4)} said: hello {re.escape(self.scanner.v4)}$")
        daemon.await_line(r"said: \\x1b\[2Jtrick$")
        daemon.await_line(rf"External command run for host: {re.escape(self.scanner.v4)} using command: ")

    def test_command_that_still_runs_keeps_its_reader_when_many_ended_while_the_monitor_was_busy(self):
        """Else it would die of SIGPIPE, and its ban be told as failed though it holds."""
        first, last = LAB_DIR / "first", LAB_DIR / "last"
        for gate in (first, last):
            os.mkfifo(gate)
        script = LAB_DIR / "route.sh"
        script.write_text("#!/bin/sh\ntouch /run/lab/route-$1\ncase $1 in\n10.77.0.100) cat /run/lab/first;;\n"
                          "10.77.0.140) cat /run/lab/last; echo done;;\nesac\n")
        script.chmod(0o755)
        daemon = self.start(**{**ROUTE, "KILL_ROUTE": "/run/lab/route.sh $TARGET$"})
        monitor = daemon.roles()["monitor"]
        self.send(*(self.syn(23, source=f"10.77.0.{n}") for n in range(100, 141)))
        daemon.await_line("scan from host: 10.77.0.140/")
        os.kill(monitor, signal.SIGSTOP)
        first.write_text("")
        await_true(lambda: "10.77.0.140" in self.routes(), "the last command")
        os.kill(monitor, signal.SIGCONT)
        daemon.await_line(BY_COMMAND.format(re.escape("10.77.0.139")))
        last.write_text("")
        daemon.await_line(BY_COMMAND.format(re.escape("10.77.0.140")))

    def test_block_two_runs_its_command_and_bans_nobody(self):
        daemon = self.start(BLOCK_TCP="2", KILL_RUN_CMD="/usr/bin/touch /run/lab/ran-$TARGET$-$PORT$-$MODE$")
        self.send(self.syn(23))
        await_true(lambda: (LAB_DIR / f"ran-{self.scanner.v4}-23-stcp").exists(), "the command")
        daemon.await_line("External command run for host")
        self.assertEqual(daemon.matching("[Bb]locked"), [])
        self.assertEqual(self.lab.banned(), set())
        self.assert_reachable(4)

    def test_failing_command_is_told_by_its_key_and_the_ban_holds(self):
        daemon = self.start(KILL_RUN_CMD="/bin/false")
        self.send(self.syn(23))
        self.await_ban(daemon, self.scanner.v4)
        daemon.await_line(r"KILL_RUN_CMD: command ended with status 1")

    def test_loud_command_is_a_kilobyte_in_the_log_and_harms_nobody(self):
        daemon = self.start(EXTERNAL_COMMAND="/usr/bin/head -c 10000000 /dev/zero")
        self.send(self.syn(23))
        daemon.await_line(r"said: and 9998976 bytes more$")
        daemon.await_line("External command run for host")
