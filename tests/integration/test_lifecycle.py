"""Start, stop, sudden death of every process, and somebody else's hands in the firewall."""

import json
import os
import shutil
import signal
import time

from lab import CONF, CONTROL, LAB_DIR, LIVE_PORT, PATIENCE, LabTest, await_true, is_alive


class Stop(LabTest):
    def stops_cleanly(self, number):
        daemon = self.start()
        self.send(self.syn(23))
        self.await_ban(daemon, self.scanner.v4)
        begin = time.monotonic()
        self.assertEqual(daemon.stop(number), 0)
        self.assertLess(time.monotonic() - begin, 1.0 * PATIENCE)
        daemon.await_line(r"adminalert: PortSentry is shutting down$")
        self.assertIn(self.scanner.v4, self.lab.ban_set("ban4"))
        self.assert_cut_off(4)

    def test_sigterm_stops_with_0_in_under_a_second_and_bans_stay(self):
        self.stops_cleanly(signal.SIGTERM)

    def test_sigint_stops_with_0_in_under_a_second_and_bans_stay(self):
        self.stops_cleanly(signal.SIGINT)

    def test_two_sigterms_in_a_row_are_one(self):
        daemon = self.start()
        daemon.process.send_signal(signal.SIGTERM)
        daemon.process.send_signal(signal.SIGTERM)
        self.assertEqual(daemon.await_exit(), 0)

    def test_sigterm_during_the_start_leaves_nothing_running(self):
        self.configure()
        daemon = self.launch()
        await_true(lambda: len(daemon.family()) >= 2, "a first child")
        daemon.process.send_signal(signal.SIGTERM)
        self.assertIn(daemon.await_exit(), (0, -signal.SIGTERM))


class Restart(LabTest):
    def test_bans_survive_a_restart_with_what_was_left_of_them(self):
        daemon = self.start()
        self.send(self.syn(23), self.syn(23, family=6))
        self.await_ban(daemon, self.scanner.v4)
        self.await_ban(daemon, self.scanner.v6)
        daemon.stop()
        before = self.lab.ban_set("ban4")[self.scanner.v4]
        daemon = self.launch().await_ready()
        self.assertLessEqual(self.lab.ban_set("ban4")[self.scanner.v4], before)
        self.assertIn(self.scanner.v6, self.lab.ban_set("ban6"))
        self.assert_cut_off(4)
        self.assert_cut_off(6)

    def test_ban_ends_by_itself_and_a_new_probe_bans_again(self):
        daemon = self.start(BLOCK_TIME="2s")
        self.send(self.syn(23))
        daemon.await_line(self.blocked_line(self.scanner.v4, duration="2s"))
        await_true(lambda: self.scanner.v4 not in self.lab.ban_set("ban4"), "the ban's end")
        self.assert_reachable(4)
        since = daemon.mark()
        # An update of one source leaves the sensor at most once a second: ask until it is heard.
        await_true(lambda: self.send(self.syn(24)) or
                   daemon.matching(self.blocked_line(self.scanner.v4, duration="2s"), since), "a second ban")
        self.assertIn(self.scanner.v4, self.lab.ban_set("ban4"))

    def test_second_instance_exits_naming_the_first(self):
        first = self.start()
        second = self.launch()
        self.assertEqual(second.process.wait(10), 1)
        second.await_line(rf"already running in this network namespace \(pid {first.pid}\)$", timeout=2)
        self.assertEqual(len(second.lines), 1, second.transcript())
        self.assertTrue(CONTROL.exists())
        self.send(self.syn(23))
        self.await_ban(first, self.scanner.v4)

    def test_lock_of_a_killed_daemon_does_not_hold_up_the_next(self):
        daemon = self.start()
        os.kill(daemon.pid, signal.SIGKILL)
        daemon.await_exit()
        self.launch().await_ready()


class SuddenDeath(LabTest):
    def test_dead_sensor_is_respawned_and_detects_again(self):
        daemon = self.start()
        roles = daemon.roles()
        for attempt in range(3):
            since = daemon.mark()
            os.kill(daemon.roles()["sensor"], signal.SIGKILL)
            daemon.await_line(r"adminalert: ERROR: sensor was killed by signal 9;", since=since)
            daemon.await_line(r"adminalert: sensor restarted", since=since)
            source = f"10.77.0.{40 + attempt}"
            self.send(self.syn(23, source=source))
            self.await_ban(daemon, source)
        after = daemon.roles()
        self.assertNotEqual(after.pop("sensor"), roles.pop("sensor"))
        self.assertEqual(after, roles)

    def death_of(self, role, number=signal.SIGKILL):
        daemon = self.start()
        self.send(self.syn(23))
        self.await_ban(daemon, self.scanner.v4)
        roles = daemon.roles()
        begin = time.monotonic()
        os.kill(roles[role], number)
        status = daemon.await_exit()
        # The kernel takes its time to unmap a capture ring, also after the process is dead.
        await_true(lambda: not any(is_alive(pid) for pid in roles.values()), "all processes gone",
                   begin + 1.0 * PATIENCE - time.monotonic())
        self.assertEqual(status, -number if role == "launcher" else 1)
        self.assertIn(self.scanner.v4, self.lab.ban_set("ban4"))
        self.assert_cut_off(4)
        self.launch().await_ready()
        self.assertIn(self.scanner.v4, self.lab.ban_set("ban4"))

    def test_dead_monitor_ends_the_daemon_and_bans_stay(self):
        self.death_of("monitor")

    def test_dead_enforcer_ends_the_daemon_and_bans_stay(self):
        self.death_of("enforcer")

    def test_dead_launcher_ends_the_daemon_and_bans_stay(self):
        self.death_of("launcher")

    def test_monitor_that_its_own_filter_killed_ends_the_daemon(self):
        self.death_of("monitor", signal.SIGSYS)


