"""The owner's commands through the whole daemon: when they run, what is said of them, and what a restart remembers."""

import os
import re
import signal
import time

from lab import DEADLINE, LAB_DIR, PATIENCE, STATE, LabTest, await_true, bind, is_alive

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

    def test_bans_of_before_a_boot_are_made_again_once_each_after_their_removal(self):
        said = LAB_DIR / "said"
        script = LAB_DIR / "rule"
        # Like iptables after a boot: there is nothing to remove, and that is a failure.
        script.write_text(f'#!/bin/sh\necho "$1 $2" >> {said}\n[ "$1" = add ]\n')
        script.chmod(0o755)
        keys = {"KILL_ROUTE": f"{script} add $TARGET$", "KILL_ROUTE_REMOVE": f"{script} del $TARGET$", "BLOCK_TIME": "1h"}
        sources = [f"10.77.0.{n}" for n in range(40, 100)]
        daemon = self.start(**keys)
        for source in sources:
            self.send(self.syn(23, source=source))
            daemon.await_line(BY_COMMAND.format(re.escape(source)))
        daemon.stop()
        said.unlink()
        daemon = self.launch().await_ready()
        daemon.await_line("60 bans of an earlier run still in force")
        self.assertFalse(said.exists(), "the boot is the same: nothing is run again")
        self.assertEqual(daemon.status()["unverifiable"], len(sources))
        daemon.stop()

        boot_id = LAB_DIR / "boot_id"
        boot_id.write_text("00000000-0000-4000-8000-000000000001\n")
        bind(boot_id, "/proc/sys/kernel/random/boot_id")
        begin = time.monotonic()
        daemon = self.launch().await_ready()
        daemon.await_line("60 bans of an earlier run made again", timeout=60)
        self.assertLess(time.monotonic() - begin, 10 * PATIENCE)  # 50 a second, and the start; 1 s where nothing runs
        lines = said.read_text().splitlines()
        for source in sources:
            self.assertEqual([line for line in lines if line.endswith(f" {source}")], [f"del {source}", f"add {source}"])
        self.assertEqual(daemon.matching("has been blocked"), [])
        self.assertEqual(daemon.status()["unverifiable"], len(sources))

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

    def test_each_value_of_block_runs_what_it_should_for_its_own_protocol(self):
        """0: EXTERNAL_COMMAND alone. 1: the ban, and both commands. 2: both commands, and no ban."""
        ran = {"0": {"external"}, "1": {"external", "run"}, "2": {"external", "run"}}
        kinds = {"TCP": ("stcp", self.syn, 23), "UDP": ("sudp", self.datagram, 69)}
        for number, (tcp, udp) in enumerate((("0", "2"), ("1", "0"), ("2", "1")), 1):
            daemon = self.start(BLOCK_TCP=tcp, BLOCK_UDP=udp,
                                EXTERNAL_COMMAND="/usr/bin/touch /run/lab/ran-external-$TARGET$-$MODE$",
                                KILL_RUN_CMD="/usr/bin/touch /run/lab/ran-run-$TARGET$-$MODE$")
            wanted = set()
            for protocol, block in (("TCP", tcp), ("UDP", udp)):
                mode, probe, port = kinds[protocol]
                source = f"10.77.{'1' if protocol == 'UDP' else '2'}.{number}"
                wanted |= {f"ran-{what}-{source}-{mode}" for what in ran[block]}
                self.send(probe(port, source=source))
                daemon.await_line(rf"External command run for host: {re.escape(source)} ")
                if block == "1":
                    self.await_ban(daemon, source)
                self.assertEqual(source in self.lab.banned(), block == "1")
                self.assertEqual(f"Host: {source}/" in (STATE / "portsentry.history").read_text(), block == "1")
            mine = re.compile(rf"ran-.*-10\.77\.[12]\.{number}-")
            await_true(lambda mine=mine, wanted=wanted: {path.name for path in LAB_DIR.glob("ran-*")
                                                         if mine.match(path.name)} == wanted, f"{wanted}")
            daemon.stop()

    def test_run_cmd_first_has_ended_before_the_firewall_and_hosts_deny_are_touched(self):
        """1.2 ran one after the other: what KILL_RUN_CMD does to the host must still reach it."""
        order = LAB_DIR / "order"
        act = "sleep 1; grep -q $TARGET$ /etc/hosts.deny || echo run >> /run/lab/order"
        daemon = self.start(KILL_RUN_CMD_FIRST="1", KILL_RUN_CMD=act, KILL_HOSTS_DENY="ALL: $TARGET$",
                            KILL_ROUTE="echo route >> /run/lab/order; : $TARGET$")
        self.send(self.syn(23))
        daemon.await_line(rf"Host {re.escape(self.scanner.v4)} has been blocked via wrappers")
        self.assertEqual(order.read_text().split(), ["run", "route"])

    def test_run_cmd_first_that_fails_holds_no_ban_up(self):
        daemon = self.start(KILL_RUN_CMD_FIRST="1", KILL_RUN_CMD="/bin/false")
        self.send(self.syn(23))
        self.await_ban(daemon, self.scanner.v4)
        daemon.await_line("KILL_RUN_CMD: command ended with status 1")

    def test_one_scan_runs_a_command_once_and_a_crowd_ten_times(self):
        daemon = self.start(BLOCK_TCP="0", EXTERNAL_COMMAND="echo $TARGET$ >> /run/lab/told")
        self.scanner.nmap("-sS", "-p", "1-60", self.guard.v4)
        for number in range(14):
            self.send(self.syn(23, source=f"10.77.1.{number + 1}"))
        self.await_sentinel(daemon)
        await_true(lambda: len((LAB_DIR / "told").read_text().split()) == 10, "ten commands")
        told = (LAB_DIR / "told").read_text().split()
        self.assertEqual(len(set(told)), 10, told)
        self.assertIn(self.scanner.v4, told)
        self.assertGreaterEqual(daemon.counter("commands_over_budget"), 5)
        await_true(lambda: daemon.counter("commands_run") == 10, "all of them counted")

    def test_hanging_command_is_killed_with_all_it_started(self):
        daemon = self.start(BLOCK_TCP="0", EXTERNAL_COMMAND="sleep 3210 & echo started $!; wait")
        self.send(self.syn(23))
        pid = int(daemon.await_line(r"said: started (\d+)$").group(1))
        self.assertTrue(is_alive(pid))
        daemon.await_line(r"EXTERNAL_COMMAND: command did not end in time and was killed", timeout=DEADLINE + 10)
        await_true(lambda: not is_alive(pid), "the grandchild gone")

    def test_ban_without_a_known_undo_is_told_and_shown_as_holding(self):
        daemon = self.start(BLOCK_TIME="1s", KILL_ROUTE=ROUTE["KILL_ROUTE"])
        self.command_bans(daemon, "10.77.0.40")
        daemon.await_line(r"ban of 10\.77\.0\.40 is over, and no command is known that undoes it: set KILL_ROUTE_REMOVE$")
        self.assertIn("10.77.0.40", (STATE / "portsentry.blocked").read_text())

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
