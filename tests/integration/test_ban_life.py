"""What a ban survives: restarts, sudden death at any instant, a power cut, a full disk, a damaged file,
a reboot, and hands in the kernel's sets. A ban that was told is a ban that holds."""

import contextlib
import json
import os
import random
import re
import select
import shutil
import signal
import sqlite3
import subprocess
import threading
import time

from lab import BIN, IGNORE, LAB_DIR, PATIENCE, STATE, LabTest, _mount, await_true, bind, write_root_file
from test_ctl import CTL, ENVIRONMENT

MEMORY = STATE / "monitor"
FILE = MEMORY / "state.sqlite3"
LOG = MEMORY / "state.sqlite3-wal"
# Twenty cycles of sudden death here, a thousand in `contrib/test --long`.
CYCLES = int(os.environ.get("PORTSENTRY_KILL_CYCLES", "20"))
BLOCKED = r"Host (\S+) has been blocked via nftables"


def rows():
    """What a stopped daemon remembers: source -> (since, until)."""
    copy = LAB_DIR / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for path in (FILE, LOG):
        if path.exists():
            shutil.copy(path, copy / path.name)
    database = sqlite3.connect(copy / FILE.name)
    try:
        return {source: (since, until) for source, since, until in
                database.execute("SELECT source, since, until FROM bans")}
    finally:
        database.close()


class BanLife(LabTest):
    def ban_one(self, daemon, source):
        since = daemon.mark()
        self.send(self.syn(23, source=source))
        daemon.await_line(rf"Host {re.escape(source)} has been blocked via nftables", since=since)
        self.assertIn(source, self.lab.ban_set("ban4"))

    def told(self, daemon):
        return {re.search(BLOCKED, line)[1] for line in daemon.matching(BLOCKED)}

    def reboot(self, number=1):
        """What a boot takes away, and how it is known."""
        self.guard.run(["nft", "flush", "ruleset"])
        boot_id = LAB_DIR / f"boot_id.{number}"
        boot_id.write_text(f"00000000-0000-4000-8000-{number:012}\n")
        bind(boot_id, "/proc/sys/kernel/random/boot_id")


