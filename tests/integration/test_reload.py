"""SIGHUP: a new generation of the configuration, whole or not at all, without a gap and without a loss."""

import os
import resource
import signal
import threading

from lab import CONF, IGNORE, LAB_DIR, PATIENCE, STATE, LabTest, await_true, process_state, write_root_file

HISTORY = STATE / "portsentry.history"
BLOCKED = STATE / "portsentry.blocked"


class Reloading(LabTest):
    def hang_up(self, daemon):
        since = daemon.mark()
        daemon.process.send_signal(signal.SIGHUP)
        return since

    def reload(self, daemon, ignore="", **changes):
        """A changed configuration in force: its generation."""
        self.configure(ignore, **changes)
        since = self.hang_up(daemon)
        return int(daemon.await_line(r"adminalert: configuration read again: generation (\d+)$", since=since)[1])

    def refused(self, daemon, pattern, since):
        daemon.await_line(rf"adminalert: ERROR: reload refused: .*{pattern}.*; generation \d+ stays$", since=since)

    def sensors(self, daemon):
        return {pid for pid, name in daemon.family().items() if name == "portsentry-sensor"}

    def pid_of(self, daemon, binary):
        pid, = (pid for pid, name in daemon.family().items() if name == binary)
        return pid

    def assert_bans(self, daemon, source, port=23):
        since = daemon.mark()
        self.send(self.syn(port, source=source))
        self.await_ban(daemon, source, since)


class WithoutANewSensor(Reloading):
    def test_ignore_list_and_block_time_change_and_the_sensor_goes_on(self):
        daemon = self.start()
        roles = daemon.roles()
        self.assertEqual(self.reload(daemon, ignore="10.77.0.40\n", BLOCK_TIME="1h"), 2)
        self.send(self.syn(23, source="10.77.0.40"))
        since = daemon.mark()
        self.send(self.syn(23, source="10.77.0.41"))
        daemon.await_line(self.blocked_line("10.77.0.41", duration="1h"), since=since)
        self.assertEqual(self.lab.banned(), {"10.77.0.41"})
        self.assertEqual(daemon.roles(), roles)

    def test_ban_of_a_host_that_is_now_ignored_is_lifted(self):
        daemon = self.start()
        self.send(self.syn(23))
        self.await_ban(daemon, self.scanner.v4)
        self.reload(daemon, ignore=f"{self.scanner.v4}\n")
        await_true(lambda: self.lab.banned() == set(), "the ban lifted")
        self.assert_reachable(4)

    def test_other_bans_stay_as_they_are(self):
        daemon = self.start()
        self.assert_bans(daemon, "10.77.0.40")
        before = self.lab.ban_set("ban4")
        self.reload(daemon, BLOCK_TIME="1h")
        self.assertEqual(self.lab.ban_set("ban4").keys(), before.keys())
        self.assertLessEqual(self.lab.ban_set("ban4")["10.77.0.40"], 1890)


