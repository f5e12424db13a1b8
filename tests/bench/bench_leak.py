#!/usr/bin/env python3
"""What a scanner learns before it is cut off: ours with HOLD="auto" and with HOLD="none", and PortSentry 1.2.

    ninja -C build portsentryd ... tests/bench/probe && sudo tests/bench/bench_leak.py [--build DIR]

A guard with eleven services and every other port below 1024 watched (1.2: `-atcp`, blocking by iptables), cut off by
the first probe of a closed one. nmap -T5, masscan (which shuffles) and a sender of our own (an even pace, in order
or shuffled) scan all 1023 ports, each from another address. Counted on the scanner's link: "learned" are ports that answered (SYN|ACK
or RST); "after" are answers to probes that were sent after the first one to a closed port.
"""

import os
import socket
import statistics
import struct
import subprocess
import sys
import unittest

import bench_lab
import peer

SERVICES = (21, 22, 25, 53, 80, 110, 143, 443, 587, 993, 995)
LAST = 1023
RATES = (1_000, 10_000, 100_000)
QUIET = 0.5  # seconds without a frame: the scan and its answers are over
ETH_P_ALL = 0x0003
SYN, RST, ACK = 2, 4, 16


class Wire:
    """Every TCP segment on the scanner's link, in the order of the link."""

    def __init__(self, scanner):
        self.socket = scanner.endpoint(socket.AF_PACKET, socket.SOCK_RAW, ETH_P_ALL << 8)
        self.socket.setsockopt(socket.SOL_SOCKET, 33, 256 << 20)  # SO_RCVBUFFORCE
        with scanner.entered():
            self.socket.bind(("eth0", ETH_P_ALL))

    def segments(self, patience):
        """(sent by the scanner?, its address, the guard's port, flags), until it is quiet; patience: for the first."""
        self.socket.settimeout(patience)
        while True:
            try:
                frame, origin = self.socket.recvfrom(2048)
            except TimeoutError:
                return
            if frame[12:14] != b"\x08\x00" or frame[23] != 6:
                continue
            self.socket.settimeout(QUIET)
            sent = origin[2] == socket.PACKET_OUTGOING
            source_port, target_port = struct.unpack_from("!HH", frame, 34)
            yield (sent, socket.inet_ntoa(frame[26:30] if sent else frame[30:34]),
                   target_port if sent else source_port, frame[47])


def judge(segments, scanner):
    """Of one scan: probes sent, ports learned, answers to what was sent after the trigger."""
    position, trigger, sent = {}, None, 0
    learned, after = set(), 0
    for outgoing, address, port, flags in segments:
        if address != scanner:
            continue
        if outgoing and flags & (SYN | ACK | RST) == SYN:
            sent += 1
            position[port] = sent
            if trigger is None and port not in SERVICES:
                trigger = sent
        elif not outgoing and (flags & RST or flags & (SYN | ACK) == SYN | ACK):
            learned.add(port)
            if trigger is not None and position.get(port, 0) > trigger:
                after += 1
    return {"sent": sent, "learned": len(learned), "after": after}


