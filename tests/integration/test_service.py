"""The shipped unit under a real systemd: the guide's "Starting Portsentry Service", as printed."""

import re
import shutil

from lab import DEADLINE, LIVE_PORT, LabTest, await_true, config_text, write_root_file
from neighbours import file_text
from systemd_machine import Machine

READY = "PortSentry is now active and listening."
PIDS = re.compile(r"\d+")


class ServiceTest(LabTest):
    def setUp(self):
        super().setUp()
        self.machine = Machine(self, self.guard)
        self.sh = self.machine.sh

    def have_conf(self, ignore="", **changes):
        """With the packaged paths, which only the machine sees."""
        keys = {"LOG_FILE": "/var/log/portsentry.log", **changes}
        write_root_file(self.machine.path("/etc/portsentry/portsentry.conf"), config_text(**keys))
        write_root_file(self.machine.path("/etc/portsentry/portsentry.ignore"), ignore)

    def journal(self):
        return self.sh("journalctl --no-pager -u portsentry -o cat").stdout

    def start_service(self):
        done = self.sh("systemctl start portsentry")
        self.assertEqual((done.returncode, done.stdout), (0, ""), self.journal())

    def transcript(self):
        return f"  journal:\n{self.journal()}\n  unit:\n{self.sh('systemctl status portsentry').stdout}"


class StartingPortsentryService(ServiceTest):
    def test_enable_start_and_status_are_as_the_guide_prints_them(self):
        self.have_conf()
        self.assertIn("portsentry.service", self.sh("systemctl enable portsentry", check=True).stdout)
        self.start_service()
        # Type=notify: once systemctl has come back, it listens.
        await_true(lambda: READY in self.journal(), "the journal to have the line")
        status = self.sh("systemctl status portsentry").stdout
        self.assertRegex(status, r"portsentry\.service - PortSentry")
        self.assertRegex(status, r"Loaded: loaded \(.*portsentry\.service; enabled")
        self.assertRegex(status, r"Active: active \(running\)")
        self.assertRegex(status, r"Main PID: \d+ \(portsentry\)")
        self.assertRegex(status, r"/usr/sbin/portsentry -f /etc/portsentry/portsentry\.conf")

    def test_pidof_names_one_process_and_top_takes_it(self):
        self.have_conf()
        self.start_service()
        main = self.sh("systemctl show -P MainPID portsentry").stdout.strip()
        self.assertEqual(self.sh("pidof portsentry").stdout.split(), [main])
        top = self.sh("top -b -n 1 -p $(pidof portsentry)")
        self.assertEqual(top.returncode, 0, top.stdout)
        self.assertRegex(top.stdout, rf"(?m)^\s*{main} root .* portsentry$")

    def test_every_event_is_in_the_journal_once_and_in_the_log_file_once(self):
        self.have_conf()
        self.start_service()
        self.scanner.nmap("-sS", "-p", "20-30", self.guard.v4)
        line = f"Host: {self.scanner.v4}/{self.scanner.v4} Port: "
        await_true(lambda: line in self.journal(), "the ban in the journal")
        for text in (self.journal(), file_text(self.machine.path("/var/log/portsentry.log"))):
            self.assertEqual(len(re.findall(rf"{re.escape(line)}\d+ TCP Blocked$", text, re.M)), 1, text)
            self.assertEqual(text.count(READY), 1)

    def test_reload_reads_the_ignore_file_again_and_keeps_the_process(self):
        self.have_conf()
        self.start_service()
        before = self.sh("pidof portsentry").stdout
        with self.machine.path("/etc/portsentry/portsentry.ignore").open("a", encoding="ascii") as ignore:
            ignore.write(f"{self.scanner.v4}\n")
        self.sh("systemctl reload portsentry", check=True)
        await_true(lambda: "configuration read again" in self.journal(), "the reload")
        self.assertEqual(self.sh("pidof portsentry").stdout, before)
        self.scanner.nmap("-sS", "-p", "20-30", self.guard.v4)
        self.send(self.syn(23, source="10.77.0.40"))
        await_true(lambda: "10.77.0.40" in self.lab.banned(), "the one who is not ignored")
        self.assertNotIn(self.scanner.v4, self.lab.banned())

    def test_stop_is_a_success_and_leaves_no_process(self):
        self.have_conf()
        self.start_service()
        self.sh("systemctl stop portsentry", check=True)
        self.assertEqual(self.sh("systemctl show -P Result portsentry").stdout.strip(), "success")
        self.assertEqual(self.sh("pgrep -l portsentry").stdout, "")

    def test_mistake_in_the_configuration_is_told_once_and_not_retried(self):
        self.have_conf(SCAN_TRIGGER="many")
        done = self.sh("systemctl start portsentry")
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(len(re.findall("SCAN_TRIGGER", self.journal())), 1, self.journal())
        self.assertEqual(self.sh("systemctl show -P NRestarts portsentry").stdout.strip(), "0")
        self.assertEqual(self.sh("systemctl show -P ExecMainStatus portsentry").stdout.strip(), "78")

    def test_killed_daemon_comes_back_and_the_ban_never_went(self):
        self.have_conf()
        self.start_service()
        self.scanner.nmap("-sS", "-p", "20-30", self.guard.v4)
        await_true(lambda: self.scanner.v4 in self.lab.banned(), "the ban")
        self.sh("kill -KILL $(pidof portsentry)", check=True)
        await_true(lambda: self.sh("systemctl show -P NRestarts portsentry").stdout.strip() == "1"
                   and self.sh("systemctl is-active portsentry").stdout.strip() == "active", "the restart", 3 * DEADLINE)
        self.assertIn(self.scanner.v4, self.lab.banned())

    def test_units_own_limits_break_no_command(self):
        """A hook under the unit may still write to /etc and /var and change the firewall."""
        self.have_conf(KILL_ROUTE="/sbin/iptables -I INPUT -s $TARGET$ -j DROP", KILL_HOSTS_DENY="ALL: $TARGET$ : DENY",
                       EXTERNAL_COMMAND="echo $TARGET$ >> /var/log/custom-attacks.log")
        self.start_service()
        self.send(self.syn(23))
        await_true(lambda: self.scanner.v4 in self.sh("iptables -L INPUT -n").stdout, "the rule")
        for path in ("/etc/hosts.deny", "/var/log/custom-attacks.log"):
            await_true(lambda path=path: self.scanner.v4 in file_text(self.machine.path(path)), path)

    def test_false_positive_recipe_leaves_the_host_reachable(self):
        self.have_conf(KILL_ROUTE="/sbin/iptables -I INPUT -s $TARGET$ -j DROP",
                       KILL_ROUTE_REMOVE="/sbin/iptables -D INPUT -s $TARGET$ -j DROP")
        self.start_service()
        self.send(self.syn(23))
        await_true(lambda: self.scanner.v4 in self.sh("iptables -L INPUT -n").stdout, "the rule")
        self.assertEqual(self.scanner.tcp_answer(self.guard.v4, LIVE_PORT), "silent")
        self.sh(f"iptables -D INPUT -s {self.scanner.v4} -j DROP", check=True)
        self.sh(f'echo "{self.scanner.v4}" >> /etc/portsentry/portsentry.ignore', check=True)
        self.sh("systemctl restart portsentry", check=True)
        self.assert_reachable(4)
        self.scanner.nmap("-sS", "-p", "20-30", self.guard.v4)
        self.assert_reachable(4)
        self.assertNotIn(self.scanner.v4, self.sh("iptables -L INPUT -n").stdout)