class WithANewSensor(Reloading):
    def test_no_probe_of_a_running_scan_is_lost_when_the_ports_change(self):
        """Each probe comes from a source of its own, all the while; each must end in a ban."""
        self.guard.ip("addr add 10.77.1.254/16 dev eth0")
        daemon = self.start(TCP_PORTS="1-60000")
        before = self.sensors(daemon)
        probed = []
        ended = threading.Event()

        def probe():
            while not ended.wait(0.005) and len(probed) < 250:
                number = len(probed) + 1
                self.send(self.syn(1000 + number, source=f"10.77.1.{number}", target="10.77.0.1"))
                probed.append(f"10.77.1.{number}")

        scan = threading.Thread(target=probe)
        scan.start()
        for number in range(200):
            self.reload(daemon, TCP_PORTS=f"1-{59000 + number}")
            if number >= 5 and len(probed) >= 30:
                break
        ended.set()
        scan.join()
        await_true(lambda: set(probed) <= self.lab.banned(), f"a ban for each of {len(probed)} probes")
        self.assertFalse(self.sensors(daemon) & before)

    def test_hits_below_the_trigger_survive(self):
        daemon = self.start(SCAN_TRIGGER="3")
        self.send(self.syn(23), self.syn(25))
        self.await_seen(daemon)
        self.reload(daemon, SCAN_TRIGGER="3", TCP_PORTS="1-200")
        self.send(self.syn(180))
        self.await_ban(daemon, self.scanner.v4)

    def await_seen(self, daemon):
        """A sentinel whose third port is reported: what was sent before it has been judged."""
        self.send(*(self.syn(port, source="10.77.0.99") for port in (10, 11, 12)))
        self.await_ban(daemon, "10.77.0.99")

    def test_no_connection_to_a_bound_port_is_refused_meanwhile(self):
        keys = {"TCP_MODE": "tcp", "UDP_MODE": "", "TCP_PORTS": "7000-7003"}
        daemon = self.start(ignore=f"{self.scanner.v4}\n", **keys)
        answers = []
        ended = threading.Event()

        def knock():
            while not ended.is_set():
                # A SYN that meets a socket in its last moment is repeated after a second.
                answers.append(self.scanner.tcp_answer(self.guard.v4, 7001, timeout=3))

        visitor = threading.Thread(target=knock)
        visitor.start()
        for number in range(10):
            self.reload(daemon, ignore=f"{self.scanner.v4}\n", **dict(keys, TCP_PORTS=f"7000-{7003 + number}"))
        ended.set()
        visitor.join()
        self.assertEqual(set(answers), {"open"})
        self.assertEqual(self.scanner.tcp_answer(self.guard.v4, 7012), "open")

    def test_new_ports_are_watched_and_old_ones_are_not(self):
        daemon = self.start(TCP_PORTS="1-100")
        self.reload(daemon, TCP_PORTS="200-300")
        self.send(self.syn(23, source="10.77.0.40"))
        self.assert_bans(daemon, "10.77.0.41", port=250)
        self.assertEqual(self.lab.banned(), {"10.77.0.41"})

    def test_successor_that_is_killed_leaves_all_as_it_was(self):
        daemon = self.start()
        before = self.sensors(daemon)
        roles = daemon.roles()
        self.configure(TCP_PORTS="1-200")
        # The first successor is stopped before it is ready, and dies.
        self.hold_new_sensors(daemon, before)
        since = self.hang_up(daemon)
        successor = self.next_sensor(daemon, before)
        os.kill(successor, signal.SIGKILL)
        self.refused(daemon, "the new sensor", since)
        self.assertEqual(daemon.roles(), roles)
        self.assert_bans(daemon, "10.77.0.40")

    def test_successor_that_never_gets_ready_is_given_up(self):
        daemon = self.start()
        before = self.sensors(daemon)
        self.configure(TCP_PORTS="1-200")
        self.hold_new_sensors(daemon, before)
        since = self.hang_up(daemon)
        self.next_sensor(daemon, before)
        self.refused(daemon, "did not get ready", since)
        await_true(lambda: self.sensors(daemon) == before, "the old sensor alone")
        self.assert_bans(daemon, "10.77.0.40")

    def hold_new_sensors(self, daemon, known):
        """Stops each new sensor as soon as it is seen: a machine that is too busy to start one."""
        self.held = set()
        done = threading.Event()
        self.addCleanup(done.set)

        def hold():
            while not done.wait(0.0005):
                for pid in self.sensors(daemon) - known - self.held:
                    os.kill(pid, signal.SIGSTOP)
                    self.held.add(pid)

        threading.Thread(target=hold, daemon=True).start()

    def next_sensor(self, daemon, known):
        await_true(lambda: self.held, "a successor")
        successor, = self.held
        await_true(lambda: process_state(successor) == "T", "it stopped")
        return successor

    def test_monitor_killed_in_mid_reload_ends_the_daemon_and_bans_stay(self):
        daemon = self.start()
        self.assert_bans(daemon, "10.77.0.40")
        before = self.sensors(daemon)
        self.configure(TCP_PORTS="1-200")
        self.hold_new_sensors(daemon, before)
        self.hang_up(daemon)
        self.next_sensor(daemon, before)
        os.kill(self.pid_of(daemon, "portsentry-monitor"), signal.SIGKILL)
        self.assertEqual(daemon.await_exit(), 1)
        self.assertEqual(self.lab.banned(), {"10.77.0.40"})


