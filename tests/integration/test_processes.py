"""What every process may do, read from the kernel and compared with the README's table.

The README's table has a row per process, in these columns (found by their headings):

    | process | user | capabilities | no_new_privs | seccomp | descriptors |
    | sensor  | `portsentry-sensor` | none | yes | filter | `0` null, `3` socket, `*` socket packet |

capabilities: `none`, or names without CAP_, blank or comma between (permitted = effective; inheritable and
ambient are empty). descriptors: `NUMBER` or `*` (any number), each with its kind; kinds joined by `|` are
alternatives; text in parentheses, in any cell, is for people. Kinds are those of kind_of() below. `4-63` null:
every number of the range is open, and of this kind where no other entry claims it; `64-` socket: any number of
them from there on.
"""

import collections
import os
import pathlib
import re
import threading

from lab import BIN, PATIENCE, TREE, USERS, LabTest, await_true

CAPABILITIES = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE "
    "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN "
    "SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE "
    "MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE").split()


def names_of(mask):
    return {name for bit, name in enumerate(CAPABILITIES) if mask >> bit & 1}


def status_of(pid):
    return dict(re.findall(r"(?m)^(\w+):[ \t]*(.*)$", pathlib.Path(f"/proc/{pid}/status").read_text()))


def kind_of(link):
    if link == "/dev/null":
        return "null"
    if link.startswith("/memfd:"):
        return "memfd"
    if link.startswith("anon_inode:"):
        return link.removeprefix("anon_inode:").strip("[]")  # signalfd, eventfd
    return "file" if link.startswith("/") else link.partition(":")[0]  # socket, pipe


def descriptors_of(pid):
    folder = pathlib.Path(f"/proc/{pid}/fd")
    return {int(entry.name): kind_of(os.readlink(entry)) for entry in folder.iterdir()}


