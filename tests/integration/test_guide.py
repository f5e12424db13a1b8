"""The guide that PortSentry users follow, section by section, in its order.

Each class is a section and is named after it; each row of a table is a line that the guide prints, with the
addresses changed and with what it should say. What cannot work as printed runs as docs/guide.md prints it.
The sections about the service, fail2ban, mail and the SIEM have files of their own: test_service,
test_fail2ban, test_mail, test_rsyslog.
"""

import dataclasses
import os
import pathlib
import re
import signal
import time
import typing

from guide_text import block
from lab import BIN, CONF, DEADLINE, IGNORE, LIVE_PORT, await_true, is_alive, mount_private, write_root_file
from neighbours import BLOCKED, HISTORY, LOG_FILE, SIEM_LOG, SYSLOG, NeighbourTest, file_text, own_file

NOBODY = 65534
READY = r"adminalert: PortSentry is now active and listening\.$"
LISTENING = r"adminalert: Going into {0} mode on (?:{1} port: {2}|\d+ {1} ports)$"
CLASSIC_TIME = r"[A-Z][a-z]{2} [ \d]\d \d{2}:\d{2}:\d{2}"

# The guide's own configuration lines.
UNDERSTANDING = """\
# Basic TCP port configuration
TCP_PORTS="1,7,9,11,15,70,79,80,109,110,111,119,138,139,143,513,514,515,540,635,1080,1524,2000,2001,4000,4001,5742,\
6000,6001,6667,12345,12346,20034,31337,32771,32772,32773,32774,40421,49724,54320"

# Basic UDP port configuration
UDP_PORTS="1,7,9,69,161,162,513,635,640,641,700,32770,32771,32772,32773,32774,31337,54321"

# Advanced stealth scan detection ports
ADVANCED_PORTS_TCP="1024"
ADVANCED_PORTS_UDP="1024"
"""
BLOCKING = """\
# Enable blocking
BLOCK_UDP="1"
BLOCK_TCP="1"

# Kill route for blocked IPs (Linux)
KILL_ROUTE="/sbin/iptables -I INPUT -s $TARGET$ -j DROP"

# Kill route removal command
KILL_ROUTE_REMOVE="/sbin/iptables -D INPUT -s $TARGET$ -j DROP"
"""
HOSTS_DENY = """\
# Alternative: Use hosts.deny
KILL_HOSTS_DENY="ALL: $TARGET$ : DENY"
"""
WEB_SERVER = """\
# Configure ports to monitor (excluding web ports)
TCP_PORTS="1,7,9,11,15,79,109,110,111,119,135,138,139,143,445,513,514,515,540,635,1080,1524,2000,2001,4000,4001,5742,\
6000,6001,6667,12345,12346,20034,31337,32771,32772,32773,32774,40421,49724,54320"

# Enable automatic blocking
BLOCK_UDP="1"
BLOCK_TCP="1"

# Set aggressive response
KILL_ROUTE="/sbin/iptables -I INPUT -s $TARGET$ -j DROP"
"""
MINIMAL_PORTS = 'TCP_PORTS="23,79,135,139,445,1433,1521,3389"\n'
COMPREHENSIVE_PORTS = """\
TCP_PORTS="1,7,9,11,15,70,79,80,109,110,111,119,135,138,139,143,445,513,514,515,540,635,1080,1433,1521,1524,2000,2001,\
3389,4000,4001,5432,5742,6000,6001,6667,8080,12345,12346,20034,31337,32771,32772,32773,32774,40421,49724,54320"
"""
HARDENING = """\
# Enable strict mode
RESOLVE_HOST="0"
BLOCK_UDP="1"
BLOCK_TCP="1"

# Set conservative scan trigger
SCAN_TRIGGER="1"
"""


@dataclasses.dataclass(frozen=True)
class Line:
    """A line that somebody types, and what it does."""
    text: str
    says: str = ""            # found in what it prints
    never: str = r"(?!)"      # not found there
    status: int = 0
    user: typing.Optional[int] = None


