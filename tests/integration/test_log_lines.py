"""The lines themselves, from the file's LOG_* keys to what a reader finds."""

import re

from lab import STATE, LabTest, await_true

READY_2X = r"^Portsentry is now active and listening\.$"


class SecondGeneration(LabTest):
    """LOG_FORMAT="2.x"."""

    def start(self, ignore="", **changes):
        self.configure(ignore, LOG_FORMAT="2.x", **changes)
        daemon = self.launch()
        daemon.await_line(READY_2X)
        return daemon

    @staticmethod
    def scan(source, port, noblock, blocked, protocol="TCP", kind="TCP SYN/Normal scan", options="not set"):
        fields = (f"protocol: [{protocol}] port: [{port}] type: [{kind}] IP opts: [{options}] ignored: [false] "
                  f"triggered: [true] noblock: [{noblock}] blocked: [{blocked}]")
        return "^" + re.escape(f"Scan from: [{source}] ({source}) {fields}") + "$"

    def test_start_and_end_are_in_its_words(self):
        daemon = self.start()
        daemon.stop()
        daemon.await_line(r"^Portsentry is shutting down$")
        self.assertEqual(daemon.matching("adminalert|PortSentry"), [])

    def test_each_event_is_one_scan_line_with_its_fate(self):
        # With traps the packets of who is banned reach nobody.
        daemon = self.start(BLOCK_UDP="0", HOLD="none")
        self.send(self.syn(23))
        daemon.await_line(self.scan(self.scanner.v4, 23, "false", "true"))
        self.await_ban(daemon, self.scanner.v4)
        since = daemon.mark()
        # Again and again: within a second of a report there is no other about the same source.
        already = rf"^attackalert: Host: {self.scanner.v4}/{self.scanner.v4} is already blocked Ignoring$"
        await_true(lambda: self.send(self.syn(24)) or daemon.matching(already), "the line about who goes on")
        daemon.await_line(self.scan(self.scanner.v4, 24, "false", "true"), since=since)
        self.send(self.datagram(69, source=self.scanner.v6))
        daemon.await_line(self.scan(self.scanner.v6, 69, "true", "false", "UDP", "UDP", "unknown"))
        self.assertEqual(len(daemon.matching(r"^Scan from: .* port: \[23\]")), 1)

    def test_command_that_fails_is_no_block(self):
        daemon = self.start(KILL_ROUTE="/bin/false $TARGET$")
        self.send(self.syn(23))
        daemon.await_line(self.scan(self.scanner.v4, 23, "false", "false"))
        daemon.await_line(rf"^attackalert: Error during target dispose {self.scanner.v4}/{self.scanner.v4}!")
        self.assertEqual(daemon.matching(r"blocked: \[true\]|has been blocked| Blocked$"), [])

    def test_connection_to_a_bound_port(self):
        daemon = self.start(TCP_MODE="tcp", TCP_PORTS="79", BLOCK_TCP="0")
        daemon.await_line(r"^Listen on AF_INET6: TCP port: 79$")
        self.scanner.tcp_answer(self.guard.v4, 79)
        daemon.await_line(self.scan(self.scanner.v4, 79, "true", "false", kind="Connect", options="unknown"))


class LogFile(LabTest):
    def test_every_line_stands_there_once_with_time_host_tag_and_process(self):
        STATE.mkdir(mode=0o755)
        path = STATE / "portsentry.log"
        path.write_text("what was there before\n")
        daemon = self.start(LOG_FILE=path, LOG_TAG="trap", LOG_OUTPUT="stdout", LOG_FACILITY="none")
        self.send(self.syn(23))
        self.await_ban(daemon, self.scanner.v4)
        daemon.await_line("Blocked$")
        daemon.stop()
        before, *lines = path.read_text().splitlines()
        self.assertEqual(before, "what was there before")
        prefix = rf"[A-Z][a-z]{{2}} [ \d]\d \d\d:\d\d:\d\d \S+ trap\[{daemon.pid}\]: "
        for line in lines:
            self.assertRegex(line, f"^{prefix}(adminalert|attackalert): ")
        said = daemon.matching("^(adminalert|attackalert): ")
        self.assertEqual([re.sub(f"^{prefix}", "", line) for line in lines], said)


class History(LabTest):
    def test_start_ban_reload_and_restart_only_ever_append(self):
        STATE.mkdir(mode=0o755)
        history = STATE / "portsentry.history"
        seen = "1756178610 - 08/26/2025 03:21:30 Host: 192.0.2.1/192.0.2.1 Port: 23 TCP Blocked\n"
        history.write_text(seen)

        def grown(address):
            nonlocal seen
            await_true(lambda: f"/{address} Port" in history.read_text(), f"{address} in the history")
            self.assertTrue(history.read_text().startswith(seen))
            seen = history.read_text()

        daemon = self.start()
        self.assertEqual(history.read_text(), seen)
        self.send(self.syn(23, source="10.77.0.40"))
        grown("10.77.0.40")
        since = daemon.mark()
        daemon.process.send_signal(1)  # SIGHUP
        daemon.await_line("configuration read again", since=since)
        self.assertEqual(history.read_text(), seen)
        self.send(self.syn(23, source="10.77.0.41"))
        grown("10.77.0.41")
        daemon.stop()
        self.start()
        self.send(self.syn(23, source="10.77.0.42"))
        grown("10.77.0.42")
        self.assertEqual(seen.count("\n"), 4)
