#!/usr/bin/env python3
"""What innocent packets pay: nanoseconds of the processor that receives them, with and without the daemon and its bans.

    ninja -C build portsentryd ... tests/bench/inject && sudo tests/bench/bench_innocent.py [--build DIR]

inject.cc delivers one packet again and again, as a network card would; a rule after all of ours drops it, so that
nothing but its way through the kernel is measured. Two machines are compared with: one without any firewall, and one
with a stateful one (a single rule), where connection tracking is paid for already. Tax: what comes on top, in the
same run. Bans are IPv4 hosts, put straight into the kernel's set; monitor and enforcer stand still meanwhile.
"""

import os
import signal
import socket
import statistics
import struct
import sys
import unittest

import bench_lab

COUNT = 400_000
MANY = "11.0.255.240"  # the first of inject.cc's sources
WATCHED, UNWATCHED = 80, 5000
NO_FIREWALL, STATEFUL = "no firewall", "stateful firewall"
# (what, what it is compared with, HOLD, bans)
CONDITIONS = (
    (NO_FIREWALL, NO_FIREWALL, None, 0),
    ("no firewall, ours with hold", NO_FIREWALL, "auto", 0),
    (STATEFUL, STATEFUL, None, 0),
    ("ours, no hold", STATEFUL, "none", 0),
    ("ours, hold", STATEFUL, "auto", 0),
    ("ours, hold, 10,000 bans", STATEFUL, "auto", 10_000),
    ("ours, hold, 100,000 bans", STATEFUL, "auto", 100_000),
    ("ours, no hold, 100,000 bans", STATEFUL, "none", 100_000),
)


def measure(report, arguments):
    import lab as labs
    import packets

    class Innocent(labs.LabTest):
        def runTest(self):
            self.web = self.guard.service("0.0.0.0", WATCHED)
            self.name_server = self.guard.service("0.0.0.0", UNWATCHED, socket.SOCK_DGRAM)
            found = {}
            for _ in range(arguments.runs):
                for condition in CONDITIONS:
                    for packet, cost in self.visit(*condition[1:]).items():
                        found.setdefault((condition[0], packet), []).append(cost)
            self.tell(found)

        # ---- One condition ---------------------------------------------------------------------------------

        def visit(self, base, hold, bans):
            daemon = None
            if base == STATEFUL:
                self.guard.nft("table inet admin { chain input { type filter hook input priority 0; policy accept; "
                               "ct state established,related accept; }; }")
            if hold:
                daemon = self.start(TCP_PORTS="1-1023", UDP_PORTS="1-1023", HOLD=hold)
                if hold == "auto":
                    labs.await_true(lambda: len(self.lab.ban_set("alive")) == 2, "the traps to be alive")
                for role in ("monitor", "enforcer"):
                    os.kill(daemon.roles()[role], signal.SIGSTOP)
                if bans:
                    self.ban(bans)
            costs = self.costs()
            if daemon:
                daemon.process.kill()
                daemon.await_exit()
            for table in ("portsentry", "admin"):
                self.guard.run(["nft", "delete", "table", "inet", table], check=False)
            return costs

        def ban(self, count):
            addresses = (0xA0000000 | n * 0x9E3779 & 0xFFFFFF for n in range(count))
            elements = ",".join(socket.inet_ntoa(struct.pack("!I", a)) + " timeout 1h" for a in addresses)
            self.guard.nft(f"add element inet portsentry ban4 {{ {elements} }}")

        def costs(self):
            client, ack = self.connection()
            self.guard.nft("table inet sink { chain input { type filter hook input priority 10; policy accept; "
                           f"tcp dport {{ {WATCHED}, {labs.LIVE_PORT} }} drop; udp dport {UNWATCHED} drop; }}; }}")
            frames = {
                "of a connection": (ack, "same"),
                "datagram to a service": (self.frame(packets.UDP, packets.udp(
                    MANY, self.guard.v4, 40000, UNWATCHED, b"x" * 20)), "many"),
                "SYN to a service": (self.frame(packets.TCP, packets.tcp(
                    MANY, self.guard.v4, 40000, labs.LIVE_PORT, packets.SYN)), "many"),
                "SYN, port watched": (self.frame(packets.TCP, packets.tcp(
                    MANY, self.guard.v4, 40000, WATCHED, packets.SYN)), "many"),
            }
            costs = {}
            for name, (frame, sources) in frames.items():
                done = self.guard.run(["sh", "-c", f"echo {frame.hex()} | taskset -c 1 {labs.LAB_DIR}/build/tests/bench/"
                                       f"inject eth0 {COUNT // (4 if arguments.quick else 1)} {sources}"])
                costs[name] = float(done.stdout)
            self.guard.run(["nft", "delete", "table", "inet", "sink"])
            client.close()
            return costs

        def frame(self, protocol, segment):
            return packets.frame(self.guard.mac, self.scanner.mac,
                                 packets.ipv4(MANY, self.guard.v4, protocol, segment))

        def connection(self):
            """One of the bystander's to a service, and the last frame that it sent, with its checksum."""
            with self.bystander.endpoint(socket.AF_PACKET, socket.SOCK_RAW, 0x0300) as wire:
                with self.bystander.entered():
                    wire.bind(("eth0", 0x0003))
                client = self.bystander.endpoint(socket.AF_INET, socket.SOCK_STREAM)
                client.settimeout(5)
                client.connect((self.guard.v4, labs.LIVE_PORT))
                wire.settimeout(0.2)
                last = None
                try:
                    while True:
                        frame, origin = wire.recvfrom(2048)
                        if origin[2] == socket.PACKET_OUTGOING and frame[12:14] == b"\x08\x00" and \
                                frame[23] == packets.TCP and frame[47] == packets.ACK:
                            last = frame
                except TimeoutError:
                    pass
            segment = last[34:50] + b"\0\0" + last[52:]
            check = packets.checksum(packets.pseudo_header(self.bystander.v4, self.guard.v4, packets.TCP,
                                                           len(segment)) + segment)
            return client, last[:50] + struct.pack("!H", check) + last[52:]

        # ---- The table ---------------------------------------------------------------------------------------

        def tell(self, found):
            kinds = list(dict.fromkeys(packet for _, packet in found))
            print(f"{'ns a packet (tax)':28}" + "".join(f"{kind:>24}" for kind in kinds))
            for name, base, hold, bans in CONDITIONS:
                line, values = f"{name:28}", {}
                for kind in kinds:
                    values[kind] = statistics.median(found[name, kind])
                    line += f"{values[kind]:16,.0f}"
                    # Of the same run: another load on this machine disturbs both.
                    tax = statistics.median(a - b for a, b in zip(found[name, kind], found[base, kind]))
                    values[f"{kind}, tax"] = tax
                    line += f" ({tax:+5.0f})" if base != name else " " * 8
                report.row(line, bench="innocent", condition=name, hold=hold or "", **values)

    result = unittest.TestResult()
    Innocent().run(result)
    for _, text in result.errors + result.failures:
        print(text)
    if result.errors or result.failures:
        sys.stdout.flush()
        os._exit(1)


def add_arguments(parser):
    parser.add_argument("--runs", type=int, default=5, help="medians of this many runs (default 5)")
    parser.add_argument("--quick", action="store_true", help="fewer packets")


if __name__ == "__main__":
    sys.exit(bench_lab.main(__doc__, measure, add_arguments))
