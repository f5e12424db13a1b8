#!/usr/bin/env python3
"""What the daemon costs while nothing happens: resident memory, and wake-ups.

    ninja -C build && sudo tests/bench/bench_idle.py [--build DIR] [--seconds N] [--json FILE]

In a namespace where no packet moves, with an empty memory and no command templates. Memory is the
proportional set size (PSS) of each process, /proc/PID/smaps_rollup; wake-ups are its voluntary context
switches. Use a build with optimization.
"""

import sys
import threading

import bench_lab

# All of a list as 1.2 shipped it; then every port that there is.
CLASSIC_TCP = "1,11,15,79,111,119,143,540,635,1080,1524,2000,5742,6667,12345,12346,20034,27665,31337,32771-32774,40421,49724,54320"
CLASSIC_UDP = "1,7,9,69,161,162,513,635,640,641,700,37444,34555,31335,32770-32774,31337,54321"
MODES = {
    "classic list": {"TCP_PORTS": CLASSIC_TCP, "UDP_PORTS": CLASSIC_UDP},
    "stealth, 65,535 ports": {"TCP_PORTS": "1-65535", "UDP_PORTS": "1-65535"},
    "advanced, 65,535 ports": {"TCP_MODE": "atcp", "UDP_MODE": "audp", "TCP_PORTS": None, "UDP_PORTS": None,
                               "ADVANCED_PORTS_TCP": "65535", "ADVANCED_PORTS_UDP": "65535"},
}
SETTLED = 12  # the first looks at what is left from the start are over


def measure(report, arguments):
    import lab

    class Idle(lab.LabTest):
        def runTest(self):
            pause = threading.Event()
            for mode, keys in MODES.items():
                daemon = self.start(**keys)
                roles = daemon.roles()
                pause.wait(SETTLED)
                before = {role: bench_lab.switches(pid) for role, pid in roles.items()}
                pause.wait(arguments.seconds)
                after = {role: bench_lab.switches(pid) for role, pid in roles.items()}
                memory = {role: bench_lab.pss(pid) for role, pid in roles.items()}
                total = 0.0
                report.row(f"{mode}:")
                for role in roles:
                    minute = (after[role] - before[role]) * 60 / arguments.seconds
                    total += minute
                    report.row(f"  {role:10} {memory[role] / 1e6:7.2f} MB {minute:7.1f} wake-ups a minute",
                               bench="idle", mode=mode, process=role, pss_bytes=memory[role], wakeups_a_minute=minute)
                report.row(f"  {'together':10} {sum(memory.values()) / 1e6:7.2f} MB {total:7.1f}", bench="idle", mode=mode,
                           process="together", pss_bytes=sum(memory.values()), wakeups_a_minute=total)
                daemon.stop()

    test = Idle()
    test.setUp()
    test.runTest()


if __name__ == "__main__":
    sys.exit(bench_lab.main(__doc__.splitlines()[0], measure, lambda parser: parser.add_argument(
        "--seconds", type=float, default=120, help="how long wake-ups are counted, in each mode (default 120)")))
