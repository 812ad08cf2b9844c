"""A guest's network: NAT by the server's bridge, beside a plain tap with masquerade that was made by hand.

The guests run at the same time and take turns, in a network namespace of the bench's own; what they speak with is in
another one, behind the way out. While they send and receive, their monitors are asked: a busy guest obeys as any other.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path
from typing import Protocol
from uuid import UUID

from tests.journeys.server import Server, in_namespace

from bench.disks import TOOL_SIZE, tool
from bench.guests import MAC, Ours, boot, same_devices
from bench.harness import Absent, Bench
from bench.overhead import CACHE
from bench.peers.guests import ByHand, Made, Place
from bench.peers.qmp import Qmp
from bench.peers.raw import KVM
from velocity.cli.demo.guest import build
from velocity.hypervisor.port import Bus, DiskSpec
from velocity.hypervisor.qemu.command import NatDevice, TapDevice
from velocity.network.taps import open_tap
from velocity.storage.port import MediaRef

ROUNDS = int(os.environ.get("VELOCITY_BENCH_ROUNDS", "7"))
ASKED_ROUNDS = min(ROUNDS, 3)
SECONDS = 900.0
EACH = 1
"""Seconds that one measurement takes: turns so short that what else goes on meets all alike."""
ASKING = 3
"""Seconds for which a monitor is asked."""
LOADED = 120
"""Seconds that a load would last: it is ended when the monitor has been asked."""
PAUSE = 0.005
MOST = 2.0
"""Milliseconds that a question to a monitor may take."""
SOURCE = Path(__file__).parent / "peers" / "net_io.c"
FIND = (
    f"for b in /sys/block/[sv]d*; do [ $(cat $b/size) != {TOOL_SIZE // 512} ] || cat /dev/${{b##*/}} >/io; done; "
    "chmod +x /io"
)
"""The program's disk, by its size."""
WAYS = "ip route | grep -c ^default"
ROUTED = f"n=0; until [ $({WAYS}) = 1 ] || [ $n = 60 ]; do sleep 1; n=$((n+1)); done; echo ways $({WAYS})"
ROWS = {"up": ("sent", "MiB/s"), "down": ("received", "MiB/s"), "turn": ("one byte there and back", "us")}
OURS, TAP, USER = "Velocity's NAT", "by hand, a tap with masquerade", "by hand, QEMU's user network"
WORLD, OUT, PREFIX = "192.0.2.1", "192.0.2.2", 24
GUEST, GATEWAY, NETWORK = "10.9.9.2", "10.9.9.1", "10.9.9.0/24"
MASQUERADE = f"""table ip bench {{
    chain out {{ type nat hook postrouting priority srcnat; ip saddr {NETWORK} masquerade; }}
}}"""


class Guest(Protocol):
    """One that runs, with the program in it."""

    def run(self, command: str) -> str: ...

    def monitor(self) -> AbstractContextManager[Qmp]: ...


class Served:
    """The server's."""

    def __init__(self, server: Server, vmid: int, runs: Path) -> None:
        self._server, self._vmid, self._runs = server, vmid, runs
        with closing(Ours(server, vmid)) as guest:
            boot(guest)

    def run(self, command: str) -> str:
        with closing(self._server.console(self._vmid)) as terminal:
            return terminal.run(command, 300)

    @contextmanager
    def monitor(self) -> Iterator[Qmp]:
        """While the server is away, as a monitor has one client at a time."""
        self._server.end()
        try:
            (path,) = self._runs.rglob("qmp.sock")
            with closing(Qmp(path)) as qmp:
                yield qmp
        finally:
            self._server.start()


class Own:
    """QEMU's by hand, begun in that namespace."""

    def __init__(self, stack: ExitStack, namespace: str, made: Made, iso: Path) -> None:
        self._guest = stack.enter_context(in_namespace(namespace, lambda: ByHand(made, iso, 256)))
        boot(self._guest)

    def run(self, command: str) -> str:
        return self._guest.run(command)

    @contextmanager
    def monitor(self) -> Iterator[Qmp]:
        with closing(Qmp(monitor_of(self._guest.variables))) as qmp:
            yield qmp


