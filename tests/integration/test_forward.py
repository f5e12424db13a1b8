"""Ports that live behind the guard (a container's), and connections that the guard itself opens.

All of it crosses a veth: on loopback conntrack would hide the difference."""

import socket

from lab import Host, LabTest

CONTAINER_V4, CONTAINER_V6 = "172.31.77.2", "fd7c::2"
PUBLISHED = 8088


class Forward(LabTest):
    def setUp(self):
        super().setUp()
        self.container = Host("container", 99)
        self.lab.cable(self.guard, self.container, "cni0", ["172.31.77.1/24", "fd7c::1/64"],
                       [CONTAINER_V4 + "/24", CONTAINER_V6 + "/64"])
        self.container.ip("route add default via 172.31.77.1", "route add default via fd7c::1")
        with self.guard.entered():
            self.guard.sysctl("net/ipv4/ip_forward", 1)
            self.guard.sysctl("net/ipv6/conf/all/forwarding", 1)
        self.guard.nft(f"""
            table inet container {{
              chain prerouting {{
                type nat hook prerouting priority dstnat
                iifname eth0 meta nfproto ipv4 tcp dport {PUBLISHED} dnat ip to {CONTAINER_V4}:80
                iifname eth0 meta nfproto ipv6 tcp dport {PUBLISHED} dnat ip6 to [{CONTAINER_V6}]:80
              }}
              chain postrouting {{
                type nat hook postrouting priority srcnat
                oifname eth0 masquerade
              }}
            }}
        """)
        self.service = self.container.service("::", 80)

    def ban_scanner(self):
        daemon = self.start()
        for family in (4, 6):
            self.assertEqual(self.scanner.tcp_answer(self.guard.address(family), PUBLISHED, timeout=3), "open")
        self.send(self.syn(23), self.syn(23, family=6))
        self.await_ban(daemon, self.scanner.v4)
        self.await_ban(daemon, self.scanner.v6)
        return daemon

    def test_published_container_port_is_cut_for_a_banned_source(self):
        self.ban_scanner()
        for family in (4, 6):
            self.assertEqual(self.scanner.tcp_answer(self.guard.address(family), PUBLISHED), "silent")
            self.assertEqual(self.bystander.tcp_answer(self.guard.address(family), PUBLISHED, timeout=3), "open")

    def test_connection_that_the_guard_opens_to_a_banned_source_works(self):
        theirs = self.scanner.service("::", 9000)
        self.ban_scanner()
        # The answer to the guard's own neighbour discovery comes from the banned address too.
        self.guard.run(["ip", "neigh", "flush", "all"])
        for family in (4, 6):
            self.assertEqual(self.guard.tcp_answer(self.scanner.address(family), 9000, timeout=3), "open")
        theirs.close()

    def test_connection_that_a_container_opens_to_a_banned_source_works(self):
        theirs = self.scanner.service("::", 9000)
        self.ban_scanner()
        for family in (4, 6):
            self.assertEqual(self.container.tcp_answer(self.scanner.address(family), 9000, timeout=3), "open")
        theirs.close()

    def test_session_of_the_scanner_is_cut_when_it_is_banned(self):
        session = self.scanner.endpoint(socket.AF_INET, socket.SOCK_STREAM)
        session.settimeout(3)
        session.connect((self.guard.v4, 8080))
        accepted, _peer = self.live.accept()
        session.send(b"before")
        self.assertEqual(accepted.recv(16), b"before")
        self.ban_scanner()
        accepted.settimeout(0.6)
        session.send(b"after")
        with self.assertRaises(TimeoutError):
            accepted.recv(16)