class Restart(BanLife):
    def test_a_restart_changes_neither_the_end_of_a_ban_nor_its_beginning(self):
        daemon = self.start()
        self.ban_one(daemon, self.scanner.v4)
        daemon.stop()
        before = rows()
        self.assertEqual(set(before), {self.scanner.v4})
        for _ in range(3):
            daemon = self.launch().await_ready()
            daemon.await_line(r"1 ban of an earlier run still in force")
            self.assertEqual(self.told(daemon), set())
            self.assertEqual(daemon.matching("recovered"), [])
            daemon.stop()
            self.assertEqual(rows(), before)

    def test_an_element_that_nobody_knows_is_recovered_and_not_announced(self):
        self.start().stop()
        self.guard.nft("add element inet portsentry ban4 { 10.77.0.55 timeout 1h }")
        daemon = self.launch().await_ready()
        daemon.await_line(r"adminalert: recovered 1 ban that the kernel holds")
        self.assertEqual(self.told(daemon), set())
        daemon.stop()
        self.assertIn("10.77.0.55", rows())

    def test_a_ban_that_the_kernel_lost_while_nobody_watched_is_made_again(self):
        daemon = self.start()
        self.ban_one(daemon, self.scanner.v4)
        daemon.stop()
        before = rows()
        self.guard.run(["nft", "flush", "ruleset"])
        daemon = self.launch().await_ready()
        daemon.await_line(r"1 ban of an earlier run made again")
        left = self.lab.ban_set("ban4")[self.scanner.v4]
        self.assertAlmostEqual(left, before[self.scanner.v4][1] - time.time(), delta=5)
        self.assert_cut_off(4)

    def test_a_time_that_somebody_changed_in_the_kernel_is_that_of_the_record_again(self):
        daemon = self.start()
        self.ban_one(daemon, self.scanner.v4)
        daemon.stop()
        source = self.scanner.v4
        self.guard.nft(f"delete element inet portsentry ban4 {{ {source} }}\n"
                       f"add element inet portsentry ban4 {{ {source} timeout 3d }}")
        self.launch().await_ready()
        await_true(lambda: self.lab.ban_set("ban4").get(source, 0) < 3600, "the time of the record")

    def test_bans_are_back_after_a_reboot(self):
        daemon = self.start()
        sources = [f"10.77.0.{40 + i}" for i in range(5)]
        for source in sources:
            self.ban_one(daemon, source)
        os.kill(daemon.pid, signal.SIGKILL)
        daemon.await_exit()
        self.reboot()
        self.launch().await_ready()
        await_true(lambda: set(sources) <= set(self.lab.ban_set("ban4")), "all bans")

    def test_a_scan_that_a_restart_interrupts_is_one_scan_and_history_knows_both_ends(self):
        daemon = self.start(SCAN_TRIGGER="3")
        self.send(self.syn(23), self.syn(24))
        self.send(*(self.syn(port, source="10.77.0.40") for port in (10, 11, 12)))
        daemon.await_line(self.blocked_line("10.77.0.40"))
        self.assert_unnoticed(daemon)
        self.assertEqual(daemon.stop(), 0)
        daemon = self.launch().await_ready()
        self.send(self.syn(25))
        daemon.await_line(self.blocked_line(self.scanner.v4))
        told = json.loads(self.guard.run([BIN / "portsentryctl", "history", "--json"]).stdout)["events"]
        self.assertLessEqual({"10.77.0.40", self.scanner.v4},
                             {event["subject"] for event in told if event["kind"] == "banned"})

    def test_a_ban_that_ended_while_nobody_was_there_is_over(self):
        daemon = self.start(BLOCK_TIME="2s")
        self.ban_one_for(daemon, "2s")
        os.kill(daemon.pid, signal.SIGKILL)
        daemon.await_exit()
        await_true(lambda: not self.lab.ban_set("ban4"), "the end of it")
        daemon = self.launch().await_ready()
        daemon.await_line(rf"ban of {self.scanner.v4} has expired")
        self.assertEqual(self.lab.ban_set("ban4"), {})

    def ban_one_for(self, daemon, duration):
        self.send(self.syn(23))
        daemon.await_line(self.blocked_line(self.scanner.v4, duration=duration))