def readme_table():
    """Process name -> column heading -> cell."""
    table, heading = {}, None
    for line in (TREE / "README.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else None
        if cells is None:
            heading = None
        elif heading is None:
            heading = [cell.lower() for cell in cells]
        elif "process" in heading and "seccomp" in heading and not set(line) <= set("|-: "):
            # A cell may not hold a bare bar; inside the table it is written \\|.
            row = dict(zip(heading, [c.strip() for c in re.split(r"(?<!\\)\|", line.strip().strip("|"))]))
            table[row["process"].strip("`* ")] = row
    return table


class Processes(LabTest):
    maxDiff = None

    def setUp(self):
        super().setUp()
        self.daemon = self.start()
        self.roles = self.daemon.roles()
        self.table = readme_table()
        self.sanitized = "sanitizer build" in self.guard.run([BIN / "portsentryd", "-V"]).stdout

    def each(self):
        self.assertEqual(set(self.table) & set(self.roles), set(self.roles), "the README's process table")
        return [(role, pid, self.table[role], status_of(pid)) for role, pid in self.roles.items()]

    def cell(self, row, start):
        """Without what stands in parentheses, which is for people."""
        return re.sub(r"\(.*?\)", "", next(text for heading, text in row.items() if heading.startswith(start)))

    def test_users_and_groups_are_those_of_the_table(self):
        for role, _pid, row, status in self.each():
            user = re.search(r"[\w-]+", self.cell(row, "user"))[0]
            number = str(USERS.get(user, 0))
            self.assertEqual(status["Uid"].split(), [number] * 4, role)
            self.assertEqual(status["Gid"].split(), [number] * 4, role)
            if role != "launcher":  # whose groups are those of who started it
                self.assertEqual(status["Groups"].split(), [], role)

    def test_capabilities_are_those_of_the_table(self):
        for role, _pid, row, status in self.each():
            promised = set(re.findall(r"[A-Z][A-Z_]+", self.cell(row, "capabilities")))
            # What the machine itself does not have, root does not have either.
            machine = names_of(int(status_of(1)["CapBnd"], 16))
            self.assertEqual(names_of(int(status["CapPrm"], 16)), promised & machine, role)
            self.assertEqual(names_of(int(status["CapEff"], 16)), promised & machine, role)
            self.assertEqual(names_of(int(status["CapInh"], 16)), set(), role)
            self.assertEqual(names_of(int(status["CapAmb"], 16)), set(), role)
            if role != "launcher":
                self.assertLessEqual(names_of(int(status["CapBnd"], 16)), {"NET_ADMIN", "NET_RAW", "NET_BIND_SERVICE"},
                                     role)

    def test_filters_are_those_of_the_table(self):
        for role, _pid, row, status in self.each():
            self.assertEqual(status["Seccomp"], "0" if "none" in self.cell(row, "seccomp") else "2", role)
            self.assertEqual(status["NoNewPrivs"], "1" if "yes" in self.cell(row, "no_new_privs") else "0", role)

    def test_descriptors_are_those_of_the_table(self):
        for role, pid, row, _status in self.each():
            promised = self.cell(row, "descriptors").replace("\\|", "|")
            if role == "sensor" and self.sanitized:
                promised = promised.replace("`2` null", "`2` null|file|pipe|socket")  # where a sanitizer reports
            left = descriptors_of(pid)
            loose = []
            for first, last, kind in re.findall(r"`(\d+)-(\d*)`\s*(\w+)", promised):
                numbers = range(int(first), int(last) + 1) if last else [n for n in left if n >= int(first)]
                self.assertLessEqual(set(numbers), set(left), f"{role}: all of {first} to {last}")
                for number in numbers:
                    if left[number] == kind and f"`{number}`" not in promised:
                        del left[number]
            for number, kinds in re.findall(r"`(\d+|\*)`\s*([a-z|]+)", promised):
                if number == "*":
                    loose.append(kinds.split("|"))
                else:
                    self.assertIn(left.pop(int(number), "closed"), kinds.split("|"), f"{role}: descriptor {number}")
            rest = collections.Counter(left.values())
            for kinds in sorted(loose, key=len):  # those without a choice choose first
                rest[next((kind for kind in kinds if rest[kind] > 0), "/".join(kinds))] -= 1
            self.assertEqual({kind: count for kind, count in rest.items() if count}, {}, f"{role}: the rest, {left}")

    def test_without_traps_nobody_has_their_feed_and_the_sensor_captures(self):
        sockets = {role: collections.Counter(descriptors_of(pid).values())["socket"]
                   for role, pid in self.roles.items()}
        self.daemon.stop()
        self.daemon = self.start(HOLD="none")
        others = {role: collections.Counter(descriptors_of(pid).values())["socket"]
                  for role, pid in self.daemon.roles().items()}
        self.assertEqual(others["launcher"], sockets["launcher"] - 1)
        # The feed is gone, and the capture has come.
        self.assertEqual(others["sensor"], sockets["sensor"])
        self.assertEqual(descriptors_of(self.daemon.roles()["sensor"])[5], "null")

    def test_table_holds_after_a_respawn_of_the_sensor(self):
        os.kill(self.roles["sensor"], 9)
        old = self.roles["sensor"]
        await_true(lambda: self.daemon.roles()["sensor"] != old, "a new sensor")
        self.roles = self.daemon.roles()
        await_true(lambda: status_of(self.roles["sensor"])["Seccomp"] == "2", "a sealed sensor", 5 * PATIENCE)
        self.daemon.await_line(r"adminalert: sensor restarted")
        self.test_users_and_groups_are_those_of_the_table()
        self.test_capabilities_are_those_of_the_table()
        self.test_filters_are_those_of_the_table()
        self.test_descriptors_are_those_of_the_table()

    def test_all_are_children_of_the_launcher_and_single_threaded(self):
        for role, pid in self.roles.items():
            status = status_of(pid)
            self.assertEqual(status["Threads"], "1", role)
            if role != "launcher":
                self.assertEqual(status["PPid"], str(self.roles["launcher"]), role)

    def test_unprivileged_processes_cannot_be_looked_into_by_their_own_user(self):
        for role in ("monitor", "sensor", "enforcer"):
            self.assertEqual(pathlib.Path(f"/proc/{self.roles[role]}/environ").stat().st_uid, 0, role)

    def test_idle_daemon_does_not_wake_up(self):
        """Nothing happens, so nothing may run: context switches stand still."""
        def switches():
            return {role: int(status_of(pid)["voluntary_ctxt_switches"]) for role, pid in self.roles.items()}
        self.daemon.status()
        pause = threading.Event()
        previous = {}
        for _ in range(10):  # start-up work may still be settling
            now = switches()
            if now == previous:
                break
            previous = now
            pause.wait(2)
        self.assertEqual(now, previous, "voluntary context switches kept growing in an idle network")
