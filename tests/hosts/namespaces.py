"""Hosts of the test's own on one switch, with processes, network, /run, /etc and name of their own, for root.

A host is what hangs on the first process of its namespaces: the end of that is as if its power were cut, and the end of
the test ends all of them, whatever became of it. Nothing of them has a name on the machine that the tests run on.
https://man7.org/linux/man-pages/man7/pid_namespaces.7.html
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

from tests.certificates import certificate
from tests.patience import PATIENCE, at_last
from velocity.cli import own_server
from velocity.client import Client
from velocity.client.console import Console
from velocity.config import Settings

NETWORK, FIRST = "192.0.2.", 7
"""Of documents (RFC 5737): the hosts have the very addresses that docs/many-hosts.md names."""
PORT = 8090
PASSWORD = "correct horse battery"
SERVER, GUESTS, NODE = "velocity.service", "velocity-guests.service", "velocity-node.service"
PROGRAMS = Path(__file__).parent
APART = ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--pid", "--fork", "--kill-child"]
REAP = "echo ready; exec 1>&-; while :; do sleep 1; done"
"""The first process takes in what others leave, and waits."""
BOOT = """
set -e
mount --make-rprivate /
mount -t tmpfs run /run
mount -t sysfs sys /sys
mount -t overlay etc -o lowerdir=/etc,upperdir={place}/etc,workdir={place}/work /etc
cat /proc/sys/kernel/random/uuid > /run/boot_id
mount --bind /run/boot_id /proc/sys/kernel/random/boot_id
hostname {name}
ip link set lo up
"""


class Apart:
    """The first process of some namespaces. `pid` is its pid here."""

    def __init__(self, *kinds: str, script: str = "") -> None:
        self._outer = subprocess.Popen(
            [*APART, *kinds, "sh", "-c", script + REAP],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert self._outer.stdout and self._outer.stderr
        if self._outer.stdout.readline() != b"ready\n":
            raise AssertionError(self._outer.stderr.read().decode())
        self.pid = int(Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children").read_text())

    def close(self) -> None:
        """Returns when nothing of it runs any more."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self._outer.wait(PATIENCE)
        assert self._outer.stdout and self._outer.stderr
        self._outer.stdout.close()
        self._outer.stderr.close()


class Switch:
    """A bridge in a network of its own, with the hosts' ends of their links."""

    ADDRESS = f"{NETWORK}1"
    """Of what runs there itself (`inside`), as storage does that is no host."""

    def __init__(self) -> None:
        self._apart = Apart()
        card = "address 02:00:00:00:00:01"  # without one, it changes with the hosts that are connected
        self.run("ip link set lo up", f"ip link add switch {card} type bridge", "ip link set switch up")
        self.run(f"ip address add {self.ADDRESS}/24 dev switch")

    def connect(self, host: RealHost) -> None:
        port = f"p-{host.name}"
        self.run(f"ip link delete {port} 2>/dev/null || true")  # of a host whose power was cut just now
        link = ["ip", "link", "add", port, "netns", str(self._apart.pid), "type", "veth", "peer", "name", "eth0"]
        card = ["address", f"02:00:00:00:00:{int(host.address.rpartition('.')[2]):02x}"]  # a reboot changes no hardware
        subprocess.run([*link, *card, "netns", str(host.apart.pid)], check=True)
        self.run(f"ip link set {port} master switch up")
        host.ok(f"ip address add {host.address}/24 dev eth0 && ip link set eth0 up")

    def cut(self, host: RealHost) -> None:
        self.run(f"ip link set p-{host.name} down")

    def heal(self, host: RealHost) -> None:
        self.run(f"ip link set p-{host.name} up")

    def slow(self, host: RealHost, mbit: int) -> None:
        """What the host is sent comes no faster, until `fast`."""
        self.run(f"tc qdisc replace dev p-{host.name} root tbf rate {mbit}mbit burst 64k limit 1m")

    def fast(self, host: RealHost) -> None:
        self.run(f"tc qdisc del dev p-{host.name} root")

    def run(self, *commands: str) -> None:
        subprocess.run([*self.inside, "sh", "-ec", "\n".join(commands)], check=True)

    @property
    def inside(self) -> list[str]:
        """What a program is begun with that is to see all that the hosts say to each other."""
        return ["nsenter", "--target", str(self._apart.pid), "--net"]

    def close(self) -> None:
        self._apart.close()


