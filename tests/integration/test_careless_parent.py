"""What whoever starts us may have left behind, or not given: signals, standard descriptors, rights."""

import os
import signal
import subprocess

from lab import BIN, CONF, LabTest


class CarelessParent(LabTest):
    def start_under(self, *wrapper):
        self.configure()
        return self.launch(wrapper=wrapper).await_ready()

    def start_closed(self, redirections):
        return self.start_under("sh", "-c", f'exec "$0" "$@" {redirections}')

    def test_ignored_sigchld_hides_no_death(self):
        daemon = self.start_under("env", "--ignore-signal=CHLD")
        os.kill(daemon.roles()["monitor"], signal.SIGKILL)
        self.assertEqual(daemon.await_exit(), 1)

    def test_check_under_ignored_sigchld(self):
        self.configure()
        done = self.guard.run(["env", "--ignore-signal=CHLD", BIN / "portsentryd", "-t", "-f", CONF], check=False)
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_closed_standard_error(self):
        daemon = self.start_closed("2>&-")
        self.send(self.syn(23))
        self.await_ban(daemon, self.scanner.v4)
        for role, pid in daemon.roles().items():
            self.assertEqual(os.readlink(f"/proc/{pid}/fd/2"), "/dev/null", role)

    def test_closed_standard_output(self):
        self.configure()
        daemon = self.launch(wrapper=("sh", "-c", 'exec "$0" "$@" >&- <&-'))
        for role, pid in daemon.roles().items():
            self.assertEqual(os.readlink(f"/proc/{pid}/fd/1"), "/dev/null", role)
        self.assertEqual(daemon.stop(), 0)

    def test_reader_of_standard_error_that_goes_away(self):
        self.configure()
        read_end, write_end = os.pipe()
        process = subprocess.Popen(self.guard.inside([BIN / "portsentryd", "-f", CONF]), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=write_end)
        self.addCleanup(process.kill)
        os.close(write_end)
        self.assertTrue(any(b"now active" in line for line in process.stdout))
        os.close(read_end)
        process.send_signal(signal.SIGHUP)  # to which the launcher has something to say
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(10), 0)
        process.stdout.close()

    def test_no_capability_but_those_of_the_table_also_the_second_time(self):
        self.start_under().stop()
        self.start_under("setpriv", "--inh-caps=-all", "--bounding-set=-all,+setuid,+setgid,+setpcap,+kill,+net_admin,"
                         "+net_raw,+net_bind_service", "--")