def monitor_of(variables: Path) -> Path:
    return variables.parent / "qmp"


def ip(words: str) -> None:
    subprocess.run(["ip", *words.split()], check=True)


def namespaces(stack: ExitStack) -> tuple[str, str]:
    """That of the server and its guests, and the world's. Both go with `stack`."""
    if os.geteuid() != 0:
        raise Absent("only root makes network namespaces")
    host = f"vn{uuid.uuid4().hex[:8]}"
    world = f"{host}w"
    for name in (host, world):
        ip(f"netns add {name}")
        stack.callback(ip, f"netns delete {name}")
        ip(f"-n {name} link set lo up")
    # As on most hosts: where br_netfilter is at work, what is only bridged goes through the packet filter, too.
    for setting in Path("/proc/sys/net/bridge").glob("bridge-nf-call-*"):
        subprocess.run(["ip", "netns", "exec", host, "sysctl", "-qw", f"net.bridge.{setting.name}=0"], check=True)
    ip(f"-n {host} link add out0 type veth peer name out0 netns {world}")
    for name, address in ((host, OUT), (world, WORLD)):
        ip(f"-n {name} address add {address}/{PREFIX} dev out0")
        ip(f"-n {name} link set out0 up")
    return host, world


def masqueraded(host: str) -> TapDevice:
    """A tap that routes to the world under the host's address, and is as a VM's own."""
    (tap,) = in_namespace(host, lambda: open_tap(Path("/dev/net/tun"), "tap0"))
    ip(f"-n {host} address add {GATEWAY}/{PREFIX} dev tap0")
    ip(f"-n {host} link set tap0 up")
    inside = ["ip", "netns", "exec", host]
    subprocess.run([*inside, "sysctl", "-qw", "net.ipv4.ip_forward=1"], check=True)
    subprocess.run([*inside, "nft", "-f", "-"], input=MASQUERADE, text=True, check=True)
    return TapDevice(1, MAC, (tap,))


def made(nic: NatDevice | TapDevice, program: Path) -> Made:
    """Velocity's own command line with that NIC, and a monitor."""

    def words(place: Place) -> list[str]:
        disk = os.open(program, os.O_RDONLY)
        place.fds.append(disk)
        if isinstance(nic, TapDevice):
            place.fds.extend(nic.fds)
        spec = DiskSpec(MediaRef(1, UUID(int=2), "raw"), Bus.BLOCK, readonly=True, cdrom=False)
        monitor = f"socket,id=monitor,path={monitor_of(place.variables)},server=on,wait=off"
        found = same_devices(place, [spec], [disk], displays=0, nics=[nic])
        return [*found, "-chardev", monitor, "-mon", "chardev=monitor,mode=control"]

    return words