class Refused(Reloading):
    def stays(self, daemon, since, pattern):
        roles = daemon.roles()
        self.refused(daemon, pattern, since)
        self.assert_bans(daemon, "10.77.0.40")
        self.assertEqual(daemon.roles(), roles)

    def test_broken_file_names_file_line_and_key(self):
        daemon = self.start()
        write_root_file(CONF, CONF.read_text() + 'SCAN_TRIGGER="many"\n')
        line = len(CONF.read_text().splitlines())
        since = self.hang_up(daemon)
        daemon.await_line(rf"{CONF}:{line}: error: SCAN_TRIGGER: ", since=since)
        self.stays(daemon, since, "1 mistake")

    def test_broken_ignore_file_names_file_and_line(self):
        daemon = self.start()
        write_root_file(IGNORE, "10.77.0.3\nnot an address\n")
        since = self.hang_up(daemon)
        daemon.await_line(rf"{IGNORE}:2: error: ", since=since)
        self.stays(daemon, since, "mistake")

    def test_missing_file(self):
        daemon = self.start()
        CONF.unlink()
        self.stays(daemon, self.hang_up(daemon), "No such file")

    def test_file_that_others_may_write(self):
        daemon = self.start()
        CONF.chmod(0o666)
        self.stays(daemon, self.hang_up(daemon), "")

    def test_missing_ignore_file(self):
        daemon = self.start()
        IGNORE.unlink()
        self.stays(daemon, self.hang_up(daemon), "No such file")

    def test_more_listening_ports_than_descriptors(self):
        daemon = self.start()
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (1024, 1024))
        self.configure(TCP_MODE="tcp", TCP_PORTS="20000-20999")
        since = self.hang_up(daemon)
        daemon.await_line(r"1000 ports takes 1192 descriptors, and the limit is 1024 .*: 832 ports would fit", since=since)
        self.stays(daemon, since, "")

    def test_repaired_file_is_taken(self):
        daemon = self.start()
        good = CONF.read_text()
        write_root_file(CONF, good + 'SCAN_TRIGGER="many"\n')
        self.refused(daemon, "mistake", self.hang_up(daemon))
        write_root_file(CONF, good)
        since = self.hang_up(daemon)
        daemon.await_line(r"configuration read again: generation 3$", since=since)


class Files(Reloading):
    def test_history_blocked_and_log_file_are_opened_anew_after_a_rename(self):
        log = STATE / "portsentry.log"
        daemon = self.start(LOG_FILE=log)
        self.assert_bans(daemon, "10.77.0.40")
        old = {}
        for path in (HISTORY, BLOCKED, log):
            old[path] = path.with_suffix(".1")
            path.rename(old[path])
        since = self.hang_up(daemon)
        daemon.await_line("configuration read again", since=since)
        rotated = {path: old[path].read_bytes() for path in old}
        self.assert_bans(daemon, "10.77.0.41")
        await_true(lambda: all("10.77.0.41" in path.read_text() for path in old), "the new files written")
        self.assertEqual({path: old[path].read_bytes() for path in old}, rotated)
        self.assertIn("10.77.0.40", BLOCKED.read_text())  # what holds, not what is new

    def test_logrotate_works_while_the_configuration_is_broken(self):
        daemon = self.start()
        self.assert_bans(daemon, "10.77.0.40")
        HISTORY.rename(HISTORY.with_suffix(".1"))
        write_root_file(CONF, CONF.read_text() + 'SCAN_TRIGGER="many"\n')
        self.refused(daemon, "mistake", self.hang_up(daemon))
        self.assert_bans(daemon, "10.77.0.41")
        await_true(lambda: "10.77.0.41" in HISTORY.read_text(), "the new history written")

    def test_output_file_that_cannot_be_opened_keeps_the_old_one_and_the_rest_counts(self):
        daemon = self.start()
        since = daemon.mark()
        self.reload(daemon, HISTORY_FILE="/var/lib/missing/history", BLOCK_TIME="1h")
        daemon.await_line(r"adminalert: ERROR: .*HISTORY_FILE.*the old one stays in use", since=since)
        self.send(self.syn(23, source="10.77.0.40"))
        daemon.await_line(self.blocked_line("10.77.0.40", duration="1h"), since=since)
        await_true(lambda: "10.77.0.40" in HISTORY.read_text(), "the old history written")


class Arming(Reloading):
    def test_arming_by_reload_makes_the_table_and_bans(self):
        daemon = self.start(BLOCK_TCP="0", BLOCK_UDP="0")
        self.assertFalse(self.lab.has_table())
        self.reload(daemon)
        await_true(self.lab.has_rules, "the table")
        self.assert_bans(daemon, "10.77.0.40")

    def test_disarming_by_reload_leaves_what_holds_and_bans_nobody_else(self):
        daemon = self.start()
        self.assert_bans(daemon, "10.77.0.40")
        self.reload(daemon, BLOCK_TCP="0", BLOCK_UDP="0")
        since = daemon.mark()
        self.send(self.syn(23, source="10.77.0.41"))
        daemon.await_line("would ban", since=since)
        self.assertEqual(self.lab.banned(), {"10.77.0.40"})