class RealHost:
    """One machine. `place` is its disk, which outlives its power."""

    apart: Apart

    def __init__(self, switch: Switch, name: str, number: int, place: Path) -> None:
        self.name = name
        self.address = f"{NETWORK}{number}"
        self.place = place
        self.data = place / "data"
        self._switch = switch
        for one in ("etc/velocity", "work", "log"):
            (place / one).mkdir(parents=True)
        self._boots()

    def _boots(self) -> None:
        script = BOOT.format(place=self.place, name=self.name)
        self.apart = Apart("--mount", "--mount-proc", "--uts", "--ipc", script=script)
        self._switch.connect(self)
        self.ok("systemctl boot")

    def cut_power(self) -> None:
        self.apart.close()

    def reboot(self) -> None:
        """Its power is cut, and it starts again, with what is enabled there."""
        self.cut_power()
        self._boots()

    def shut_down(self) -> None:
        """In order: its units are stopped, the last one first."""
        self.ok("systemctl shutdown")
        self.cut_power()

    def run(self, command: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        """What somebody types there, as root."""
        inside = ["nsenter", "--target", str(self.apart.pid), "--all", "--wd=/", "sh", "-ec", command]
        own = {name: value for name, value in os.environ.items() if not name.startswith("VELOCITY_")}
        own |= {
            "PATH": f"{PROGRAMS}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(PROGRAMS.parents[1]),
            "HOME": str(self.place),
            "VELOCITY_DATA_DIR": str(self.data),  # in a checkout, where it is without a setting, is for no machine
            "LOGS": str(self.place / "log"),
            "COLUMNS": "200",
        }
        return subprocess.run(
            inside, env=own, input=typed, capture_output=True, text=True, timeout=2 * PATIENCE, check=False
        )

    def ok(self, command: str, typed: str = "") -> str:
        done = self.run(command, typed)
        assert done.returncode == 0, (self.name, command, done.stdout, done.stderr, self.log())
        return done.stdout

    def cut(self) -> None:
        """Its link, in the middle of whatever is said over it."""
        self._switch.cut(self)

    def heal(self) -> None:
        self._switch.heal(self)

    def kill(self, unit: str) -> None:
        """As a crash would. It is started again, as systemd does."""
        self.ok(f"pid=$(cat /run/units/{unit}.main); kill -9 $pid; while kill -0 $pid 2>/dev/null; do sleep 0.02; done")

    def freeze(self, unit: str) -> None:
        """Its process stands still, with its connections open; `thaw` lets it go on."""
        self.ok(f"kill -STOP $(cat /run/units/{unit}.main)")

    def thaw(self, unit: str) -> None:
        self.ok(f"kill -CONT $(cat /run/units/{unit}.main)")

    @property
    def files(self) -> Path:
        """Its root directory, as long as it has power."""
        return Path(f"/proc/{self.apart.pid}/root")

    def guests(self) -> dict[UUID, int]:
        """The QEMUs that run there, each with its pid there."""
        found = {}
        for one in (self.files / "proc").glob("[0-9]*/cmdline"):
            try:
                words = one.read_bytes().split(b"\0")
            except OSError:
                continue
            if words[0].endswith(b"qemu-system-x86_64") and b"-uuid" in words:
                found[UUID(words[words.index(b"-uuid") + 1].decode())] = int(one.parent.name)
        return found

    def log(self) -> str:
        return "\n".join(one.read_text() for one in sorted((self.place / "log").iterdir()))


class RealHosts:
    """A server on `a`, and nodes on the others. `client` asks the server, whatever becomes of the switch."""

    def __init__(self, place: Path, *names: str) -> None:
        with contextlib.ExitStack() as undo:
            self.switch = Switch()
            undo.callback(self.switch.close)
            self.hosts = {}
            for number, name in enumerate(names, FIRST):
                self.hosts[name] = host = RealHost(self.switch, name, number, place / name)
                undo.callback(host.cut_power)
            self._undo = undo.pop_all()

    def __getitem__(self, name: str) -> RealHost:
        return self.hosts[name]

    def close(self) -> None:
        self._undo.close()

    def serve(self, *more: str) -> None:
        """On `a`, as a service, with the settings of docs/many-hosts.md and these lines."""
        a = self["a"]
        self.let_reach("a", f'root_password = "{PASSWORD}"', *more)
        a.ok(a.ok("velocity service install --timeout 2 --config /etc/velocity/velocity.toml"))
        self.sign_in()

    def let_reach(self, name: str, *more: str) -> None:
        """The settings of a server that others reach, and these lines."""
        host = self[name]
        cert, key = certificate(host.address).write(host.place)
        for file, kind in ((cert, "crt"), (key, "key")):
            file.rename(host.place / "etc" / "velocity" / f"{name}.{kind}")
        tls = [f'tls_cert = "/etc/velocity/{name}.crt"', f'tls_key = "/etc/velocity/{name}.key"']
        self.configure(name, f'listen = "0.0.0.0:{PORT}"', *tls, *more)

    def join(self, name: str, *more: str, kind: str = "--node") -> None:
        """By the commands of docs/many-hosts.md. `kind`: what is installed; none: a server, that stands by."""
        host, config = self[name], "--config /etc/velocity/velocity.toml"
        self.configure(name, *more)
        token = self["a"].ok("velocity node token").strip()
        host.ok(f"velocity node join {config}", typed=token + "\n")
        host.ok(host.ok(f"velocity service install {kind} --timeout 2 {config}"))
        self.until(name, "online")

    def configure(self, name: str, *more: str) -> None:
        """The settings of a host that has but what it needs, and these lines."""
        lines = ['accelerator = "tcg"', *more]
        (self[name].place / "etc" / "velocity" / "velocity.toml").write_text("\n".join(lines) + "\n")

    def sign_in(self) -> None:
        self.until_served()
        self.client = self.another_client()
        self.client.authkey = self.client.sign_in(name="root", password=PASSWORD).authkey

    def another_client(self, name: str = "a") -> Client:
        """Of the server on that host, over its own socket."""
        host = self[name]
        way = self._undo.enter_context(own_server.way(Settings(data_dir=host.data)))
        return self._undo.enter_context(Client(f"https://{host.address}:{PORT}", uds=way))

    def until_served(self, name: str = "a") -> None:
        """Returns when the server on that host can be asked, also for the first time after another start."""
        file = self[name].data / own_server.SOCKET

        def listens() -> bool:
            with socket.socket(socket.AF_UNIX) as probe:
                return probe.connect_ex(str(file)) == 0

        at_last(listens, "the server's socket")

    def number(self, name: str) -> int:
        return next(one.host for one in self.client.list_nodes().nodes if one.name == name)

    def until(self, name: str, state: str) -> None:
        host = self.number(name)
        at_last(lambda: self.client.show_node(host=host).state == state, f"{name}'s state {state}")

    def starts(self, name: str, on: str, *, autostart: bool = False) -> int:
        """A small VM that runs on a host, which has its firmware and no disk; its id."""
        host = self.number(on)
        vmid = self.client.create_vm(name=name, gid=0, cpus=1, memory_mib=64, host=host, autostart=autostart).vmid
        self.client.set_vm_state(vmid=vmid, state="RUNNING")
        return vmid

    def console(self, vmid: int) -> Console:
        return self.client.console(self.client.open_console(vmid=vmid, kind="serial"))

    def state(self, vmid: int) -> str:
        return self.client.vm_state(vmid=vmid).state.value

    def running(self) -> dict[UUID, list[str]]:
        """Where each machine runs: to be at one host, whatever happens."""
        found: dict[UUID, list[str]] = {}
        for name, host in self.hosts.items():
            for uuid in host.guests():
                found.setdefault(uuid, []).append(name)
        return found


@contextlib.contextmanager
def real_hosts(place: Path, *names: str) -> Iterator[RealHosts]:
    """All end with it."""
    made = RealHosts(place, *names)
    try:
        yield made
    finally:
        made.close()
