"""What somebody who has read the rules would send, and what else could make them blind or unjust."""

import packets
from lab import await_true
from test_kernel_rules import STRANGER, KernelRules

class Refused(KernelRules):
    """Packets that Linux throws away: they teach their sender nothing, and ban nobody."""

    def test_headers_that_are_cut_or_lie_hold_nobody_for_longer_than_it_takes_to_say_so(self):
        daemon = self.start_traps(1)
        segments = [packets.tcp(STRANGER, self.guard.v4, 40000, 100 + cut, packets.SYN)[:cut]
                    for cut in (4, 8, 13, 14, 19)]
        for offset in (0, 4, 15):
            lying = bytearray(packets.tcp(STRANGER, self.guard.v4, 40000, 200 + offset, packets.SYN))
            lying[12] = offset << 4
            segments.append(bytes(lying))
        datagrams = [packets.udp(STRANGER, self.guard.v4, 40000, 100)[:cut] for cut in (4, 7)]
        datagrams += [packets.udp(STRANGER, self.guard.v4, 40000, 101)[:4] + length.to_bytes(2, "big") + bytes(2)
                      for length in (0, 7, 9, 65535)]
        cases = [(packets.TCP, segment) for segment in segments] + [(packets.UDP, datagram) for datagram in datagrams]
        for number, (protocol, header) in enumerate(cases):
            self.send(packets.ipv4(f"10.77.0.{60 + number}", self.guard.v4, protocol, header))
            self.send(packets.ipv6(f"fd77::{60 + number}", self.guard.v6, protocol, header))
        await_true(lambda: daemon.counter("holds_released") >= 20, "the holds to be released")
        await_true(lambda: daemon.counter("holds_released") + daemon.counter("holds_banned") ==
                   daemon.counter("sensor_held"), "all to be judged")
        self.assertEqual(self.of_each_kind("held"), set())
        self.assertEqual(daemon.counter("sensor_held_untold"), 0)
