"""A start that cannot succeed: one line of reason, the right exit status, nothing half-made left."""

import os
import pathlib
import shutil

from lab import BIN, CONF, CONTROL, IGNORE, USERS, LabTest, bind, config_text, write_root_file

OK, RUNTIME, USAGE, PRIVILEGE, CONFIGURATION = 0, 1, 2, 77, 78
FEW_DESCRIPTORS = ("prlimit", "--nofile=1024:1024", "--")
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--")


class RefusedStart(LabTest):
    def refused(self, status, reason, wrapper=(), arguments=("-f", CONF), lines=1):
        before = self.lab.tables()
        daemon = self.launch(arguments, wrapper)
        self.assertEqual(daemon.await_exit(), status, daemon.transcript())
        self.assertEqual(len(daemon.matching(reason)), 1, daemon.transcript())
        self.assertEqual(len(daemon.lines), lines, daemon.transcript())
        self.assertEqual(daemon.matching("active and listening"), [])
        self.assertEqual(self.lab.tables(), before)
        self.assertFalse(CONTROL.exists())
        return daemon

    def test_missing_configuration(self):
        CONF.unlink(missing_ok=True)
        self.refused(CONFIGURATION, rf"{CONF}: No such file or directory")

    def test_broken_configuration_names_file_line_and_key(self):
        self.configure(SCAN_TRIGGER="lots")
        self.refused(CONFIGURATION, rf"{CONF}:5: .*SCAN_TRIGGER.*")

    def test_more_listening_ports_than_descriptors(self):
        self.configure(TCP_MODE="tcp", TCP_PORTS="20000-20999")
        self.refused(CONFIGURATION, r"1000 ports takes 1192 descriptors, and the limit is 1024 .*: 832 ports would fit; "
                                    r"raise it \(LimitNOFILE=.*, or use stcp", wrapper=FEW_DESCRIPTORS)

    def test_user_of_the_resolver_missing(self):
        self.configure(RESOLVE_HOST="1")
        passwd = pathlib.Path("/etc/passwd")
        passwd.write_text("".join(line for line in passwd.read_text().splitlines(True) if "-resolver:" not in line))
        self.refused(CONFIGURATION, r"RESOLVE_HOST: user portsentry-resolver does not exist; create it with: useradd")
        self.configure()
        self.launch().await_ready()

    def test_resolver_that_is_another_process_of_ours_by_its_user(self):
        """Whoever holds the resolver would be the sensor's or the monitor's equal to the kernel."""
        passwd = pathlib.Path("/etc/passwd")
        before = passwd.read_text()
        self.configure(RESOLVE_HOST="1")
        for other in ("portsentry", "portsentry-sensor"):
            passwd.write_text(before.replace(f":{USERS['portsentry-resolver']}:", f":{USERS[other]}:", 1))
            self.refused(CONFIGURATION, "RESOLVE_HOST: user portsentry-resolver must not have another one's number")

    def test_command_without_its_program_when_nothing_else_may_ban(self):
        self.configure(FIREWALL="command", KILL_ROUTE="/usr/bin/gone $TARGET$")
        self.refused(CONFIGURATION, r"KILL_ROUTE cannot be used: .*/usr/bin/gone")

    def test_command_without_its_program_gives_way_to_nftables_loudly(self):
        self.configure(KILL_ROUTE="/usr/bin/gone $TARGET$")
        daemon = self.launch().await_ready()
        self.assertEqual(len(daemon.matching(r"KILL_ROUTE cannot be used: .*/usr/bin/gone.*: nftables bans")), 1)
        self.send(self.syn(23))
        self.await_ban(daemon, self.scanner.v4)

    def test_two_mistakes_are_both_named(self):
        self.configure(SCAN_TRIGGER="lots", FIREWALL="nftable")
        self.refused(CONFIGURATION, r"SCAN_TRIGGER: found", lines=2)
        self.refused(CONFIGURATION, r"FIREWALL.*nftables", lines=2)

    def test_configuration_of_somebody_else(self):
        self.configure()
        os.chown(CONF, 65534, 65534)
        self.refused(CONFIGURATION, rf"{CONF} belongs to uid 65534, not to root")

    def test_configuration_that_others_may_write(self):
        self.configure()
        CONF.chmod(0o666)
        self.refused(CONFIGURATION, rf"{CONF} can be written by anybody")

    def test_configuration_below_a_directory_that_others_may_write(self):
        self.configure()
        CONF.parent.chmod(0o777)
        self.refused(CONFIGURATION, rf"{CONF.parent} can be written by anybody")

    def test_configuration_behind_a_symbolic_link(self):
        self.configure()
        CONF.rename(CONF.with_suffix(".real"))
        CONF.symlink_to(CONF.with_suffix(".real"))
        self.refused(CONFIGURATION, rf"{CONF} is a symbolic link")

    def test_configuration_that_is_a_directory(self):
        CONF.mkdir()
        self.refused(CONFIGURATION, rf"{CONF}")

    def test_configuration_that_is_a_fifo_does_not_hang(self):
        os.mkfifo(CONF, 0o644)
        self.refused(CONFIGURATION, rf"{CONF}")

    def test_missing_ignore_file(self):
        self.configure()
        IGNORE.unlink()
        self.refused(CONFIGURATION, rf"{IGNORE}: No such file or directory")

    def test_broken_ignore_file_names_file_and_line(self):
        self.configure(ignore="10.77.0.0/33\n")
        self.refused(CONFIGURATION, rf"{IGNORE}:1: ")

    def test_ignore_file_of_somebody_else(self):
        self.configure()
        os.chown(IGNORE, 65534, 65534)
        self.refused(CONFIGURATION, rf"{IGNORE} belongs to uid 65534, not to root")

    def test_history_file_that_is_a_link_is_not_followed(self):
        victim = pathlib.Path("/etc/portsentry/victim")
        write_root_file(victim, "mine\n")
        history = pathlib.Path("/etc/portsentry/history")
        history.symlink_to(victim)
        self.configure(HISTORY_FILE=history)
        self.refused(CONFIGURATION, rf"{history}")
        self.assertEqual(victim.read_text(), "mine\n")

    def test_output_file_that_is_also_the_configuration(self):
        """The monitor writes the one, root believes the other; by whatever name."""
        for key, path in (("HISTORY_FILE", CONF), ("BLOCKED_FILE", f"{CONF.parent}/./{CONF.name}"),
                          ("BLOCKED_FILE", f"{IGNORE.parent}//{IGNORE.name}")):
            self.configure(**{key: path})
            before = CONF.read_text()
            self.refused(CONFIGURATION, rf"{key} is the same file as {CONF.parent}")
            self.assertEqual(CONF.read_text(), before)

    def test_history_and_blocked_file_may_lie_beside_the_configuration(self):
        history, blocked = CONF.with_name("history"), CONF.with_name("blocked")
        write_root_file(history, "1 - older\n", 0o600)
        self.configure(HISTORY_FILE=history, BLOCKED_FILE=blocked)
        daemon = self.launch().await_ready()
        self.send(self.syn(23))
        self.await_ban(daemon, self.scanner.v4)
        daemon.await_line("Port: 23 TCP Blocked$")
        daemon.stop()
        self.assertRegex(history.read_text(), rf"^1 - older\n\d+ - .* Host: {self.scanner.v4}/.* Port: 23 TCP Blocked\n$")
        self.assertRegex(blocked.read_text(), rf"^{self.scanner.v4} - Blocked: \w{{3}} \d\d \d\d:\d\d:\d\d \d{{4}}\n$")

    def test_unreadable_file_of_mode_0600_is_fine_for_root(self):
        self.configure(ignore=f"{self.scanner.v4}\n")
        CONF.chmod(0o600)
        IGNORE.chmod(0o600)
        daemon = self.launch().await_ready()
        self.send(self.syn(23))
        self.await_sentinel(daemon)
        self.assert_unnoticed(daemon)

    def test_unreadable_file_without_the_right_to_override(self):
        self.configure()
        CONF.chmod(0)
        self.refused(CONFIGURATION, rf"{CONF}: Permission denied",
                     wrapper=("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--"))

    def test_without_cap_net_admin(self):
        self.configure()
        self.refused(PRIVILEGE, r"CAP_NET_ADMIN", wrapper=("setpriv", "--bounding-set=-net_admin", "--"))

    def test_without_cap_net_raw(self):
        self.configure()
        self.refused(PRIVILEGE, r"CAP_NET_RAW", wrapper=("setpriv", "--bounding-set=-net_raw", "--"))

    def test_as_an_ordinary_user(self):
        self.configure()
        self.refused(PRIVILEGE, r"root", wrapper=NOBODY)

    def refused_with_another_nft(self, other, status, reason, checked=OK, **changes):
        self.configure(**changes)
        path = os.path.realpath(shutil.which("nft"))
        before = self.lab.tables()
        real = pathlib.Path("/run/lab/nft")
        shutil.copy(path, real)
        bind(other, path)
        daemon = self.launch()
        self.assertEqual(daemon.await_exit(), status, daemon.transcript())
        self.assertEqual(len(daemon.matching(reason)), 1, daemon.transcript())
        done = self.guard.run([*NOBODY, BIN / "portsentryd", "-t"], check=False)
        self.assertEqual(done.returncode, checked, done.stdout)
        bind(real, path)
        self.assertEqual(self.lab.tables(), before)
        self.assertFalse(CONTROL.exists())

    def test_nft_missing(self):
        write_root_file(pathlib.Path("/run/lab/not-nft"), "")
        self.refused_with_another_nft("/run/lab/not-nft", CONFIGURATION, r"nft is not installed", CONFIGURATION)

    def test_nft_missing_where_it_was_to_stand_in_for_a_command(self):
        write_root_file(pathlib.Path("/run/lab/not-nft"), "")
        self.refused_with_another_nft("/run/lab/not-nft", CONFIGURATION,
                                      r"KILL_ROUTE cannot be used: .*/usr/bin/gone.*: nft is not installed",
                                      CONFIGURATION, KILL_ROUTE="/usr/bin/gone $TARGET$")

    def test_nft_that_fails(self):
        self.refused_with_another_nft(shutil.which("false"), RUNTIME, r"nft could not make the table inet portsentry")

    def test_nft_that_hangs_is_killed(self):
        # tail, too, understands -f -, and never ends.
        self.refused_with_another_nft(shutil.which("tail"), RUNTIME, r"nft did not end within ten seconds")

    def user_missing(self, user):
        self.configure()
        passwd = pathlib.Path("/etc/passwd")
        passwd.write_text("".join(line for line in passwd.read_text().splitlines(True)
                                  if line.split(":")[0] != user))
        self.refused(CONFIGURATION, rf"\b{user}\b(?!-)")

    def test_user_of_the_monitor_missing(self):
        self.user_missing("portsentry")

    def test_user_of_the_sensor_missing(self):
        self.user_missing("portsentry-sensor")

    def test_user_of_the_scout_missing(self):
        self.user_missing("portsentry-scout")

    def test_scout_that_is_another_process_of_ours_by_its_user(self):
        passwd = pathlib.Path("/etc/passwd")
        before = passwd.read_text()
        for other in ("portsentry", "portsentry-sensor"):
            passwd.write_text(before.replace(f":{USERS['portsentry-scout']}:", f":{USERS[other]}:", 1))
            self.refused(CONFIGURATION, "user portsentry-scout must not have another one's number")

    def test_unknown_option(self):
        self.refused(USAGE, r"unknown argument .--frobnicate.", arguments=("--frobnicate",), lines=2)  # and the usage

    def test_helper_started_by_hand_says_who_starts_it(self):
        for name in ("portsentry-monitor", "portsentry-sensor", "portsentry-resolver", "portsentry-scout"):
            done = self.guard.run([BIN / name], check=False)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("portsentryd", done.stdout)