class Commands(Reloading):
    ROUTE = {"KILL_ROUTE": "/usr/bin/touch /run/lab/route-$TARGET$", "KILL_ROUTE_REMOVE": "/bin/rm /run/lab/route-$TARGET$"}

    def routes(self):
        return {path.name.removeprefix("route-") for path in LAB_DIR.glob("route-*")}

    def command_bans(self, daemon, source):
        since = daemon.mark()
        self.send(self.syn(23, source=source))
        daemon.await_line(rf"Host {source} has been blocked via dropped route using command: ", since=since)
        self.assertIn(source, self.routes())

    def test_bans_move_to_nftables_and_back(self):
        daemon = self.start(**self.ROUTE)
        self.command_bans(daemon, "10.77.0.40")
        self.assertEqual(self.lab.banned(), set())
        self.reload(daemon)
        await_true(lambda: self.lab.banned() == {"10.77.0.40"}, "the ban in the kernel")
        await_true(lambda: self.routes() == set(), "the command's rule undone")
        self.assert_bans(daemon, "10.77.0.41")
        self.reload(daemon, **self.ROUTE)
        await_true(lambda: self.routes() == {"10.77.0.40", "10.77.0.41"}, "both bans by the command")
        await_true(lambda: self.lab.banned() == set(), "and by nothing else")

    def test_ban_of_an_old_command_ends_by_the_undo_of_the_old_command(self):
        daemon = self.start(BLOCK_TIME="3s", **self.ROUTE)
        self.command_bans(daemon, "10.77.0.40")
        self.reload(daemon, **{key: value.replace("route-", "route-new-") for key, value in self.ROUTE.items()})
        self.assertEqual(self.routes(), {"10.77.0.40"})
        await_true(lambda: self.routes() == set(), "the ban's end")


class Resolver(Reloading):
    def resolvers(self, daemon):
        return {pid for pid, name in daemon.family().items() if name == "portsentry-resolver"}

    def test_it_comes_and_goes_with_the_configuration(self):
        daemon = self.start()
        self.assertEqual(self.resolvers(daemon), set())
        roles = daemon.roles()
        self.reload(daemon, RESOLVE_HOST="1")
        await_true(lambda: len(self.resolvers(daemon)) == 1, "a resolver")
        first = self.resolvers(daemon)
        for pid in first:
            os.kill(pid, signal.SIGKILL)
        await_true(lambda: self.resolvers(daemon) and self.resolvers(daemon) != first, "another one")
        self.reload(daemon)
        await_true(lambda: self.resolvers(daemon) == set(), "no resolver")
        self.assertEqual(daemon.roles(), roles)
        self.assert_bans(daemon, "10.77.0.40")


class Storm(Reloading):
    def test_two_hundred_hang_ups_end_in_the_last_configuration(self):
        daemon = self.start()
        before = self.sensors(daemon)
        for number in range(200):
            if number % 10 == 0:
                since = daemon.mark()
                self.configure(TCP_PORTS=f"1-{100 + number}")
            daemon.process.send_signal(signal.SIGHUP)
            if number % 10 == 9:  # ten in a row, and the next ten into what they have begun
                daemon.await_line("configuration read again", since=since)
        self.configure(TCP_PORTS="1-400", BLOCK_TIME="1h")
        self.hang_up(daemon)

        def in_force():
            self.send(self.syn(399, source="10.77.0.40"))
            return "10.77.0.40" in self.lab.banned()
        await_true(in_force, "the last configuration in force", 20 * PATIENCE)
        await_true(lambda: len(self.sensors(daemon)) == 1, "one sensor")
        self.assertFalse(self.sensors(daemon) & before)
        self.assertEqual(daemon.stop(), 0)

    def test_hang_up_during_the_start_is_not_lost(self):
        self.configure()
        daemon = self.launch()
        await_true(lambda: len(daemon.family()) >= 3, "the first children")
        write_root_file(CONF, CONF.read_text().replace('"30m"', '"1h"'))
        daemon.process.send_signal(signal.SIGHUP)
        daemon.await_line(r"configuration read again: generation 2$")
        daemon.await_ready()
        self.send(self.syn(23))
        daemon.await_line(self.blocked_line(self.scanner.v4, duration="1h"))