class GuideTest(NeighbourTest):
    def have_conf(self, *parts, ignore="", trigger=True):
        """The guide's lines, the files of docs/guide.md, and a trigger of one, which the guide sets last."""
        text = "\n".join((*parts, block("files")))
        if trigger and "SCAN_TRIGGER" not in text:
            text += 'SCAN_TRIGGER="1"\n'
        write_root_file(CONF, text)
        write_root_file(IGNORE, ignore)

    def type_lines(self, table):
        for line in table:
            with self.subTest(line=line.text):
                done = self.sh(line.text, user=line.user)
                self.assertEqual(done.returncode, line.status, done.stdout)
                self.assertRegex(done.stdout, f"(?m){line.says}")
                self.assertNotRegex(done.stdout, f"(?m){line.never}")

    # ---- The daemon as the guide starts it: a word on a terminal ------------------------------------------

    def pidof(self):
        return [int(pid) for pid in self.sh("pidof portsentry").stdout.split()]

    def start_by_word(self, line):
        """Comes back once ready, and leaves one process that pidof finds."""
        said, status = self.terminal(line)
        self.assertEqual(status, 0, said)
        self.await_log(READY, timeout=1)
        # Its helpers (nft, the hosts.deny editor) have its name for as long as it takes to start them.
        await_true(lambda: len(self.pidof()) == 1, "one process of that name")
        return self.pidof()[0]

    @staticmethod
    def processes():
        """Every living process that was started under one of our names."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit() and is_alive(entry.name):
                name = file_text(entry / "cmdline").partition("\0")[0].rpartition("/")[2]
                if name.startswith("portsentry"):
                    found.append(entry.name)
        return found

    def stop_daemon(self):
        """As a service manager would. Its exit status is ours to read: what goes to the background here is
        handed to process 1, which is the test."""
        for pid in self.pidof():
            os.kill(pid, signal.SIGTERM)
            status = []

            def ended(pid=pid, status=status):
                status[:] = os.waitpid(pid, os.WNOHANG)
                return status[0] == pid

            await_true(ended, "the daemon ended")
            self.assertEqual(os.waitstatus_to_exitcode(status[1]), 0)
        await_true(lambda: not self.processes(), "every process of the daemon gone")

    def await_log(self, pattern, timeout=DEADLINE):
        return self.await_file(LOG_FILE, pattern, timeout=timeout)

    def await_blocked_by_iptables(self, address):
        self.await_log(rf"attackalert: Host {re.escape(address)} has been blocked via dropped route using command: "
                       rf'"/sbin/iptables -I INPUT -s {re.escape(address)} -j DROP"$')

    def probe(self, port, source=None):
        self.send(self.syn(port, source=source))


class InstallingPortsentryOnLinux(GuideTest):
    def test_verify_installation(self):
        self.type_lines((
            Line("portsentry -v", r"(?i)^portsentry\w* \d+\.\d+", user=NOBODY),
            Line("portsentry -v", r"(?i)^portsentry\w* \d+\.\d+"),
            Line("portsentry -V", r"(?i)^portsentry\w* \d+\.\d+", user=NOBODY),
            Line("portsentry -h", r"^usage: ", user=NOBODY),
        ))
        self.assertEqual(self.pidof(), [])  # 2.x would run now: -v was "verbose" there


class PortsentryConfigurationFiles(GuideTest):
    def test_main_configuration_files_are_where_the_guide_says(self):
        self.have_conf(UNDERSTANDING, BLOCKING)
        self.start_by_word("sudo portsentry -stcp")
        self.probe(79)
        self.await_blocked_by_iptables(self.scanner.v4)
        self.await_file(HISTORY, rf"^\d+ - \d\d/\d\d/\d{{4}} \d\d:\d\d:\d\d Host: {self.scanner.v4}/{self.scanner.v4} "
                        r"Port: 79 TCP Blocked$")
        self.await_file(BLOCKED, rf"^{self.scanner.v4} - Blocked: {CLASSIC_TIME} \d{{4}}$")

    def test_understanding_portsentry_conf(self):
        self.have_conf(UNDERSTANDING)
        self.type_lines((Line(f"portsentry -t -f {CONF}", "ok", r"error:|unknown"),))
        self.start_by_word("sudo portsentry -stcp")
        for port in (1, 54320, 31337):
            self.probe(port, source=f"10.77.0.{50 + port % 7}")
            self.await_log(rf"TCP SYN/Normal scan from host: 10\.77\.0\.{50 + port % 7}/\S+ to TCP port: {port}$")

    def test_each_word_is_one_of_the_modes_in_the_configuration(self):
        for tcp, udp, says in (("tcp", "", "listen mode on TCP"), ("stcp", "sudp", "stealth listen mode on.* UDP port"),
                               ("", "audp", "Advanced")):
            with self.subTest(tcp=tcp, udp=udp):
                self.have_conf(UNDERSTANDING, f'TCP_MODE="{tcp}"\nUDP_MODE="{udp}"\n')
                self.start_by_word("sudo portsentry -d")
                self.await_log(says)
                self.stop_daemon()
                LOG_FILE.unlink()


class PortsentryOperationModes(GuideTest):
    def setUp(self):
        super().setUp()
        self.have_conf(UNDERSTANDING, 'BLOCK_TCP="0"\nBLOCK_UDP="0"\n')

    def assert_open(self, port, expected="open"):
        self.assertEqual(self.scanner.tcp_answer(self.guard.v4, port, timeout=3), expected)

    def assert_quiet(self, pattern, sentinel):
        """Nothing was said by the time that a later probe, which counts, has its line."""
        sentinel()
        self.assertNotRegex(file_text(LOG_FILE), pattern)

    def tcp_sentinel(self, port=79):
        self.probe(port, source="10.77.0.99")
        self.await_log(r"from host: 10\.77\.0\.99/\S+ to TCP port")

    # -- 1. Basic Port Binding Mode --

    def test_tcp_binds_the_listed_ports_and_watches_no_udp(self):
        self.start_by_word("sudo portsentry -tcp")
        self.await_log(LISTENING.format("listen", "TCP", 79))
        self.assert_open(79)
        self.await_log(rf"attackalert: Connect from host: {self.scanner.v4}/{self.scanner.v4} to TCP port: 79$")
        self.assert_open(81, "closed")
        self.send(self.datagram(69, source="10.77.0.60"))
        self.assertEqual(self.scanner.tcp_answer(self.guard.v6, 7, timeout=3), "open")
        self.await_log(rf"Connect from host: {self.scanner.v6}/{self.scanner.v6} to TCP port: 7$")
        self.assertNotIn("10.77.0.60", file_text(LOG_FILE))
        self.assertNotRegex(file_text(LOG_FILE), "on UDP port")

    def test_udp_binds_the_listed_ports_and_watches_no_tcp(self):
        self.start_by_word("sudo portsentry -udp")
        self.await_log(LISTENING.format("listen", "UDP", 69))
        self.assert_open(79, "closed")
        self.assertEqual(self.scanner.udp_answer(self.guard.v4, 69), "silent")  # open, and says nothing
        self.await_log(rf"attackalert: Connect from host: {self.scanner.v4}/{self.scanner.v4} to UDP port: 69$")
        self.assertEqual(self.scanner.udp_answer(self.guard.v4, 68), "closed")
        self.assertNotRegex(file_text(LOG_FILE), "on TCP port|to TCP port")

    def test_port_in_use_is_said_and_the_others_keep_their_numbers(self):
        taken = self.guard.service("0.0.0.0", 11)
        self.start_by_word("sudo portsentry -tcp")
        self.await_log(r"ERROR: could not bind TCP socket: 11\. Attempting to continue\b")
        self.assert_open(79)
        self.await_log(rf"Connect from host: {self.scanner.v4}/{self.scanner.v4} to TCP port: 79$")
        taken.close()

    # -- 2. Stealth Scan Detection Mode (the guide's caption for -atcp and -audp) --

    def test_atcp_watches_everything_below_advanced_ports(self):
        self.start_by_word("sudo portsentry -atcp")
        self.await_log(r"Advanced mode will monitor first 1024 ports$")
        self.probe(1023, source="10.77.0.61")  # not in TCP_PORTS
        self.await_log(r"TCP SYN/Normal scan from host: 10\.77\.0\.61/10\.77\.0\.61 to TCP port: 1023$")
        self.probe(1024, source="10.77.0.62")
        self.probe(31337, source="10.77.0.63")
        self.assert_quiet(r"10\.77\.0\.6[23]", self.tcp_sentinel)
        self.assert_open(1023, "closed")

    def test_atcp_leaves_services_alone_as_they_come(self):
        self.start_by_word("sudo portsentry -atcp")
        service = self.guard.service("0.0.0.0", 22)
        self.probe(22, source="10.77.0.61")
        self.assert_quiet(r"10\.77\.0\.61", self.tcp_sentinel)
        service.close()

    def test_audp_watches_everything_below_advanced_ports(self):
        self.start_by_word("sudo portsentry -audp")
        self.send(self.datagram(1023, source="10.77.0.61"), self.datagram(1024, source="10.77.0.62"),
                  self.datagram(7, source="10.77.0.63"))
        self.await_log(r"UDP scan from host: 10\.77\.0\.61/10\.77\.0\.61 to UDP port: 1023$")
        self.await_log(r"from host: 10\.77\.0\.63/\S+ to UDP port: 7$")
        self.assertNotIn("10.77.0.62", file_text(LOG_FILE))

    # -- 3. Advanced Stealth Detection (the guide's caption for -stcp) --

    def test_stcp_sees_every_kind_of_scan_of_the_list(self):
        self.start_by_word("sudo portsentry -stcp")
        self.await_log(LISTENING.format("stealth listen", "TCP", 79))
        # From an address of its own each: there is one line a second about a source that goes on.
        kinds = (("-sS", "SYN/Normal"), ("-sF", "FIN"), ("-sN", "NULL"), ("-sX", "XMAS"))
        for number, (flag, kind) in enumerate(kinds, 41):
            address = f"10.77.0.{number}"
            self.scanner.ip(f"addr add {address}/24 dev eth0")
            self.scanner.nmap(flag, "-S", address, "-e", "eth0", "-p", "1,9,15,79", self.guard.v4)
            self.await_log(rf"attackalert: +TCP {kind} scan from host: {address}/{address} to TCP port: (1|9|15|79)$")
        self.assert_open(79, "closed")

    # -- Words and their neighbours --

    def test_second_start_with_the_other_protocol_tells_the_one_command_for_both(self):
        self.start_by_word("sudo portsentry -tcp")
        said, status = self.terminal("sudo portsentry -udp")
        self.assertNotEqual(status, 0)
        self.assertIn("portsentry -tcp -udp", said)
        self.assertEqual(len(self.pidof()), 1)

    def test_both_words_together_are_one_daemon(self):
        self.start_by_word("sudo portsentry -tcp -udp")
        self.assert_open(79)
        self.send(self.datagram(69, source="10.77.0.60"))
        self.await_log(r"to TCP port: 79$")
        self.await_log(r"to UDP port: 69$")

    def test_word_without_a_terminal_stays_in_the_foreground(self):
        daemon = self.launch(arguments=("-stcp",)).await_ready()
        self.assertIsNone(daemon.process.poll())
        self.assertEqual(daemon.stop(), 0)

    def test_word_without_root_says_so(self):
        self.type_lines((Line("portsentry -tcp", r"(?i)root", status=77, user=NOBODY),))


class ConfiguringAutomaticBlocking(GuideTest):
    def test_scan_is_blocked_where_the_guide_looks_for_it(self):
        self.have_conf(UNDERSTANDING, BLOCKING, HOSTS_DENY)
        self.start_by_word("sudo portsentry -stcp")
        self.scanner.nmap("-sS", "-p", "1-100", self.guard.v4)
        self.await_blocked_by_iptables(self.scanner.v4)
        self.await_log(rf'Host {self.scanner.v4} has been blocked via wrappers with string: "ALL: {self.scanner.v4} : DENY"$')
        self.probe(79, source="10.77.0.50")
        self.await_blocked_by_iptables("10.77.0.50")
        self.type_lines((
            Line("iptables -L INPUT -n", r"^Chain INPUT \(policy ACCEPT\)\n"
                 r"target     prot opt source               destination +\n"
                 rf"DROP +(all|0) +-- +10\.77\.0\.50 +0\.0\.0\.0/0 +\n"
                 rf"DROP +(all|0) +-- +{self.scanner.v4} +0\.0\.0\.0/0"),
            Line("iptables -L INPUT -n | grep -c DROP", "^2$"),
            Line("grep ALL: /etc/hosts.deny", rf"^ALL: {self.scanner.v4} : DENY$", "77.0.3"),
        ))
        self.assert_cut_off(4)

    def test_removal_command_ends_the_block(self):
        self.have_conf(UNDERSTANDING, BLOCKING, HOSTS_DENY, 'BLOCK_TIME_FORGEABLE="4s"\n')
        self.start_by_word("sudo portsentry -stcp")
        self.probe(79)
        self.await_blocked_by_iptables(self.scanner.v4)
        await_true(lambda: not self.input_drops(), "the rule gone", 4 + DEADLINE)
        await_true(lambda: self.scanner.v4 not in file_text("/etc/hosts.deny"), "the entry gone")
        await_true(lambda: self.scanner.v4 not in file_text(BLOCKED), "the line gone")
        self.assertIn(self.scanner.v4, file_text(HISTORY))
        self.assert_reachable(4)


class PracticalConfigurationExamples(GuideTest):
    def test_basic_security_configuration_leaves_the_web_alone(self):
        self.have_conf(WEB_SERVER)
        self.type_lines((Line(f"portsentry -t -f {CONF}", "iptables -D INPUT", "error:"),))  # the undo that it derived
        self.start_by_word("sudo portsentry -stcp")
        self.probe(80, source="10.77.0.50")
        self.probe(445)
        self.await_blocked_by_iptables(self.scanner.v4)
        self.assertEqual(self.input_drops(), [self.scanner.v4])
        self.assertNotIn("10.77.0.50", file_text(LOG_FILE))

    def test_whitelist_configuration(self):
        self.have_conf(WEB_SERVER, ignore=f"127.0.0.1\n192.168.1.1\n10.0.0.1\n{self.scanner.v4}")  # no final newline
        self.start_by_word("sudo portsentry -stcp")
        self.scanner.nmap("-sS", "-p", "1-200", self.guard.v4)
        self.probe(79, source="10.77.0.20")  # has the ignored one as its beginning
        self.await_blocked_by_iptables("10.77.0.20")
        self.assertEqual(self.input_drops(), ["10.77.0.20"])
        self.assert_reachable(4)


class StartingAndManagingPortsentry(GuideTest):
    """`systemctl` runs in test_service."""

    def test_manual_startup_options(self):
        self.have_conf(UNDERSTANDING)
        for line in ("sudo portsentry -tcp", "sudo portsentry -atcp", "sudo portsentry -udp", "sudo portsentry -tcp -d"):
            with self.subTest(line=line):
                self.start_by_word(line)
                self.stop_daemon()
                self.await_log(r"PortSentry is shutting down")
                LOG_FILE.unlink()

    def test_daemon_mode_daemonises_without_a_terminal_too(self):
        self.have_conf(UNDERSTANDING)
        done = self.sh("sudo portsentry -tcp -d < /dev/null > /dev/null 2>&1")
        self.assertEqual(done.returncode, 0)
        self.await_log(READY, timeout=1)
        self.assertEqual(len(self.pidof()), 1)


class MonitoringAndLogging(GuideTest):
    def start_classic(self):
        self.have_conf(MINIMAL_PORTS, 'BLOCK_TCP="1"\n', BLOCKING, 'KILL_HOSTS_DENY="ALL: $TARGET$"\n')
        self.start_rsyslog(classic_time=True)
        return self.start_by_word("sudo portsentry -tcp")

    def test_sample_log_output_is_what_the_logs_hold(self):
        """The two sample lines of the guide, byte for byte but for time, host, pid and address."""
        pid = self.start_classic()
        self.assertEqual(self.scanner.tcp_answer(self.guard.v4, 23, timeout=3), "open")
        a = re.escape(self.scanner.v4)
        for path in (SYSLOG, LOG_FILE):
            for line in (rf"attackalert: Connect from host: {a}/{a} to TCP port: 23",
                         rf'attackalert: Host {a} has been blocked via wrappers with string: "ALL: {a}"'):
                self.await_file(path, rf"^{CLASSIC_TIME} \S+ portsentry\[{pid}\]: {line}$")
        self.type_lines((
            Line("tail /var/log/portsentry.log", "attackalert: Connect from host"),
            Line("tail /var/log/syslog", "attackalert: Connect from host"),
        ))

    def test_checking_blocked_ips(self):
        self.start_classic()
        self.assertEqual(self.scanner.tcp_answer(self.guard.v4, 23, timeout=3), "open")
        self.await_file(BLOCKED, self.scanner.v4)
        self.type_lines((
            Line("cat /etc/portsentry/portsentry.blocked", rf"\A{self.scanner.v4} - Blocked: {CLASSIC_TIME} \d{{4}}\n\Z"),
            Line("iptables -L INPUT -n | grep DROP", rf"^DROP .*{self.scanner.v4} +0\.0\.0\.0/0"),
        ))


class AdvancedConfigurationTechniques(GuideTest):
    """Fail2ban: test_fail2ban."""

    def test_custom_response_script(self):
        mailbox = self.have_mail("admin")
        mount_private("/usr/local/bin")
        script = pathlib.Path("/usr/local/bin/portsentry-response.sh")
        script.write_text(block("response-script"))
        self.type_lines((Line("sudo chmod +x /usr/local/bin/portsentry-response.sh"),))
        self.have_conf(MINIMAL_PORTS, 'BLOCK_TCP="1"\n', block("response-script-key"))
        self.start_by_word("sudo portsentry -stcp")
        self.probe(23)
        self.await_log(rf"attackalert: External command run for host: {self.scanner.v4} using command: "
                       rf'"/usr/local/bin/portsentry-response\.sh {self.scanner.v4}"$')
        self.await_file("/var/log/custom-attacks.log", rf" - Attack detected from {self.scanner.v4}$")
        self.await_file(mailbox, "^Subject: Security Alert$")
        self.await_file(mailbox, rf"^Port scan detected from {self.scanner.v4} at ")


class PerformanceOptimization(GuideTest):
    def test_resource_management(self):
        self.have_conf(UNDERSTANDING)
        pid = self.start_by_word(f"sudo {BIN}/portsentry -atcp")
        self.type_lines((
            Line("ps aux | grep portsentry", rf"^root +{pid} .*/portsentry -atcp$"),
            Line("pidof portsentry", rf"^{pid}$"),
            Line("top -b -n 1 -p $(pidof portsentry)", rf"^ *{pid} root "),
        ))

    def test_idle_daemon_uses_no_processor_time(self):
        self.have_conf(UNDERSTANDING)
        self.start_by_word("sudo portsentry -tcp")
        def ticks():  # user and system time, hundredths of a second, all processes together
            stats = (file_text(f"/proc/{pid}/stat").rpartition(")")[2].split() for pid in self.processes())
            return sum(int(number) for stat in stats for number in stat[11:13])

        before, begin = ticks(), time.monotonic()
        await_true(lambda: time.monotonic() - begin > 2, "two idle seconds")
        self.assertLessEqual(ticks() - before, 2)

    def test_optimized_port_lists(self):
        for ports, one in ((MINIMAL_PORTS, 3389), (COMPREHENSIVE_PORTS, 5432)):
            with self.subTest(ports=ports):
                self.have_conf(ports)
                self.type_lines((Line(f"portsentry -t -f {CONF}", "ok", "error:"),))
                self.start_by_word("sudo portsentry -stcp")
                self.probe(one)
                self.await_log(rf"to TCP port: {one}$")
                self.stop_daemon()
                LOG_FILE.unlink()


class TroubleshootingCommonIssues(GuideTest):
    def test_check_for_port_conflicts(self):
        self.have_conf(MINIMAL_PORTS)
        self.start_by_word("sudo portsentry -tcp")
        self.type_lines((Line("netstat -tulpn | grep :23", r"^tcp.*:23 .*LISTEN +\d+/portsentry"),))

    def test_check_configuration_syntax_without_root(self):
        self.have_conf(UNDERSTANDING)
        self.type_lines((Line(f"portsentry -tcp -c {CONF}", "ok", "error", user=NOBODY),
                         Line(f"portsentry -c {CONF}", "ok", "error", user=NOBODY)))
        self.have_conf(UNDERSTANDING, 'BLOCK_TCPP="1"\nSCAN_TRIGGER="often"\n')
        self.type_lines((Line(f"portsentry -tcp -c {CONF}", rf"{CONF}:\d+: error: SCAN_TRIGGER: found 'often'", status=78,
                              user=NOBODY),))
        self.assertEqual(self.pidof(), [])

    def test_verify_permissions(self):
        self.have_conf(UNDERSTANDING)
        os.chown(IGNORE, NOBODY, NOBODY)
        self.type_lines((Line("sudo portsentry -tcp -d", r"portsentry\.ignore", status=78),
                         Line("ls -la /etc/portsentry/", r" nobody .* portsentry\.ignore$"),
                         Line("sudo chown root:root /etc/portsentry/*")))
        self.start_by_word("sudo portsentry -tcp")

    def test_false_positive_recipe(self):
        self.have_conf(UNDERSTANDING, BLOCKING)
        self.start_by_word("sudo portsentry -stcp")
        self.probe(79)
        self.await_blocked_by_iptables(self.scanner.v4)
        self.type_lines((
            Line(f"sudo iptables -D INPUT -s {self.scanner.v4} -j DROP"),
            Line(f'echo "{self.scanner.v4}" >> /etc/portsentry/portsentry.ignore'),
        ))
        self.stop_daemon()  # sudo systemctl restart portsentry
        LOG_FILE.unlink()
        self.start_by_word("sudo portsentry -stcp")
        self.assert_reachable(4)
        self.scanner.nmap("-sS", "-p", "1-100", self.guard.v4)
        self.probe(79, source="10.77.0.50")
        self.await_blocked_by_iptables("10.77.0.50")
        self.assertEqual(self.input_drops(), ["10.77.0.50"])
        self.assert_reachable(4)
        self.assertNotIn(self.scanner.v4, file_text(BLOCKED))

    def test_log_analysis(self):
        """The guide's line as printed, for classic time stamps; docs/guide.md has one for any."""
        self.have_conf(UNDERSTANDING, BLOCKING)
        self.start_rsyslog(classic_time=True)
        self.start_by_word("sudo portsentry -stcp")
        for source in (self.scanner.v4, "10.77.0.50"):
            self.probe(79, source=source)
            self.await_file(SYSLOG, rf"Host: {source}/{source} Port: 79 TCP Blocked$")
        self.type_lines((
            Line("""grep "attackalert" /var/log/syslog | awk '{print $8}' | sort | uniq -c | sort -nr""",
                 rf"^ +1 {self.scanner.v4}/{self.scanner.v4}$"),
            Line(block("log-analysis").strip(), rf"\A +1 {self.scanner.v4}\n +1 10\.77\.0\.50\n\Z|"
                 rf"\A +1 10\.77\.0\.50\n +1 {self.scanner.v4}\n\Z"),
            Line('grep "attackalert" /var/log/syslog | tail -10', "Blocked$"),
        ))

    def test_log_analysis_of_any_time_stamp(self):
        self.have_conf(UNDERSTANDING, BLOCKING)
        self.start_rsyslog()
        self.start_by_word("sudo portsentry -stcp")
        self.probe(79)
        self.await_file(SYSLOG, "TCP Blocked$")
        self.type_lines((Line(block("log-analysis").strip(), rf"\A +1 {self.scanner.v4}\n\Z"),))