class Network:
    """The server, the world, and all guests."""

    def __init__(self, stack: ExitStack, place: Path, runs: Path) -> None:
        self._stack = stack
        self._iso, self._program = build(CACHE).iso, tool(place, SOURCE)
        self._host, world = namespaces(stack)
        command = ["ip", "netns", "exec", world, sys.executable, "-m", "bench.peers.world", WORLD]
        beyond = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
        stack.callback(beyond.kill)
        assert beyond.stdout is not None
        self._port = int(beyond.stdout.readline())
        self.guests: dict[str, Guest] = {OURS: self._served(place / "data", runs)}
        self.guests[TAP] = self._own(masqueraded(self._host))
        self.guests[USER] = self._own(NatDevice(1, MAC))
        self.guests[TAP].run(f"ip address add {GUEST}/{PREFIX} dev eth0; ip route replace default via {GATEWAY}")
        for guest in self.guests.values():
            guest.run(FIND)
            if "ways 1" not in guest.run(ROUTED):
                raise RuntimeError("a guest has no way out")

    def _served(self, data: Path, runs: Path) -> Served:
        server = Server(data, netns=self._host, runtime_dir=str(runs))
        self._stack.callback(server.close)
        server.start()
        iso = server.upload("guest.iso", self._iso.read_bytes())
        program = server.upload("program", self._program.read_bytes(), type="DISK")
        media = [{"mid": iso, "mode": "VIRTIO"}, {"mid": program, "mode": "BLOCK", "readonly": True}]
        asked = {"name": "guest", "gid": 0, "cpus": 1, "memory_mib": 256, "media": media, "nics": [{"type": "NAT"}]}
        return Served(server, int(server.ok("PUT", "/v/vm/efi", **asked)["vmid"]), runs)

    def _own(self, nic: NatDevice | TapDevice) -> Own:
        return Own(self._stack, self._host, made(nic, self._program), self._iso)

    def measure(self, bench: Bench, who: str) -> None:
        for what, (row, unit) in ROWS.items():
            said = self.guests[who].run(self._command(what, EACH))
            found = re.findall(r"RESULT ([\d.]+)", said)
            if not found:
                raise RuntimeError(f"{who}, {what}: {said[-300:]}")
            bench.add(f"{row}: {who}", unit, float(found[-1]))  # a console begins with what was said before

    def ask(self, bench: Bench, who: str) -> None:
        """The monitor, while the guest is idle, sends and receives."""
        guest = self.guests[who]
        for what, load in (("idle", ""), *((ROWS[way][0], self._command(way, LOADED)) for way in ("up", "down"))):
            guest.run(f"({load or 'true'} >/dev/null 2>&1 &)")
            with guest.monitor() as monitor:
                took = asked(monitor)
            guest.run("killall io")
            bench.add(f"QMP, while it {'is idle' if not load else f'{what} much'}: {who}", "ms", *took)
            bench.add(p99(what, who), "ms", statistics.quantiles(took, n=100)[98])

    def _command(self, what: str, seconds: int) -> str:
        return f"/io {WORLD} {self._port} {what} {seconds}"


def asked(monitor: Qmp) -> Sequence[float]:
    """Milliseconds that each of many questions took."""
    took, end = [], time.monotonic() + ASKING
    while time.monotonic() < end:
        took.append(monitor.execute("query-status"))
        time.sleep(PAUSE)
    return took


def p99(what: str, who: str) -> str:
    return f"QMP's 99th percentile, {what}: {who}"


def main() -> None:
    bench = Bench("network", "a guest's network by NAT, and its monitor meanwhile")
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="velocity-bench-")))
        runs = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="velocity-runs-")))
        place.chmod(0o711)
        runs.chmod(0o711)
        network = Network(stack, place, runs)
        turns = [lambda who=who: network.measure(bench, who) for who in network.guests]
        bench.rounds(ROUNDS, turns, warm=1, seconds=SECONDS)
        turns = [lambda who=who: network.ask(bench, who) for who in network.guests]
        bench.rounds(ASKED_ROUNDS, turns, warm=0, seconds=SECONDS)
    for row in ("sent", "received"):
        bench.goal(f"{row}: {OURS}", f"{row}: {TAP}", factor=0.9, least=True)
    bench.goal(f"{ROWS['turn'][0]}: {OURS}", f"{ROWS['turn'][0]}: {TAP}", factor=1 / 0.9)
    bound = f"bound: {MOST:g} ms"
    bench.add(bound, "ms", MOST)
    for row in ("sent", "received"):
        bench.goal(p99(row, OURS), bound, factor=1)
    bench.notes.append(
        f"by {'KVM' if KVM else 'software emulation'}; the server is away while its guest's QMP is asked"
    )
    bench.finish()


if __name__ == "__main__":
    main()
