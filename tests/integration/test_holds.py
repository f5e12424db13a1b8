"""The kernel's traps: a scanner is cut off by its own probe, and judged a moment later."""

import os
import signal
import socket
import threading

import packets
from lab import BIN, LAB_DIR, LIVE_PORT, LabTest, await_true, write_root_file

CTL = BIN / "portsentryctl"

STRANGER = "10.77.0.77"  # somebody with no part in this


class Holds(LabTest):
    def start_with_traps(self, ignore="", **changes):
        daemon = self.start(ignore, **{"SCAN_TRIGGER": "2", "HOLD": "auto", **changes})
        self.await_traps()
        return daemon

    def await_traps(self):
        await_true(lambda: len(self.lab.ban_set("judged")) == 2, "the traps to hold")

    def held(self):
        return {address for name in ("held4", "held6", "held6net") for address in self.lab.ban_set(name)}

    def await_count(self, daemon, name, count):
        """The sensor tells its counters once a second."""
        await_true(lambda: daemon.counter(name) >= count, f"{name} to be {count}")
        self.assertEqual(daemon.counter(name), count)

    def counted(self, name):
        """Packets of one of our counters."""
        text = self.guard.run(["nft", "list", "counter", "inet", "portsentry", name]).stdout
        return int(text.split("packets")[1].split()[0])

    def answers(self, family=4):
        """What the guard sends to the scanner from now on: call it again for the frames."""
        wire = self.scanner.endpoint(socket.AF_PACKET, socket.SOCK_RAW, 0x0300)  # ETH_P_ALL
        with self.scanner.entered():
            wire.bind(("eth0", 0x0003))
        self.addCleanup(wire.close)

        def frames():
            wire.setblocking(False)
            found = []
            while True:
                try:
                    frame, origin = wire.recvfrom(2048)
                except BlockingIOError:
                    return found
                if origin[2] != 4 and frame[12:14] == b"\x08\x00":  # not our own; IPv4
                    found.append(frame)

        return frames


class OnThePacket(Holds):
    def test_after_the_triggering_probe_not_one_is_answered(self):
        daemon = self.start_with_traps(SCAN_TRIGGER="3", TCP_PORTS="1-1000")
        answers = self.answers()
        self.send(*(self.syn(port) for port in range(1, 1001)))
        self.await_ban(daemon, self.scanner.v4)
        resets = [frame for frame in answers() if frame[23] == packets.TCP and frame[47] & packets.RST]
        self.assertEqual(len(resets), 2, "two probes came before the third")
        self.assertEqual(self.counted("held") + self.counted("dropped"), 997)
        self.await_count(daemon, "sensor_held", 1)
        self.await_count(daemon, "holds_banned", 1)

    def test_a_udp_probe_holds_too(self):
        daemon = self.start_with_traps(SCAN_TRIGGER="2")
        self.send(self.datagram(69), self.datagram(161), *(self.datagram(69) for _ in range(20)))
        self.await_ban(daemon, self.scanner.v4)
        self.assertEqual(self.counted("held") + self.counted("dropped"), 20)

    def test_ipv6_of_our_link_is_held_by_address_and_a_site_by_its_network(self):
        self.guard.ip("route add default via fd77::2")
        daemon = self.start_with_traps(SCAN_TRIGGER="2")
        self.send(*(self.syn(port, source="fd77::77") for port in (10, 11, 12)))
        self.await_ban(daemon, "fd77::77")
        self.send(*(self.syn(port, source=f"2001:db8:1:2::{port}") for port in range(10, 20)))
        self.await_ban(daemon, "2001:db8:1:2::/64", set_name="ban6net")
        self.await_count(daemon, "sensor_held", 2)

    def test_scans_of_every_kind_that_the_kernel_can_tell_from_traffic(self):
        for flags, kind in ((packets.ACK, "TCP ACK"), (packets.FIN | packets.ACK, "TCP Maimon"),
                            (packets.FIN, "TCP FIN"), (0, "TCP NULL")):
            daemon = self.start_with_traps(SCAN_TRIGGER="2")
            source = f"10.77.0.{60 + flags}"
            self.send(*(self.syn(port, source=source, flags=flags) for port in (10, 11)))
            self.await_ban(daemon, source)
            self.assertTrue(daemon.matching(rf"attackalert: +{kind} scan from host: {source}"), kind)
            daemon.stop()

    def test_answers_and_resets_are_no_probes(self):
        daemon = self.start_with_traps(SCAN_TRIGGER="1")
        self.send(*(self.syn(20 + n, flags=flags) for n, flags in enumerate(
            (packets.RST, packets.RST | packets.ACK, packets.SYN | packets.ACK, packets.SYN | packets.RST))))
        self.await_sentinel(daemon)
        self.assert_unnoticed(daemon)

    def test_services_and_connections_are_left_alone(self):
        daemon = self.start_with_traps(SCAN_TRIGGER="1", TCP_PORTS=f"1-100,{LIVE_PORT}", UDP_PORTS="1-65535")
        other = self.guard.service("::", 50)
        for family in (4, 6):
            self.assertEqual(self.scanner.tcp_answer(self.guard.address(family), LIVE_PORT, timeout=3), "open")
            self.assertEqual(self.scanner.tcp_answer(self.guard.address(family), 50, timeout=3), "open")
        other.close()
        self.assertEqual(self.scanner.tcp_answer(self.guard.v4, 50, timeout=3), "closed", "which is a minute's grace")
        self.assertEqual(self.held(), set())
        self.await_sentinel(daemon)
        self.assert_unnoticed(daemon)