class SecurityBestPractices(GuideTest):
    def test_configuration_hardening_and_the_next_ban_is_in_both_files(self):
        self.have_conf(UNDERSTANDING, BLOCKING, HARDENING)
        self.start_by_word("sudo portsentry -stcp")
        self.probe(79, source="10.77.0.50")
        self.await_file(BLOCKED, "10.77.0.50")
        self.type_lines((
            Line("sudo chmod 600 /etc/portsentry/portsentry.conf"),
            Line("sudo chmod 600 /etc/portsentry/portsentry.ignore"),
            Line("sudo chmod 600 /etc/portsentry/*"),
            Line("sudo chown root:root /etc/portsentry/*"),
        ))
        self.probe(79, source="10.77.0.51")
        for path in (BLOCKED, HISTORY):
            self.await_file(path, r"10\.77\.0\.51")
        self.stop_daemon()  # and after a restart, reading files of mode 0600
        self.start_by_word("sudo portsentry -stcp")
        self.probe(79, source="10.77.0.52")
        for path in (BLOCKED, HISTORY):
            self.await_file(path, r"10\.77\.0\.52")
            lines = [line for line in file_text(path).splitlines() if "10.77.0.51" in line]
            self.assertEqual(len(lines), 1, lines)

    def test_conservative_trigger_of_one_is_called_what_it_is(self):
        self.have_conf(UNDERSTANDING, BLOCKING, HARDENING)
        self.type_lines((Line(f"portsentry -t -f {CONF}", r"warning: .*SCAN_TRIGGER.*forged"),))


class MonitoringAndAlertingSetup(GuideTest):
    def test_mail_and_siem_of_one_scan(self):
        mailbox = self.have_mail("admin")
        own_file("/etc/hosts", f"127.0.0.1 localhost\n{self.bystander.v4} siem-server\n")
        self.start_siem(self.bystander)
        self.start_rsyslog(extra=block("siem"))
        self.have_conf(UNDERSTANDING, BLOCKING, block("mail"))
        self.start_by_word("sudo portsentry -stcp")
        self.probe(79)
        self.await_file(mailbox, "^Subject: PortSentry Alert$")
        self.await_file(SIEM_LOG, rf"attackalert: Host: {self.scanner.v4}/{self.scanner.v4} Port: 79 TCP Blocked$")
        self.assertEqual(self.scanner.tcp_answer(self.guard.v4, LIVE_PORT), "silent")
