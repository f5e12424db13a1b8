"""A day of an ordinary server on which nobody scans it, as frames: what it sends and what comes in.

Pure, and the same day each time: day() gives the frames in the order of their seconds, and how many the sensor
must count under which name. The server runs no program for what it says here, so every answer arrives after its
socket was closed: the hardest case. Its own ports lie below 32768, because a sensor in its first minute excuses
what looks like an answer to a higher one whether it knows the question or not (own_flows.h).
"""

import collections
import ipaddress
import random
import struct

import packets
from packets import ACK, FIN, PSH, RST, SYN, TCP, UDP

SECONDS = 86400
ICMP, ICMP6 = 1, 58
TCP_SERVICES = (22, 25, 443)  # of the server: somebody listens
UDP_SERVICES = (53,)
OWN_PORTS = range(10000, 32768)

Recorded = collections.namedtuple("Recorded", "second outgoing frame")

# Who looks for its like on a LAN: where to, when not to one host, and by which ports.
TO_MANY = (("224.0.0.251", 5353), ("239.255.255.250", 1900), ("224.0.0.252", 5355), ("239.255.255.250", 3702),
           ("10.77.0.255", 137), ("10.77.0.255", 138), ("255.255.255.255", 67), ("224.0.0.9", 520),
           ("255.255.255.255", 17500), ("10.77.0.255", 57621), ("ff02::fb", 5353), ("ff02::1:3", 5355),
           ("ff02::1:2", 547))
TO_ONE = ((UDP, 5353), (UDP, 1900), (UDP, 5355), (UDP, 3702), (UDP, 137), (UDP, 138), (UDP, 68), (UDP, 631),
          (TCP, 631), (TCP, 7680))


def mac_of_many(address):
    """RFC 1112 6.4, RFC 2464 7; to everybody when it is a broadcast."""
    number = packets.packed(address)
    if len(number) == 16:
        return "33:33:" + ":".join(f"{byte:02x}" for byte in number[-4:])
    if number[0] >> 4 == 0xE:
        return f"01:00:5e:{number[1] & 0x7F:02x}:{number[2]:02x}:{number[3]:02x}"
    return "ff:ff:ff:ff:ff:ff"


