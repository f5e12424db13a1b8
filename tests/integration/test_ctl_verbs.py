"""Every verb of portsentryctl through the whole daemon: what it says, and what the kernel then holds."""

import fcntl
import json
import os
import pathlib
import pty
import select
import struct
import subprocess
import termios
import time
import unittest

import lab
from lab import CONF, DEADLINE, await_true
from test_ctl import CTL, ENVIRONMENT, CtlTest

STRANGER = "198.51.100.7"
UTMP = pathlib.Path("/run/utmp")


def login_record(line, host, began):
    """One USER_PROCESS of utmp(5)."""
    return struct.pack("=hhi32s4s32s256shhiii4i20x", 7, 0, os.getpid(), line.encode(), b"x", b"admin",
                       host.encode(), 0, 0, 0, began, 0, 0, 0, 0, 0)


class VerbTest(CtlTest):
    def held(self, address):
        """Seconds that the kernel holds it still; nothing where it does not; 0: without an end."""
        for name in ("ban4", "ban6", "ban6net", "perm4", "perm6", "perm6net"):
            held = self.lab.ban_set(name)
            if address in held:
                return held[address]
        return None

    def sources(self, *words):
        return self.ctl("list", "--plain", *words).split()

    def scan(self, daemon, source=None, port=23):
        """One probe that counts, and its line."""
        source = source or self.scanner.v4
        self.send(self.syn(port, source=source))
        daemon.await_line(self.event_line(source, "TCP SYN/Normal", port=port))
        return source