class SuddenDeath(BanLife):
    def die_while_starting(self, dice, pause):
        """One of what is there by then, and, as the daemon may live on without that one, the launcher."""
        daemon = self.launch()
        pause.wait(dice.random() * 0.4)
        for victim in (dice.choice(sorted(daemon.family()) or [daemon.pid]), daemon.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
        daemon.await_exit()
        return self.told(daemon)

    def test_no_ban_that_was_told_is_lost_whenever_whoever_is_killed(self):
        dice = random.Random(4)
        promised = set()
        self.configure(BLOCK_TIME="1d")
        pause = threading.Event()
        for cycle in range(CYCLES):
            if cycle % 2:
                self.assertEqual(self.die_while_starting(dice, pause), set(), "announced anew")
            daemon = self.launch().await_ready()
            held = set(self.lab.ban_set("ban4"))
            self.assertLessEqual(promised, held, f"cycle {cycle}")
            self.assertLessEqual(self.told(daemon) & promised, set(), "announced anew")
            roles = daemon.roles()
            for i in range(8):
                self.send(self.syn(23, source=f"10.77.{1 + cycle % 250}.{cycle // 250 * 8 + i + 1}"))
            pause.wait(dice.random() * 0.3)
            first = dice.choice(("monitor", "enforcer", "launcher", "sensor", "scout"))
            os.kill(roles[first], signal.SIGKILL)
            if first in ("sensor", "scout"):  # the daemon lives on without them
                os.kill(roles["launcher"], signal.SIGKILL)
            daemon.await_exit()
            promised |= self.told(daemon)
            if cycle % 4 == 3:  # the kernel forgets, and the disk must know it all
                self.reboot(cycle + 1)
        self.assertGreater(len(promised), CYCLES // 2)
        self.launch().await_ready()
        await_true(lambda: promised <= set(self.lab.ban_set("ban4")), "every ban that was told")

    def test_a_power_cut_loses_no_ban_that_was_told(self):
        daemon = self.start(BLOCK_TIME="1d")
        promised, durable = set(), {}
        for i in range(6):
            self.ban_one(daemon, f"10.77.0.{40 + i}")
            promised.add(f"10.77.0.{40 + i}")
            durable[frozenset(promised)] = LOG.stat().st_size  # so much of it was on the disk by then
        os.kill(daemon.pid, signal.SIGKILL)
        daemon.await_exit()
        for path in (FILE, LOG):
            shutil.copy(path, LAB_DIR / path.name)
        for number, (sources, size) in enumerate(durable.items()):
            for path in (FILE, LOG):
                shutil.copyfile(LAB_DIR / path.name, path)
            os.truncate(LOG, size)
            self.reboot(number + 1)
            daemon = self.launch().await_ready()
            await_true(lambda: sources <= set(self.lab.ban_set("ban4")), "what was told by then")
            daemon.stop(signal.SIGTERM)


class Disk(BanLife):
    def small_disk(self):
        owner = MEMORY.stat()
        _mount("tmpfs", str(MEMORY), "tmpfs", 0, f"size=400k,mode=700,uid={owner.st_uid},gid={owner.st_gid}")

    def fill(self):
        with open(MEMORY / "ballast", "wb", buffering=0) as ballast:
            block = bytes(4096)
            try:
                while True:
                    ballast.write(block)
            except OSError:
                pass

    def test_on_a_full_disk_a_ban_holds_and_is_told_once_it_can_be_recorded(self):
        self.start().stop()
        self.small_disk()
        daemon = self.start()
        self.fill()
        self.send(self.syn(23))
        await_true(lambda: self.scanner.v4 in self.lab.ban_set("ban4"), "the ban")
        daemon.await_line(r"ERROR: .*(full|No space)")
        self.assert_cut_off(4)
        self.assertEqual(self.told(daemon), set())
        (MEMORY / "ballast").unlink()
        daemon.await_line(self.blocked_line(self.scanner.v4), timeout=30 * PATIENCE)
        self.assertEqual(len(daemon.matching(r"ERROR: .*(full|No space)")), 1)

    def test_who_watches_hears_of_a_ban_once_the_disk_has_it_and_probes_until_then_change_nothing(self):
        self.start().stop()
        self.small_disk()
        daemon = self.start()
        watching = subprocess.Popen(self.guard.inside([CTL, "watch", "--json"]), stdin=subprocess.DEVNULL,
                                    stdout=subprocess.PIPE, bufsize=0, env=ENVIRONMENT)
        self.addCleanup(watching.stdout.close)
        self.addCleanup(watching.wait)
        self.addCleanup(watching.kill)
        seen = set()

        def look(patience):
            while select.select([watching.stdout], [], [], patience)[0]:
                event = json.loads(watching.stdout.readline()).get("event", {})
                seen.add((event.get("kind"), event.get("subject")))

        others = (f"10.77.1.{number}" for number in range(1, 250))

        def watches():  # which is not announced
            self.send(self.syn(23, source=next(others)))
            look(0.3)
            return bool(seen)

        await_true(watches, "an event")
        self.fill()
        self.send(self.syn(23))
        await_true(lambda: self.scanner.v4 in self.lab.ban_set("ban4"), "the ban")
        daemon.await_line(r"ERROR: .*(full|No space)")
        since = daemon.mark()
        self.send(self.syn(23))
        look(1)
        self.assertNotIn(("banned", self.scanner.v4), seen)
        self.assertEqual(daemon.matching(rf"{re.escape(self.scanner.v4)}.* blocked", since=since), [])
        (MEMORY / "ballast").unlink()
        daemon.await_line(self.blocked_line(self.scanner.v4), timeout=30 * PATIENCE)
        look(1)
        self.assertIn(("banned", self.scanner.v4), seen)

    def test_a_damaged_file_is_kept_aside_and_the_kernels_bans_are_recovered(self):
        daemon = self.start()
        self.ban_one(daemon, self.scanner.v4)
        daemon.stop()
        LOG.unlink(missing_ok=True)
        FILE.write_bytes(b"\x5a" * FILE.stat().st_size)
        daemon = self.launch().await_ready()
        daemon.await_line(r"damaged")
        daemon.await_line(r"recovered 1 ban")
        self.assertIn(self.scanner.v4, self.lab.ban_set("ban4"))
        daemon.stop()
        self.assertIn(self.scanner.v4, rows())


class Many(BanLife):
    COUNT = 100_000

    def test_a_hundred_thousand_bans_are_back_within_seconds(self):
        self.start().stop()
        database = sqlite3.connect(FILE)
        names = [name for _, name, *_ in database.execute("PRAGMA table_info(bans)")]
        now = int(time.time())
        values = {"address": None, "protocol": 6, "port": 23, "backend": 1, "since": now - 60,
                  "until": now + 86400, "offences": 1, "origin": 1, "proof": 1, "note": ""}

        def row(i):
            source = f"20.{i >> 16 & 255}.{i >> 8 & 255}.{i & 255}"
            return [source if name in ("source", "address") else values[name] for name in names]

        with database:
            database.executemany(f"INSERT INTO bans VALUES({','.join('?' * len(names))})",
                                 (row(i) for i in range(self.COUNT)))
        database.close()
        shutil.chown(FILE, "portsentry", "portsentry")
        self.guard.run(["nft", "flush", "ruleset"])
        begin = time.monotonic()
        daemon = self.launch()
        daemon.await_line(r"adminalert: PortSentry is now active and listening\.$", timeout=60)
        daemon.await_line(rf"{self.COUNT} bans of an earlier run made again", timeout=60)
        took = time.monotonic() - begin
        print(f"{self.COUNT} bans restored in {took:.1f} s", flush=True)
        self.assertLess(took, 40 * PATIENCE)  # some 5 s where nothing else runs
        self.assertEqual(daemon.status()["enforced"], self.COUNT)
        self.send(self.syn(23))
        daemon.await_line(self.blocked_line(self.scanner.v4))
        self.assert_cut_off(4)  # a list of a set that still grows may miss some of it


class Drift(BanLife):
    def test_what_somebody_put_into_the_set_is_found_and_recovered(self):
        daemon = self.start()
        self.ban_one(daemon, self.scanner.v4)
        self.guard.nft("add element inet portsentry ban4 { 10.77.0.55 timeout 1h }")
        daemon.await_line(r"drifted from what should hold: 1 ban recovered", timeout=60)
        daemon.stop()
        self.assertEqual(set(rows()), {self.scanner.v4, "10.77.0.55"})

    def test_a_flushed_set_is_full_again_within_a_second(self):
        daemon = self.start(BLOCK_TIME="1d")
        sources = {f"10.77.0.{40 + i}" for i in range(20)}
        for source in sorted(sources):
            self.ban_one(daemon, source)
        begin = time.monotonic()
        self.guard.run(["nft", "flush", "set", "inet", "portsentry", "ban4"])
        await_true(lambda: sources <= set(self.lab.ban_set("ban4")), "every ban again")
        self.assertLess(time.monotonic() - begin, 1.0 * PATIENCE)
        daemon.await_line(r"firewall state was lost; 20 bans put back")

    def test_a_source_that_is_ignored_now_is_let_go_at_the_next_start(self):
        daemon = self.start()
        self.ban_one(daemon, self.scanner.v4)
        daemon.stop()
        write_root_file(IGNORE, f"{self.scanner.v4}\n")
        daemon = self.launch().await_ready()
        await_true(lambda: not self.lab.ban_set("ban4"), "the end of the ban")
        self.assert_reachable(4)
        daemon.stop()
        self.assertEqual(rows(), {})