class ForeignHands(LabTest):
    def puts_back(self, command):
        daemon = self.start()
        self.send(self.syn(23), self.syn(23, family=6))
        self.await_ban(daemon, self.scanner.v4)
        self.await_ban(daemon, self.scanner.v6)
        begin = time.monotonic()
        self.guard.run(command)
        await_true(lambda: self.scanner.v4 in self.lab.ban_set("ban4") and
                   self.scanner.v6 in self.lab.ban_set("ban6"), "both bans back in the kernel")
        await_true(lambda: self.lab.has_rules(), "the rules back in the kernel")
        self.assertLess(time.monotonic() - begin, 1.0 * PATIENCE)
        self.assert_cut_off(4)
        self.assert_cut_off(6)
        since = daemon.mark()
        self.send(self.syn(23, source="10.77.0.31"))
        self.await_ban(daemon, "10.77.0.31", since)
        return daemon

    def test_flushed_ruleset_is_back_within_a_second(self):
        self.puts_back(["nft", "flush", "ruleset"]).await_line(r"adminalert: firewall state was lost")

    def test_deleted_table_is_back_within_a_second(self):
        self.puts_back(["nft", "delete", "table", "inet", "portsentry"])

    def test_flushed_rules_are_back_within_a_second(self):
        self.puts_back(["nft", "flush", "table", "inet", "portsentry"])

    def test_start_of_nftables_service_is_survived(self):
        """What its ExecStart and ExecReload do: a file that begins by flushing everything."""
        conf = LAB_DIR / "nftables.conf"
        conf.write_text("flush ruleset\ntable inet filter {\n  chain input {\n    type filter hook input priority filter\n"
                        "    ct state established,related accept\n  }\n}\n")
        daemon = self.puts_back(["nft", "-f", conf])
        daemon.await_line(r"adminalert: firewall state was lost; 2 bans put back")
        self.assertEqual(len(daemon.matching("firewall state was lost")), 1)
        self.assertIn(("inet", "filter"), self.lab.tables())

    def test_iptables_restore_is_survived(self):
        for variant in ("nft", "legacy"):
            if not shutil.which(f"iptables-{variant}-restore"):
                self.skipTest("iptables is not installed (Debian package iptables)")
        rules = "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT\nCOMMIT\n"
        saved = LAB_DIR / "rules.v4"
        saved.write_text(rules)
        daemon = self.puts_back(["sh", "-c", f"iptables-nft-restore {saved} && iptables-legacy-restore {saved}"])
        self.assertEqual(daemon.matching("firewall state was lost"), [], "those tables are not ours")

    def test_ban_that_an_administrator_deletes_is_over(self):
        daemon = self.start()
        self.send(self.syn(23), self.syn(23, source="10.77.0.31"))
        self.await_ban(daemon, self.scanner.v4)
        self.await_ban(daemon, "10.77.0.31")
        self.guard.run(["nft", "delete", "element", "inet", "portsentry", "ban4", f"{{ {self.scanner.v4} }}"])
        self.assert_reachable(4)
        # The next ban must not bring that one back, nor lose the other.
        self.send(self.syn(23, source="10.77.0.32"))
        self.await_ban(daemon, "10.77.0.32")
        self.assertEqual(set(self.lab.ban_set("ban4")), {"10.77.0.31", "10.77.0.32"})

    def test_ban_lifted_by_hand_is_lifted_and_the_next_probe_bans_anew(self):
        daemon = self.start()
        self.send(self.syn(23), self.syn(23, family=6))
        self.await_ban(daemon, self.scanner.v4)
        self.await_ban(daemon, self.scanner.v6)
        since = daemon.mark()
        self.guard.nft(f"delete element inet portsentry ban4 {{ {self.scanner.v4} }}")
        daemon.await_line(rf"adminalert: ban of {self.scanner.v4} was lifted by hand", since=since)
        self.assertEqual(self.scanner.tcp_answer(self.guard.v4, LIVE_PORT), "open")
        self.assertNotIn(self.scanner.v4, self.lab.ban_set("ban4"))
        self.assertIn(self.scanner.v6, self.lab.ban_set("ban6"))
        self.assertEqual(daemon.matching("firewall state was lost"), [])
        # The sensor reports a source that it knows at most once a second.
        await_true(lambda: (self.send(self.syn(24)), self.scanner.v4 in self.lab.ban_set("ban4"))[1], "banned anew")
        self.await_ban(daemon, self.scanner.v4, since)

    def test_other_tables_are_left_alone(self):
        self.guard.nft("""
            table ip theirs {
              chain c {
                type filter hook input priority 0
                counter
              }
            }
        """)
        daemon = self.start()
        self.send(self.syn(23))
        self.await_ban(daemon, self.scanner.v4)
        daemon.stop()
        self.assertIn(("ip", "theirs"), self.lab.tables())
        listing = json.loads(self.guard.run(["nft", "-j", "list", "table", "ip", "theirs"]).stdout)
        self.assertEqual(sum("rule" in item for item in listing["nftables"]), 1)

    def test_flush_of_an_unarmed_daemon_changes_nothing(self):
        daemon = self.start(BLOCK_TCP="0", BLOCK_UDP="0")
        self.guard.run(["nft", "flush", "ruleset"])
        self.send(self.syn(23))
        daemon.await_line("would ban")
        self.assertEqual(self.lab.tables(), set())
        self.assertEqual(CONF.stat().st_uid, 0)