def scans(lab, build, quick):
    """(name, how to run it from one address)."""
    guard, scanner = lab.guard, lab.scanner

    def nmap(address, *more):
        # Whoever is cut off gets no answers: without an end nmap would go on asking for minutes.
        scanner.run(["nmap", "-n", "-Pn", "-sS", "-T5", "--max-retries", "0", "--host-timeout", "15s", "-e", "eth0",
                     "-S", address, "-p", f"1-{LAST}", *more, guard.v4], timeout=60)

    def masscan(address, rate):
        # It ends when it next hears something, which may be never.
        return subprocess.Popen(scanner.inside(
            ["masscan", "-e", "eth0", "--adapter-ip", address, "--adapter-mac", scanner.mac, "--router-mac", guard.mac,
             "--rate", rate, "--wait", "0", "-p", f"1-{LAST}", guard.v4]), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def probe(address, rate, order):
        scanner.run([f"{build}/tests/bench/probe", "eth0", scanner.mac, guard.mac, address, guard.v4, "1", str(LAST),
                     str(rate), order], timeout=60)

    for rate in RATES[1:2] if quick else RATES:
        for order in ("in-order", "shuffled"):
            yield f"{rate:,}/s {order}", lambda a, r=rate, o=order: probe(a, r, o)
        yield f"masscan {rate:,}/s", lambda a, r=rate: masscan(a, r)
    yield "nmap -T5", nmap
    if not quick:
        yield "nmap -T5 in order", lambda a: nmap(a, "-r")


def measure(report, arguments):
    import lab as labs

    class Leak(labs.LabTest):
        def runTest(self):
            contestants = [("hold", {"HOLD": "auto"}), ("no hold", {"HOLD": "none"})]
            if os.environ.get(peer.VARIABLE):
                contestants.append(("1.2", None))
            for port in SERVICES:
                self.addCleanup(self.guard.service("0.0.0.0", port).close)
            found = {}
            self.number = 20
            for _ in range(arguments.runs):
                for name, keys in contestants:
                    self.visit(name, keys, found)
            self.tell(found, [name for name, _ in contestants])

        def begin(self, keys):
            if keys is None:
                return peer.Peer(labs, self.guard)
            daemon = self.start(SCAN_TRIGGER="1", TCP_PORTS=f"1-{LAST}", UDP_PORTS="", **keys)
            if keys["HOLD"] == "auto":
                labs.await_true(lambda: len(self.lab.ban_set("alive")) == 2, "the traps to be alive")
            return daemon

        def visit(self, name, keys, found):
            contestant = self.begin(keys)
            for scan, run in scans(self.lab, labs.LAB_DIR / "build", arguments.quick):
                self.number += 1
                address = f"10.77.{self.number >> 8}.{self.number & 255}"
                self.scanner.ip(f"addr add {address}/32 dev eth0")
                wire = Wire(self.scanner)
                process = run(address)
                figures = judge(wire.segments(20 if process else QUIET), address)
                if process:
                    process.kill()
                    process.wait()
                wire.socket.close()
                self.scanner.ip(f"addr del {address}/32 dev eth0")
                found.setdefault((scan, name), []).append(figures)
            contestant.stop()
            self.guard.run(["nft", "delete", "table", "inet", "portsentry"], check=False)

        def tell(self, found, names):
            print(f"{'scan of 1023 ports':20}" + "".join(f"{name + ': learned':>20}{'after':>7}" for name in names))
            for scan in dict.fromkeys(scan for scan, _ in found):
                line, values = f"{scan:20}", {}
                for name in names:
                    runs = found[scan, name]
                    learned, after = (statistics.median(run[key] for run in runs) for key in ("learned", "after"))
                    line += f"{learned:20,.0f}{after:7,.0f}"
                    values |= {f"{name} learned": learned, f"{name} after": after,
                               f"{name} after, worst": max(run["after"] for run in runs)}
                report.row(line, bench="leak", scan=scan, **values)
            total = {name: sum(statistics.median(run["after"] for run in runs) for (_, who), runs in found.items()
                               if who == name) for name in names}
            values = {f"{name} after": after for name, after in total.items()}
            if "1.2" in total:
                values["1.2 : no hold"] = round(total["1.2"] / max(total["no hold"], 1), 1)
            report.row("answers after the trigger, all scans: " +
                       ", ".join(f"{name} {value:,.1f}" for name, value in values.items()),
                       bench="leak, all scans together", **values)

    test = Leak()
    result = unittest.TestResult()
    test.run(result)
    for _, text in result.errors + result.failures:
        print(text)
    if result.errors or result.failures:
        sys.stdout.flush()
        os._exit(1)


def add_arguments(parser):
    parser.add_argument("--runs", type=int, default=5, help="medians of this many runs (default 5)")
    parser.add_argument("--quick", action="store_true", help="one rate only")


if __name__ == "__main__":
    if "--inside" in sys.argv:
        sys.exit(bench_lab.main(__doc__, measure, add_arguments))
    with peer.unpacked():
        sys.exit(bench_lab.main(__doc__, measure, add_arguments))