class Judged(Holds):
    def test_the_end_of_a_ban_is_the_end_of_its_hold(self):
        daemon = self.start_with_traps(SCAN_TRIGGER="2", BLOCK_TIME="1s")
        self.send(*(self.syn(port, source=STRANGER) for port in (10, 11)))
        daemon.await_line(self.blocked_line(STRANGER, duration="1s"))
        self.assertEqual(self.held(), set(), "the ban has taken its place")
        daemon.await_line("has expired")
        self.send(self.syn(12, source=STRANGER))
        await_true(lambda: len(daemon.matching(self.blocked_line(STRANGER, duration="1s"))) == 2, "another ban")

    def test_who_is_ignored_or_protected_is_told_and_never_held(self):
        self.guard.ip("route add default via 10.77.0.254")
        daemon = self.start_with_traps("10.77.0.31\n", SCAN_TRIGGER="2", PROTECT_NETWORKS="10.77.0.32/32")
        await_true(lambda: "10.77.0.31" in self.guard.run(["nft", "list", "set", "inet", "portsentry", "exempt4"]).stdout,
                   "the ignored one to be exempt")
        for source in ("10.77.0.31", "10.77.0.32", "10.77.0.254"):
            self.send(*(self.syn(port, source=source) for port in range(10, 20)))
        self.send(*(self.syn(port, source=STRANGER) for port in (10, 11)))
        self.await_ban(daemon, STRANGER)
        self.assertEqual(self.lab.banned(), {STRANGER})
        self.await_count(daemon, "sensor_held", 1)
        self.assertGreater(daemon.counter("decision_ignored"), 0)

    def test_a_hold_that_comes_to_nothing_ends_at_once(self):
        # Ignored by one condition only, which the kernel does not know.
        daemon = self.start_with_traps(f"{STRANGER} port 10-19\n", SCAN_TRIGGER="2")
        self.send(*(self.syn(port, source=STRANGER) for port in (10, 11)))
        await_true(lambda: daemon.counter("holds_released") == 1, "the hold to be released")
        self.assertEqual(self.held(), set())
        self.assertEqual(self.lab.banned(), set())

    def test_one_forged_port_holds_for_ten_seconds_and_not_again(self):
        daemon = self.start_with_traps(f"{STRANGER} port 23\n", SCAN_TRIGGER="1")
        for _ in range(5):
            self.send(self.syn(23, source=STRANGER))
        await_true(lambda: daemon.counter("holds_released") == 1, "the hold to be released")
        self.send(self.syn(23, source=STRANGER))
        self.await_sentinel(daemon)
        self.await_count(daemon, "sensor_held", 2)  # the other one is the sentinel's

    def test_unbanned_is_not_held_either(self):
        daemon = self.start_with_traps(SCAN_TRIGGER="2")
        self.send(*(self.syn(port, source=STRANGER) for port in (10, 11)))
        self.await_ban(daemon, STRANGER)
        self.guard.run([CTL, "unban", STRANGER])
        self.assertEqual(self.held(), set())