class TestBans(VerbTest):
    def setUp(self):
        super().setUp()
        self.daemon = self.start()

    def test_a_scan_is_listed_explained_and_undone(self):
        self.scan(self.daemon)
        self.await_ban(self.daemon, self.scanner.v4)
        self.assertEqual(self.sources(), [self.scanner.v4])
        [ban] = self.data("list")["bans"]
        self.assertEqual((ban["source"], ban["state"], ban["origin"]), (self.scanner.v4, "enforced", "scan"))
        why = self.data("why", self.scanner.v4)
        self.assertEqual([touch["port"] for touch in why["touches"]], [23])
        self.assertEqual((why["proof"], why["proven"]), ("forgeable", False))
        self.assertEqual(why["touches"][0]["flags"], "SYN")
        self.assertIn("unban", why["undo"])
        self.assertIn("1 ban ended", self.ctl("unban", self.scanner.v4))
        self.assertIsNone(self.held(self.scanner.v4))
        self.assertEqual(self.sources(), [])
        self.assert_reachable(4)

    def test_why_tells_the_probes_after_a_restart(self):
        self.scan(self.daemon)
        self.await_ban(self.daemon, self.scanner.v4)
        self.assertEqual(self.daemon.stop(), 0)
        self.daemon = self.start()
        why = self.data("why", self.scanner.v4)
        self.assertEqual(why["ban"]["state"], "enforced")
        self.assertEqual([(touch["port"], touch["kind"]) for touch in why["touches"]], [(23, "syn")])
        self.assertEqual((why["class"], why["proof"], why["distinct_ports"]), ("single", "forgeable", 1))
        self.assertRegex(self.ctl("why", self.scanner.v4), r"(?m)^decision +as it was recorded, banned: TCP 23 SYN$")

    def test_a_network_that_holds_an_own_address_is_refused_and_says_so(self):
        self.ctl("ban", "fd77::/64", exit_status=3)
        self.assertRegex(self.complaint, r"fd77::/64 is not banned: it holds fd77::\S+ \(an address of this host\); "
                                         "its other hosts can be banned one by one")
        self.assertIsNone(self.held("fd77::/64"))
        self.ctl("ban", "fd77::dead")
        self.assertIsNotNone(self.held("fd77::dead"))

    def test_the_note_of_a_ban_is_shown_again(self):
        self.ctl("ban", STRANGER, "--note", "ticket 4711")
        self.assertRegex(self.ctl("why", STRANGER), r"(?m)^decision +banned by hand: ticket 4711$")
        self.assertRegex(self.ctl("history"), rf"banned +{STRANGER} +by hand: ticket 4711")

    def test_status_tells_of_each_process_what_is_true(self):
        processes = {process["name"]: process for process in self.data("status")["processes"]}
        for name, comm in (("launcher", "portsentry"), ("monitor", "portsentry-moni")):
            self.assertTrue(pathlib.Path(f"/proc/{processes[name]['pid']}/comm").read_text().startswith(comm))
        self.assertEqual({name: process["sandbox"] for name, process in processes.items()},
                         {"launcher": "none", "enforcer": "on", "monitor": "on", "sensor": "on", "scout": "on",
                          "resolver": "unknown"})

    def test_who_did_nothing_is_no_match(self):
        self.ctl("why", STRANGER, exit_status=1)
        self.ctl("unban", STRANGER, exit_status=1)
        self.ctl("history", STRANGER, exit_status=1)
        self.assertEqual(self.data("unban", STRANGER, exit_status=1)["error"]["code"], "no_match")

    def test_a_ban_by_hand_is_in_the_kernel_before_it_is_said(self):
        said = self.ctl("ban", STRANGER, "--for", "1h", "--note", "ticket 4711")
        self.assertIn(f"{STRANGER} is banned for", said)
        self.assertGreater(self.held(STRANGER), 3500)
        self.assertLessEqual(self.held(STRANGER), 3600 * 1.05 + 1)
        self.assertEqual(self.sources("--only", "hand"), [STRANGER])
        self.ctl("unban", "198.51.100.0/24")
        self.assertIsNone(self.held(STRANGER))

    def test_a_permanent_ban_is_listed_apart_and_survives_unban_all(self):
        self.ctl("ban", STRANGER, "--permanent")
        self.ctl("ban", "198.51.100.8", "--for", "1h")
        self.assertEqual(self.held(STRANGER), 0)
        self.assertRegex(self.ctl("list"), rf"(?s)198\.51\.100\.8 .*\nPermanent:\n.*\n{STRANGER} ")
        self.assertEqual(self.sources("--only", "permanent"), [STRANGER])
        done = self.data("unban", "all")
        self.assertEqual((done["ended"], done["permanent_left"]), (1, 1))
        self.assertEqual(self.held(STRANGER), 0)
        self.assertEqual(self.data("flush", "--permanent")["ended"], 1)
        self.assertIsNone(self.held(STRANGER))

    def test_what_is_protected_is_refused_and_not_banned(self):
        self.ctl("ban", self.guard.v4, exit_status=3)
        self.assertEqual(self.data("ban", "127.0.0.1", exit_status=3)["error"]["code"], "policy")
        self.assertEqual(self.lab.banned(), set())

    def test_after_unban_with_allow_for_it_is_not_banned_again(self):
        self.scan(self.daemon)
        self.await_ban(self.daemon, self.scanner.v4)
        self.assertTrue(self.data("unban", self.scanner.v4, "--allow-for", "1h")["allowed"])
        self.assertEqual([entry["prefix"] for entry in self.data("allow")["entries"]], [self.scanner.v4])
        self.send(self.syn(24))
        self.await_sentinel(self.daemon)
        self.assertIsNone(self.held(self.scanner.v4))

    def test_allowing_ends_the_bans_inside_and_is_taken_back(self):
        self.scan(self.daemon)
        self.await_ban(self.daemon, self.scanner.v4)
        added = self.data("allow", "add", "10.77.0.2/32", "--for", "1d", "--note", "für Büro")
        self.assertEqual((added["lifted"], added["entry"]["note"]), (1, "für Büro"))
        self.assertIsNone(self.held(self.scanner.v4))
        self.assertIn("für Büro", self.ctl("allow", "list"))
        self.ctl("allow", "remove", "10.77.0.2")
        self.ctl("allow", "remove", "10.77.0.2", exit_status=1)
        self.assertEqual(self.data("allow")["entries"], [])

    def test_protected_tells_each_own_address_with_its_reason(self):
        entries = {entry["prefix"]: entry["reason"] for entry in self.data("protected")["entries"]}
        self.assertIn(self.guard.v4, entries)
        self.assertTrue(all(entries.values()), entries)

    def test_history_remembers_a_scan(self):
        self.scan(self.daemon)
        self.await_ban(self.daemon, self.scanner.v4)
        await_true(lambda: any(event["kind"] == "banned" for event in self.data("history")["events"]),
                   "the ban in the history")
        subjects = {event["subject"] for event in self.data("history", self.scanner.v4)["events"]}
        self.assertEqual(subjects, {self.scanner.v4})

    def test_top_and_report_count_a_scan(self):
        self.scan(self.daemon)
        self.await_ban(self.daemon, self.scanner.v4)
        await_true(lambda: self.data("top")["rows"], "a row of top")
        self.assertEqual(self.data("top")["rows"][0]["name"], self.scanner.v4)
        self.assertIn("23", self.data("top", "--by", "port")["rows"][0]["name"])
        self.assertIn("banned", {row["outcome"] for row in self.data("report")["rows"]})

    def test_watch_shows_what_happens(self):
        watching = subprocess.Popen(self.guard.inside([CTL, "watch", "--json"]), stdin=subprocess.DEVNULL,
                                    stdout=subprocess.PIPE, env=ENVIRONMENT)
        self.addCleanup(watching.stdout.close)
        self.addCleanup(watching.wait)
        self.addCleanup(watching.kill)
        kinds = set()
        end = time.monotonic() + DEADLINE
        sources = (f"10.77.0.{number}" for number in range(100, 200))
        while "banned" not in kinds and time.monotonic() < end:
            # Whether it watches yet is not announced: probes go on until one is seen.
            if not select.select([watching.stdout], [], [], 0.2)[0]:
                self.send(self.syn(23, source=next(sources)))
                continue
            kinds.add(json.loads(watching.stdout.readline()).get("event", {}).get("kind"))
        self.assertIn("banned", kinds)

    def test_selftest_passes_every_hop_and_bans_nobody(self):
        self.assertIn("It works", self.ctl("selftest"))
        result = self.data("selftest")
        self.assertTrue(result["passed"])
        self.assertGreaterEqual(len(result["hops"]), 2)
        self.assertEqual(self.lab.banned(), set())