class Packaged(ServiceTest):
    def test_systemd_has_no_complaint_about_the_unit(self):
        done = self.sh("systemd-analyze verify --man=no portsentry.service")
        self.assertEqual((done.returncode, done.stdout), (0, ""))

    def test_an_ordinary_user_finds_portsentry_on_the_path(self):
        done = self.sh("setpriv --reuid=65534 --regid=65534 --clear-groups env PATH=/usr/local/bin:/usr/bin:/bin "
                       "portsentry -v")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertRegex(done.stdout, r"(?i)^portsentry")

    def test_logrotate_moves_the_files_and_the_next_line_is_in_the_new_ones(self):
        if not shutil.which("logrotate", path="/usr/sbin"):
            self.skipTest("logrotate is not installed (Debian package logrotate)")
        self.have_conf()
        self.start_service()
        log, history = (self.machine.path(p) for p in ("/var/log/portsentry.log",
                                                       "/var/lib/portsentry/portsentry.history"))
        self.send(self.syn(23, source="10.77.0.40"))
        await_true(lambda: "10.77.0.40" in file_text(history), "the first ban")
        done = self.sh("logrotate -f /usr/share/portsentry/logrotate")
        self.assertEqual(done.returncode, 0, done.stdout)
        await_true(lambda: "configuration read again" in file_text(log), "the reload, in the new file")
        self.send(self.syn(23, source="10.77.0.41"))
        await_true(lambda: "10.77.0.41" in file_text(history) and "10.77.0.41" in file_text(log), "the second ban")
        self.assertNotIn("10.77.0.40", file_text(history))
        self.assertIn("10.77.0.40", file_text(f"{history}.1"))
        self.assertIn("10.77.0.40", file_text(f"{log}.1"))

    def test_users_are_made_by_sysusers(self):
        for user in ("portsentry", "portsentry-sensor", "portsentry-resolver", "portsentry-scout"):
            self.sh(f"id {user} && userdel {user}")
        self.sh("systemd-sysusers /usr/lib/sysusers.d/portsentry.conf", check=True)
        for user in ("portsentry", "portsentry-sensor", "portsentry-resolver", "portsentry-scout"):
            self.assertRegex(self.sh(f"getent passwd {user}", check=True).stdout, r":(/|/nonexistent):\S*nologin$")