class BesideACommand(Holds):
    """FIREWALL="command": the hold lasts until the owner's command has returned."""

    def start_with_command(self, ending):
        go = LAB_DIR / "go"
        go.unlink(missing_ok=True)
        script = LAB_DIR / "ban.sh"
        write_root_file(script, f"#!/bin/sh\nwhile [ ! -e {go} ]; do sleep 0.05; done\n{ending}\n", 0o755)
        return go, self.start_with_traps(FIREWALL="command", KILL_ROUTE=f"{script} $TARGET$",
                                         KILL_ROUTE_REMOVE="/usr/sbin/iptables -D INPUT -s $TARGET$ -j DROP")

    def scan_until_held(self):
        answers = self.answers()
        self.send(*(self.syn(port) for port in range(1, 61)))
        await_true(lambda: self.held() == {self.scanner.v4}, "the scanner to be held")
        return [frame for frame in answers() if frame[23] == packets.TCP and frame[47] & packets.RST]

    def test_not_one_probe_is_answered_before_the_command_has_returned(self):
        go, daemon = self.start_with_command('exec /usr/sbin/iptables -I INPUT -s "$1" -j DROP')
        self.assertEqual(len(self.scan_until_held()), 1, "one probe came before the second")
        await_true(lambda: self.lab.ban_set("held4").get(self.scanner.v4, 0) > 10, "the hold to wait for the command")
        self.assertEqual(self.scanner.tcp_answer(self.guard.v4, 70), "silent")
        self.assertEqual(daemon.matching("has been blocked"), [])
        go.touch()
        daemon.await_line(rf"Host {self.scanner.v4} has been blocked via dropped route")
        await_true(lambda: self.held() == set(), "the hold to end with the command")
        self.assertEqual(self.scanner.tcp_answer(self.guard.v4, 71), "silent")
        self.assertEqual(self.lab.banned(), set())

    def test_a_command_that_fails_holds_nobody_any_longer(self):
        go, daemon = self.start_with_command("exit 3")
        self.scan_until_held()
        go.touch()
        daemon.await_line("Could not block host")
        await_true(lambda: self.held() == set(), "the hold to end with the command")


class Containers(Holds):
    def test_a_published_port_is_the_containers_and_no_trap(self):
        """dnat to a second namespace, with no socket on the host."""
        self.guard.nft("""
            table ip publish {
              chain prerouting {
                type nat hook prerouting priority -100; policy accept;
                tcp dport 80 dnat to 10.77.0.3
              }
              chain postrouting {
                type nat hook postrouting priority 100; policy accept;
                masquerade
              }
            }""")
        with self.guard.entered():
            self.guard.sysctl("net/ipv4/ip_forward", 1)
        daemon = self.start_with_traps(SCAN_TRIGGER="1")
        for _ in range(3):
            self.scanner.tcp_answer(self.guard.v4, 80)
        self.await_sentinel(daemon)
        self.assert_unnoticed(daemon)