class TestModes(VerbTest):
    def observing(self):
        return self.start(BLOCK_TCP="0", BLOCK_UDP="0")

    def at_login(self, began, *words, exit_status=0, host="192.0.2.9"):
        """At a terminal of its own, where utmp says that somebody is logged in since `began`."""
        master, slave = pty.openpty()
        line = os.ttyname(slave).removeprefix("/dev/")
        UTMP.write_bytes(login_record(line, host, began))

        def log_in():
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

        done = subprocess.run(self.guard.inside([CTL, *words]), stdin=slave, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, preexec_fn=log_in, timeout=60, env=ENVIRONMENT, text=True)
        os.close(slave)
        os.close(master)
        self.assertEqual(done.returncode, exit_status, done.stdout + done.stderr)
        return done.stderr if exit_status else done.stdout

    def test_reload_says_what_it_led_to(self):
        self.start()
        self.assertEqual(self.data("reload")["generation"], 2)
        lab.write_root_file(CONF, 'TCP_PORTS="nonsense"\n')
        self.assertEqual(self.data("reload", exit_status=1)["error"]["code"], "failed")
        self.assertEqual(self.data("status")["generation"], 2)

    def test_report_tells_in_observe_mode_who_would_have_been_banned(self):
        daemon = self.observing()
        self.scan(daemon)
        await_true(lambda: self.data("report")["rows"], "a row of the report")
        [row] = self.data("report")["rows"]
        self.assertEqual((row["source"], row["outcome"]), (self.scanner.v4, "would_ban"))
        self.assertRegex(row["text"], r"would ban for .*: TCP 23 SYN", "and why")
        self.assertIn("1 would have been", self.ctl("report"))
        self.assertEqual(self.lab.banned(), set())

    def test_armed_by_hand_it_bans_and_observing_it_does_not(self):
        daemon = self.observing()
        self.assertTrue(self.data("arm")["armed"])
        self.assertTrue(self.ctl("status").startswith("mode "))
        self.assertIn('by `arm` of', self.ctl("status").splitlines()[0])
        self.scan(daemon, "10.77.0.66")
        await_true(lambda: self.held("10.77.0.66") is not None, "a ban while armed")
        self.assertFalse(self.data("observe")["armed"])
        self.scan(daemon, "10.77.0.67")
        self.assertIsNone(self.held("10.77.0.67"))
        self.assertIsNotNone(self.held("10.77.0.66"), "what is banned stays so")
        self.assertIsNone(self.data("follow")["override"])

    def test_what_changes_nothing_is_answered_at_once(self):
        self.observing()
        self.assertFalse(self.data("observe")["armed"])
        self.assertIsNone(self.data("follow")["override"])
        self.assertFalse(self.data("observe")["armed"])
        self.assertEqual(self.data("status")["unrecorded"], 0)

    def test_unconfirmed_it_observes_again_when_the_time_is_over(self):
        self.observing()
        self.assertIn("portsentryctl confirm", self.ctl("arm", "--confirm-within", "2s"))
        self.assertTrue(self.data("status")["armed"])
        await_true(lambda: not self.data("status")["armed"], "observing again")

    def test_only_a_login_after_it_confirms(self):
        self.observing()
        before = int(time.time()) - 60
        self.ctl("arm", "--confirm-within", "10m")
        self.ctl("confirm", exit_status=3)  # no terminal, no login
        self.assertIn("log in anew", self.complaint)
        self.at_login(before, "confirm", exit_status=3)
        since = self.data("status")["override"]["since"]
        await_true(lambda: time.time() >= since + 1, "another second")
        self.at_login(since + 1, "confirm", exit_status=3, host="tmux(17).%0")
        self.assertIsNotNone(self.data("status")["override"]["confirm_by"])
        self.at_login(since + 1, "arm", "--confirm")
        self.assertIsNone(self.data("status")["override"]["confirm_by"])
        self.assertTrue(self.data("status")["armed"])


if __name__ == "__main__":
    unittest.main()
