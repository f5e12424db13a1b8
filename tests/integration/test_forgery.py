"""Anybody can write any address into a packet: what that buys a forger, and what it does not."""

import os
import pathlib
import re
import select
import socket
import subprocess
import sys
import time

from lab import DEADLINE, NETLINK_NETFILTER, PATIENCE, LabTest, await_true

HERE = pathlib.Path(__file__).resolve().parent

GATEWAY = "10.77.0.254"
VICTIM = "10.77.0.77"  # somebody with no part in this
MILLION = 1_000_000
NFNLGRP_NFTABLES = 7
SO_RCVBUFFORCE = 33
RATE = 50_000  # a second, of the flood in which a time is measured


class Forgery(LabTest):
    def assert_never_banned(self, daemon, address, why):
        daemon.await_line(rf"attackalert: ERROR: Could not block host {re.escape(address)}/.* !! \({why}\)$")
        self.assertNotIn(address, self.lab.banned())

    def walk(self, source, ports):
        self.send(*(self.syn(port, source=source) for port in ports))

    def test_gateway_in_whose_name_ports_are_walked_is_told_and_never_banned(self):
        self.guard.ip(f"route add default via {GATEWAY} dev eth0")
        daemon = self.start(SCAN_TRIGGER="2")
        self.walk(GATEWAY, range(10, 40))
        self.assert_never_banned(daemon, GATEWAY, "a next hop of this host's routes")
        self.await_sentinel_pair(daemon)
        self.assertNotIn(GATEWAY, self.lab.banned())

    def await_sentinel_pair(self, daemon, source="10.77.0.199"):
        """A scanner of two ports: when it is banned, what was sent before it has been judged."""
        self.walk(source, (98, 99))
        daemon.await_line(self.blocked_line(source, duration=None))

    def test_own_address_and_loopback_are_never_banned(self):
        daemon = self.start(SCAN_TRIGGER="2", LOCAL_CHECK="0")
        for source in (self.guard.v4, "127.0.0.1", "169.254.3.4", "224.0.0.1", "255.255.255.255", "0.0.0.0"):
            self.walk(source, range(10, 20))
        self.await_sentinel_pair(daemon)
        self.assertEqual(self.lab.banned(), {"10.77.0.199"})

    def test_one_packet_a_second_in_a_bystanders_name_costs_them_nothing(self):
        daemon = self.start(SCAN_TRIGGER="2", BLOCK_TIME_FORGEABLE="10m")
        for _ in range(8):
            self.send(self.syn(23, source=VICTIM))
            time.sleep(1)  # the rate is what is tested
        self.await_sentinel_pair(daemon)
        self.assertEqual(daemon.matching(rf"\b{re.escape(VICTIM)}\b"), [])
        self.assertEqual(self.lab.banned(), {"10.77.0.199"})

    def test_who_is_forged_into_a_scan_is_banned_for_the_short_time_only_and_never_for_longer(self):
        daemon = self.start(SCAN_TRIGGER="2", BLOCK_TIME="1h", BLOCK_TIME_FORGEABLE="3s")
        for _ in range(2):
            since = daemon.mark()
            self.walk(VICTIM, range(10, 30))
            daemon.await_line(self.blocked_line(VICTIM, duration="3s"), since=since)
            daemon.await_line(rf"ban of {re.escape(VICTIM)} has expired", timeout=3 + DEADLINE, since=since)
        self.assertNotIn(VICTIM, self.lab.banned())

    def test_decoys_of_nmap_get_the_short_time_and_the_scanner_is_among_them(self):
        daemon = self.start(SCAN_TRIGGER="2", BLOCK_TIME="1h", BLOCK_TIME_FORGEABLE="10m")
        decoys = [f"10.77.0.{n}" for n in (60, 61, 62)]
        self.scanner.nmap("-sS", "-p", "10-30", "-D", ",".join([*decoys, "ME"]), self.guard.v4)
        for address in (*decoys, self.scanner.v4):
            daemon.await_line(self.blocked_line(address, duration="10m"))
        for left in self.lab.ban_set("ban4").values():
            self.assertLessEqual(left, 11 * 60, "forgeable evidence bans for the short time only")


class Flood(LabTest):
    def flood(self, sources, port=23, rate=0):
        flood = subprocess.Popen(
            self.scanner.inside([sys.executable, "-B", HERE / "flood.py", "eth0", self.guard.mac, self.scanner.mac,
                                 self.guard.v4, port, sources, rate]), stdout=subprocess.PIPE, text=True)
        self.addCleanup(flood.kill)
        return flood

    def news_of_sets(self):
        """The kernel's own word of each element that is added by netlink, at once: nft first reads every set."""
        news = self.guard.endpoint(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self.addCleanup(news.close)
        news.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
        with self.guard.entered():
            news.bind((0, 1 << (NFNLGRP_NFTABLES - 1)))
        return news

    def time_to_ban(self, source, ports):
        """Seconds from the first probe to the kernel's own word."""
        news = self.news_of_sets()
        frames = [self.syn(port, source=source) for port in ports]
        begin = time.monotonic()  # closing the socket that sends takes the kernel a while
        while True:
            self.assertLess(time.monotonic() - begin, DEADLINE, f"{source} is not banned")
            # Again and again: the ring, which the flood fills, may have had no room for one of them.
            self.send(*frames)
            again = time.monotonic() + 0.05
            while select.select([news], [], [], max(again - time.monotonic(), 0))[0]:
                told = news.recv(65536)
                if b"ban4\0" in told and socket.inet_aton(source) in told:
                    return time.monotonic() - begin

    def test_five_ports_are_banned_while_a_million_forged_sources_knock(self):
        daemon = self.start(SCAN_TRIGGER="1", BLOCK_TIME="1h", BLOCK_TIME_FORGEABLE="10m")
        flood = self.flood(MILLION, rate=RATE)
        daemon.await_line("ask for more bans than are made", timeout=30)
        times = [self.time_to_ban(f"10.77.0.{n}", range(30, 35)) for n in (80, 81, 82)]
        self.assertIsNone(flood.poll(), "the flood was over too soon to prove anything")
        sent, seconds = flood.communicate(timeout=90)[0].split()
        print(f"time to ban in a flood of {sent} sources in {seconds} s:", *(f"{t * 1000:.0f} ms" for t in times))
        self.assertLess(sorted(times)[1], 0.1 * PATIENCE)
        # The flood has cost at most what its own budget grants.
        self.assertLess(len(self.lab.ban_set("ban4")), 300 + 30 * (float(seconds) + 10))
        self.assertGreater(daemon.counter("decision_over_budget_single"), 0)
        daemon.await_line("the flood is over", timeout=60)

    def test_a_flood_below_the_trigger_bans_nobody(self):
        daemon = self.start(SCAN_TRIGGER="2")
        flood = self.flood(200_000)
        flood.communicate(timeout=60)

        def scan():  # until the ring, which the flood has filled, takes it
            self.send(self.syn(50, source="10.77.0.83"), self.syn(51, source="10.77.0.83"))
            return daemon.matching(self.blocked_line("10.77.0.83"))

        await_true(scan, "a source with two ports is banned")
        self.assertEqual(self.lab.banned(), {"10.77.0.83"})
        await_true(lambda: daemon.counter("sensor_probes") > 1000, "the flood was seen")