class Lifetime(Holds):
    def test_observing_holds_nobody(self):
        daemon = self.start(SCAN_TRIGGER="2", BLOCK_TCP="0", BLOCK_UDP="0", HOLD="auto")
        self.send(*(self.syn(port, source=STRANGER) for port in (10, 11)))
        daemon.await_line(self.event_line(STRANGER, "TCP SYN/Normal"))
        self.assertEqual(self.held(), set())

    def test_a_protocol_that_observes_holds_nobody(self):
        daemon = self.start_with_traps(SCAN_TRIGGER="2", BLOCK_UDP="0")
        self.send(self.datagram(69, source=STRANGER), self.datagram(161, source=STRANGER))
        daemon.await_line(self.event_line(STRANGER, "UDP", "UDP"))
        self.assertEqual(daemon.counter("sensor_held"), 0)

    def test_arming_by_hand_brings_the_traps_and_observing_ends_them(self):
        daemon = self.start(SCAN_TRIGGER="2", BLOCK_TCP="0", BLOCK_UDP="0", HOLD="auto")
        self.guard.run([CTL, "arm"])
        self.await_traps()
        self.send(*(self.syn(port, source=STRANGER) for port in (10, 11)))
        self.await_ban(daemon, STRANGER)
        self.await_count(daemon, "sensor_held", 1)
        sensor = daemon.roles()["sensor"]
        self.guard.run([CTL, "observe"])
        await_true(lambda: not self.lab.ban_set("judged"), "the holds to end")
        self.assertEqual(self.held(), set())
        self.send(*(self.syn(port, source="10.77.0.78") for port in (10, 11)))
        daemon.await_line(self.event_line("10.77.0.78", "TCP SYN/Normal"))
        self.await_count(daemon, "sensor_held", 1)
        self.assertEqual(daemon.roles()["sensor"], sensor, "the traps go on to tell, and nothing was missed")

    def hold_somebody(self):
        self.guard.nft(f"add element inet portsentry held4 {{ {STRANGER} timeout 10s }}")
        self.assertEqual(self.held(), {STRANGER})

    def test_nobody_is_held_after_the_daemon_has_stopped_or_died(self):
        for role in (None, "monitor", "enforcer"):
            daemon = self.start_with_traps()
            self.hold_somebody()
            if role is None:
                daemon.stop()
            else:
                os.kill(daemon.roles()[role], signal.SIGKILL)
                daemon.await_exit()
            self.assertEqual(self.held(), set(), role)
            self.assertEqual(self.lab.ban_set("alive"), {}, role)

    def test_holds_of_an_earlier_run_end_at_the_start(self):
        daemon = self.start_with_traps()
        daemon.stop()
        self.hold_somebody()
        self.start_with_traps()
        self.assertEqual(self.held(), set())

    def test_without_a_renewal_the_traps_do_nothing(self):
        daemon = self.start_with_traps(SCAN_TRIGGER="2")
        os.kill(daemon.roles()["enforcer"], signal.SIGSTOP)  # which would fill it anew
        self.guard.nft("flush set inet portsentry alive")
        self.send(*(self.syn(port, source=STRANGER) for port in (10, 11)))
        self.assertEqual(self.scanner.tcp_answer(self.guard.v4, 12), "closed")  # sent after those
        self.assertEqual(self.held(), set())
        self.assertEqual(self.lab.ban_set("seen4"), {})
        self.assertEqual(daemon.counter("sensor_held"), 0)

    def test_before_it_is_known_whom_to_spare_the_traps_tell_and_hold_nobody(self):
        daemon = self.start_with_traps(SCAN_TRIGGER="2")
        enforcer = daemon.roles()["enforcer"]
        os.kill(enforcer, signal.SIGSTOP)  # which would fill it anew
        self.guard.nft("flush set inet portsentry judged")
        self.send(*(self.syn(port, source=STRANGER) for port in (10, 11)))
        daemon.await_line(self.event_line(STRANGER, "TCP SYN/Normal"))
        os.kill(enforcer, signal.SIGCONT)
        self.await_ban(daemon, STRANGER)
        self.assertEqual(daemon.counter("holds_banned"), 0)
        self.assertEqual(daemon.counter("sensor_held"), 0)

    def test_hold_none_makes_no_traps(self):
        daemon = self.start(SCAN_TRIGGER="2", HOLD="none")
        self.send(*(self.syn(port, source=STRANGER) for port in (10, 11)))
        self.await_ban(daemon, STRANGER)
        self.assertEqual(daemon.counter("traps"), 0)
        self.assertEqual(daemon.counter("sensor_trapped"), 0)

    def test_a_group_of_another_program_is_a_start_error(self):
        other = self.start_with_traps()
        self.assertTrue(other)
        self.configure(SCAN_TRIGGER="2", HOLD="auto")
        other.stop()
        taken = self.taken_group(7100)
        self.addCleanup(taken.close)
        daemon = self.launch()
        self.assertEqual(daemon.await_exit(), 78)
        daemon.await_line(r"NFLOG_GROUP: group 7100 is another program's")

    def test_a_predecessor_that_is_dying_with_the_group_in_its_hands_is_waited_for(self):
        taken = self.taken_group(7100)
        release = threading.Timer(0.5, taken.close)
        release.start()
        self.addCleanup(release.join)
        self.configure(SCAN_TRIGGER="2")
        self.launch().await_ready()
        self.await_traps()

    def taken_group(self, group):
        """What ulogd2 would do."""
        sock = self.guard.endpoint(socket.AF_NETLINK, socket.SOCK_RAW, 12)  # NETLINK_NETFILTER
        body = b"\x00\x00" + group.to_bytes(2, "big") + (5).to_bytes(2, "little") + b"\x01\x00\x01\x00\x00\x00"
        header = (16 + len(body)).to_bytes(4, "little") + ((4 << 8) | 1).to_bytes(2, "little") + \
            (1 | 4).to_bytes(2, "little") + (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
        sock.sendto(header + body, (0, 0))
        sock.recv(4096)
        return sock


class Flood(Holds):
    def test_a_spent_budget_is_told_and_counted(self):
        daemon = self.start_with_traps(SCAN_TRIGGER="1")
        self.send(*(self.syn(23, source=f"10.88.{n // 250}.{n % 250 + 1}") for n in range(600)))
        await_true(lambda: daemon.counter("sensor_trapped") >= 600, "every packet to be told")
        held, spent = daemon.counter("sensor_held"), daemon.counter("sensor_hold_over_budget")
        self.assertEqual(held + spent, 600)
        self.assertGreaterEqual(held, 300)
        self.assertGreater(spent, 200)