class Day:
    def __init__(self, server, gateway, seed=20260101):
        self.server, self.gateway = server, gateway
        self.random = random.Random(seed)
        self.frames = []
        self.expected = collections.Counter()

    # ---- Whom it meets ---------------------------------------------------------------------------------

    def stranger(self, family=4):
        if family == 6:
            return str(ipaddress.IPv6Address((0x20010DB8 << 96) + self.random.getrandbits(80)))
        return f"198.{self.random.choice((18, 19))}.{self.random.randrange(256)}.{self.random.randrange(1, 255)}"

    def family(self):
        return 6 if self.random.random() < 0.2 else 4

    def own_port(self):
        return self.random.choice(OWN_PORTS)

    def moment(self):
        return self.random.uniform(0, SECONDS - 3600)

    # ---- Frames ----------------------------------------------------------------------------------------

    def record(self, second, outgoing, packet, target_mac=None, source_mac=None):
        here, there = self.server.mac, self.gateway.mac
        if outgoing:
            data = packets.frame(there, here, packet)
        else:
            data = packets.frame(target_mac or here, source_mac or there, packet)
        self.frames.append(Recorded(second, outgoing, data))

    def out(self, second, other, protocol, segment):
        self.record(second, True, packets.ip(self.server.address(6 if ":" in other else 4), other, protocol, segment))

    def come(self, second, other, protocol, segment, reason=None, **link):
        """Into the server; `reason`: what the sensor counts it as, when the kernel's filter lets it see it."""
        if reason:
            self.expected[reason] += 1
        own = self.server.address(6 if ":" in other else 4)
        self.record(second, False, packets.ip(other, own, protocol, segment), **link)

    def say(self, second, other, own_port, port, payload=b"question"):
        own = self.server.address(6 if ":" in other else 4)
        self.out(second, other, UDP, packets.udp(own, other, own_port, port, payload))

    def hear(self, second, other, port, own_port, reason, payload=b"an answer", **link):
        own = self.server.address(6 if ":" in other else 4)
        self.come(second, other, UDP, packets.udp(other, own, port, own_port, payload), reason, **link)

    # ---- What it asks by UDP ------------------------------------------------------------------------------

    def names(self, count):
        """A resolver of its own: another server for each question, some of them slow, some answering twice."""
        for _ in range(count):
            other, own_port, second = self.stranger(self.family()), self.own_port(), self.moment()
            self.say(second, other, own_port, 53)
            late = self.random.uniform(5, 900) if self.random.random() < 0.3 else self.random.uniform(0.01, 0.3)
            for again in range(2 if self.random.random() < 0.1 else 1):
                self.hear(second + late + again, other, 53, own_port, "own_flow")

    def time(self, servers):
        for _ in range(servers):
            other = self.stranger()
            for second in range(self.random.randrange(256), SECONDS, 256):
                self.say(second, other, 123, 123)
                self.hear(second + 0.03, other, 123, 123, "own_flow")

    def tunnel(self):
        """A peer that both sides keep alive, and that may speak first."""
        other = self.stranger()
        for second in range(0, SECONDS, 60):
            self.say(second, other, 51820, 51820, b"keep alive")
            self.hear(second + self.random.uniform(0.1, 59), other, 51820, 51820, "own_flow")

    def shared_files(self, peers):
        """Who was called once goes on calling for half an hour."""
        for _ in range(peers):
            other, port, second = self.stranger(), self.random.randrange(1024, 65536), self.moment()
            self.say(second, other, 16881, port)
            for _call in range(3):
                self.hear(second + self.random.uniform(1, 1800), other, port, 16881, "own_flow")

    def discoveries(self, count):
        """Who plays music, who prints? Asked of all at once; each neighbour answers when it likes."""
        for number in range(count):
            second, own_port, target = self.moment(), self.own_port(), ("239.255.255.250", "10.77.0.255")[number % 2]
            self.record(second, True, packets.ip(self.server.v4, target, UDP, packets.udp(
                self.server.v4, target, own_port, 1900)))
            for host in self.random.sample(range(64, 128), 3):
                source = f"10.77.0.{host}"
                self.hear(second + self.random.uniform(0.1, 30), source, self.random.choice((1900, 49152)), own_port,
                          "own_flow", source_mac=self.neighbour_mac(source))

    # ---- Connections --------------------------------------------------------------------------------------

    def calls(self, count):
        """Connections of ours, to their end and beyond: repeated data, a FIN and a RST that come much too late."""
        for _ in range(count):
            other, here, there = self.stranger(self.family()), self.own_port(), self.random.choice((80, 443, 25, 993))
            own, second = self.server.address(6 if ":" in other else 4), self.moment()
            for wait, outgoing, flags, data in (
                    (0.0, True, SYN, b""), (0.03, False, SYN | ACK, b""), (0.03, True, ACK, b""),
                    (0.04, True, PSH | ACK, b"request"), (0.1, False, ACK, b""), (0.1, False, PSH | ACK, b"answer"),
                    (0.4, False, PSH | ACK, b"answer"), (0.5, True, ACK, b""), (1.0, True, FIN | ACK, b""),
                    (1.1, False, FIN | ACK, b""), (self.random.uniform(60, 900), False, FIN | ACK, b""),
                    (self.random.uniform(900, 3600), False, self.random.choice((RST, RST | ACK)), b"")):
                if outgoing:
                    self.out(second + wait, other, TCP, packets.tcp(own, other, here, there, flags, payload=data))
                else:
                    self.come(second + wait, other, TCP, packets.tcp(other, own, there, here, flags, payload=data))

    def clients(self, count):
        """Connections to the services, from everywhere: SYNs repeated, ends that come late."""
        for number in range(count):
            other = f"10.77.0.{self.random.randrange(64, 128)}" if number % 8 == 0 else self.stranger(self.family())
            link = {"source_mac": self.neighbour_mac(other)} if number % 8 == 0 else {}
            own, second = self.server.address(6 if ":" in other else 4), self.moment()
            here, there = self.random.choice(TCP_SERVICES), self.random.randrange(1024, 65536)
            for again in range(self.random.choice((1, 1, 1, 1, 3))):
                self.come(second + again, other, TCP, packets.tcp(other, own, there, here, SYN), "live_service", **link)
            for wait, flags in ((3.1, ACK), (3.1, PSH | ACK), (4, FIN | ACK),
                                (self.random.uniform(60, 900), FIN | ACK), (self.random.uniform(900, 3600), RST)):
                self.come(second + wait, other, TCP, packets.tcp(other, own, there, here, flags, sequence=2), **link)

    def questions(self, count):
        """To the name server that runs here."""
        for _ in range(count):
            other = self.stranger(self.family())
            self.hear(self.moment(), other, self.random.randrange(1024, 65536), 53, "live_service", b"question")

    def mistakes(self):
        """A mail server that asks who we are (RFC 1413), and a program that tries one closed port eleven times: one
        port each, which the trigger that we ship forgives."""
        for port, hosts, tries in ((113, 40, 2), (587, 10, 11)):
            for _ in range(hosts):
                other, second = self.stranger(), self.moment()
                for again in range(tries):
                    self.come(second + 3 * again, other, TCP,
                              packets.tcp(other, self.server.v4, 40000 + again, port, SYN, sequence=again),
                              "repeated" if again else "probes")

    # ---- What is no question to a port ----------------------------------------------------------------------

    def icmp(self, count):
        """Echo requests of whoever watches this host, and errors that quote what it sent."""
        for number in range(count):
            if number % 2:
                kind, code, quoted = 8, 0, b"is it up?"
            else:
                other = self.stranger()
                kind, code = self.random.choice(((3, 1), (3, 3), (11, 0)))
                quoted = packets.ip(self.server.v4, other, UDP, packets.udp(self.server.v4, other, 33434, 33435))
            body = struct.pack("!BBHI", kind, code, 0, 1) + quoted
            body = body[:2] + struct.pack("!H", packets.checksum(body)) + body[4:]
            self.come(self.moment(), self.stranger(), ICMP, body)

    # ---- The LAN --------------------------------------------------------------------------------------------

    @staticmethod
    def neighbour_mac(address):
        return f"02:88:00:00:00:{packets.packed(address)[-1]:02x}"

    def lan(self, count):
        for number in range(count):
            second, host = self.random.uniform(0, SECONDS), self.random.randrange(64, 128)
            if number % 3:
                target, port = self.random.choice(TO_MANY)
                source = f"fe80::{host:x}" if ":" in target else f"10.77.0.{host}"
                self.record(second, False, packets.ip(source, target, UDP, packets.udp(source, target, port, port)),
                            target_mac=mac_of_many(target), source_mac=self.neighbour_mac(source))
                continue
            protocol, port = self.random.choice(TO_ONE)
            source = self.random.choice((f"10.77.0.{host}", f"10.77.0.{host}", f"fd77::{host:x}", f"fe80::{host:x}"))
            link = {"source_mac": self.neighbour_mac(source)}
            if protocol == UDP:
                self.hear(second, source, port, port, "discovery_noise", **link)
            else:
                own = self.server.address(6 if ":" in source else 4)
                self.come(second, source, TCP, packets.tcp(source, own, self.random.randrange(1024, 65536), port, SYN),
                          "discovery_noise", **link)


def day(server, gateway):
    """(frames, expected). `server`, `gateway`: hosts of the lab."""
    made = Day(server, gateway)
    made.names(8000)
    made.time(4)
    made.tunnel()
    made.shared_files(500)
    made.discoveries(200)
    made.calls(1500)
    made.clients(2500)
    made.questions(2000)
    made.mistakes()
    made.icmp(1000)
    made.lan(9000)
    return sorted(made.frames), made.expected