class Check(LabTest):
    """-t, -V and -h answer anybody."""

    def ask(self, *arguments, wrapper=()):
        return self.guard.run([*wrapper, BIN / "portsentryd", *arguments], check=False)

    def test_good_configuration_passes_for_any_user(self):
        self.configure()
        for wrapper in ((), NOBODY):
            done = self.ask("-t", "-f", CONF, wrapper=wrapper)
            self.assertEqual(done.returncode, OK, done.stdout)
        self.assertEqual(self.lab.tables(), set())

    def test_more_listening_ports_than_descriptors_fail_the_check(self):
        self.configure(TCP_MODE="tcp", TCP_PORTS="20000-20999")
        done = self.ask("-t", "-f", CONF, wrapper=FEW_DESCRIPTORS)
        self.assertEqual(done.returncode, CONFIGURATION)
        self.assertRegex(done.stdout, r"1192 descriptors, and the limit is 1024 .*: 832 ports would fit")

    def test_commands_are_told_and_their_programs_looked_for(self):
        self.configure(KILL_ROUTE="/usr/bin/gone $TARGET$", EXTERNAL_COMMAND="echo $TARGET$ > /dev/null")
        done = self.ask("-t", "-f", CONF, wrapper=NOBODY)
        self.assertEqual(done.returncode, CONFIGURATION)
        self.assertRegex(done.stdout, rf"{CONF}: error: KILL_ROUTE: .*/usr/bin/gone")
        self.assertRegex(done.stdout, rf"{CONF}: note: EXTERNAL_COMMAND: .*/bin/sh")

    def test_unknown_key_fails_the_check_and_only_warns_at_the_start(self):
        self.configure(SCAN_TRIGER="2")
        done = self.ask("-t", "-f", CONF)
        self.assertEqual(done.returncode, CONFIGURATION)
        self.assertRegex(done.stdout, r"SCAN_TRIGER.*SCAN_TRIGGER")
        daemon = self.launch().await_ready()
        self.assertEqual(len(daemon.matching(rf"{CONF}:\d+: warning: SCAN_TRIGER: .*did you mean SCAN_TRIGGER\?")), 1)

    def test_files_that_only_root_may_read_are_named_to_an_ordinary_user(self):
        for path in (CONF, IGNORE):
            self.configure()
            path.chmod(0o600)
            done = self.ask("-t", "-f", CONF, wrapper=NOBODY)
            self.assertEqual(done.returncode, CONFIGURATION)
            self.assertRegex(done.stdout, rf"open {path}: Permission denied")
            self.assertEqual(self.ask("-t", "-f", CONF).returncode, OK)
            path.chmod(0o644)

    def test_check_reports_ownership_as_a_warning(self):
        theirs = pathlib.Path("/run/lab/theirs.conf")
        self.configure()
        write_root_file(theirs, config_text())
        os.chown(theirs, 65534, 65534)
        done = self.ask("-t", "-f", theirs, wrapper=NOBODY)
        self.assertEqual(done.returncode, OK, done.stdout)
        self.assertRegex(done.stdout, rf"warning.*{theirs} belongs to uid 65534")

    def test_broken_files_fail_the_check(self):
        self.configure(BLOCK_TIME="soon")
        self.assertEqual(self.ask("-t", "-f", CONF, wrapper=NOBODY).returncode, CONFIGURATION)
        self.configure(ignore="example.org\n")
        self.assertEqual(self.ask("-t", "-f", CONF, wrapper=NOBODY).returncode, CONFIGURATION)

    def test_version_and_help_answer_any_user(self):
        for option, text in (("-V", r"\d+\.\d+"), ("-h", r"-f")):
            done = self.ask(option, wrapper=NOBODY)
            self.assertEqual(done.returncode, OK)
            self.assertRegex(done.stdout, text)
