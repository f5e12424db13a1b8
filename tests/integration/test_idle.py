"""Nothing happens, and the daemon does next to nothing: few wake-ups, little memory."""

import pathlib
import re
import threading

from lab import PATIENCE, LabTest

# The first looks at what the kernel holds are over: 1 s after the start, and what follows from it.
SETTLED = 12
WATCHED = 25
# Once a minute the monitor wakes, asks the enforcer what the kernel holds, and hears the answer.
WAKE_UPS = 3
# Beside the ring that packets are captured into, which is the kernel's.
MEMORY = 13e6


def wake_ups(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", text, re.M)[1])


def memory(pid):
    """Proportional set size in bytes, but for mapped sockets."""
    size, counts = 0, True
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            counts = "socket:" not in line
        elif counts and (found := re.match(r"Pss:\s+(\d+) kB", line)):
            size += int(found[1]) * 1024
    return size


class Idle(LabTest):
    def test_a_quiet_daemon_wakes_once_a_minute_and_takes_little_memory(self):
        for mode in ({}, {"TCP_PORTS": "1-65535", "UDP_PORTS": "1-65535"}):
            with self.subTest(**mode):
                daemon = self.start(**mode)
                roles = daemon.roles()
                pause = threading.Event()
                pause.wait(SETTLED)
                before = {role: wake_ups(pid) for role, pid in roles.items()}
                pause.wait(WATCHED)
                woken = {role: wake_ups(pid) - before[role] for role, pid in roles.items()}
                self.assertLessEqual(max(woken.values()), WAKE_UPS, woken)
                if PATIENCE == 1:  # sanitizers take what they need
                    sizes = {role: memory(pid) for role, pid in roles.items()}
                    self.assertLessEqual(sum(sizes.values()), MEMORY, sizes)
                daemon.stop()
