"""The floor of a start: QEMU itself with Velocity's devices, spawned with an inherited QMP socket, and told `cont`.

The reference VM: q35, one virtual CPU, 256 MiB, OVMF with variables of its own, one virtio-blk disk, one user NIC, no
display. https://www.qemu.org/docs/master/system/invocation.html
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from uuid import UUID

from bench.peers.qmp import Qmp
from bench.server import RUNTIME
from velocity.hypervisor.port import Bus, DiskSpec, MachineSpec
from velocity.hypervisor.qemu.command import Files, LaunchSpec, ListeningSockets, NatDevice, arguments, room_for_code
from velocity.hypervisor.qemu.hardware import PROFILES
from velocity.hypervisor.qemu.probe import fault
from velocity.storage.port import MediaRef

CODE, VARS = Path("/usr/share/OVMF/OVMF_CODE_4M.fd"), Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
QEMU = "qemu-system-x86_64"
KVM = fault("kvm", QEMU, 10.0) is None
OWN_PART = ("-name", "-uuid", "-msg", "-sandbox", "-pidfile", "-mon")
"""What Velocity's command line has beside the machine, each with a value."""
REFERENCE = MachineSpec(
    "reference", 1, 256, "q35", "", hardware=PROFILES[-1].name,
    disks=(DiskSpec(MediaRef(1, UUID(int=1), "raw"), Bus.BLOCK, readonly=False, cdrom=False),),
)  # fmt: skip
"""The machine that Velocity makes of `bench.server`'s reference VM."""


def accelerator(memory: int) -> str:
    """For a guest with so many MiB. The same for all, as it is the host's and not a product's."""
    return "kvm" if KVM else f"tcg,thread=multi,tb-size={room_for_code(memory)}"


def machine_alone(plan: LaunchSpec) -> list[str]:
    """Of Velocity's arguments those that make the machine: without what names, confines and controls it."""
    words = [word for word in arguments(plan)[1:] if word != "-S"]
    found = [at for at, word in enumerate(words) if word in OWN_PART or word.startswith("socket,id=qmp")]
    left_out = {at + more for at in found for more in ((0, 1) if words[at] in OWN_PART else (-1, 0))}
    return [word for at, word in enumerate(words) if at not in left_out]


def new_variables(place: Path) -> None:
    """A machine's own, as Velocity has them."""
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(VARS), str(place)], check=True)


class RawQemu:
    """One reference VM, started and ended again and again."""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="velocity-bench-raw-"))
        self.sockets = Path(tempfile.mkdtemp(prefix="velocity-bench-raw-", dir=RUNTIME))
        self.disk = self.home / "disk.raw"
        with self.disk.open("wb") as disk:
            disk.truncate(64 << 20)
        self.variables = self.home / "vars.qcow2"
        new_variables(self.variables)
        self.process: subprocess.Popen[bytes] | None = None
        self.qmp: Qmp | None = None

    def start(self, then: str = "cont") -> float:
        """Milliseconds from the spawn to the answer to `cont`, or to another command."""
        begun = time.perf_counter()
        with ExitStack() as ours:
            command, fds = self._command(ours)
            self.process = subprocess.Popen(
                command, pass_fds=fds,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            self.qmp = Qmp(self.sockets / "qmp")
        self.qmp.execute(then)
        return (time.perf_counter() - begun) * 1000

    def stop(self) -> float:
        """Milliseconds from `quit` to the process gone."""
        assert self.process is not None
        assert self.qmp is not None
        gone = os.pidfd_open(self.process.pid)  # `Popen.wait` with a timeout polls, in steps that double
        try:
            begun = time.perf_counter()
            self.qmp.send("quit")
            select.select([gone], [], [], 10)
            took = (time.perf_counter() - begun) * 1000
        finally:
            os.close(gone)
        self.process.wait(10)
        self.qmp.close()
        return took

    def execute(self, command: str) -> float:
        """Milliseconds that one command took."""
        assert self.qmp is not None
        return self.qmp.execute(command)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()
        for place in (self.home, self.sockets):
            shutil.rmtree(place, ignore_errors=True)

    def _command(self, ours: ExitStack) -> tuple[list[str], list[int]]:
        """The command line, and the descriptors that it names, which `ours` closes."""

        def opened(path: Path, flags: int) -> int:
            descriptor = os.open(path, flags)
            ours.callback(os.close, descriptor)
            return descriptor

        def listening(name: str) -> int:
            (self.sockets / name).unlink(missing_ok=True)
            listener = ours.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            listener.bind(str(self.sockets / name))
            listener.listen(1)
            return listener.fileno()

        files = Files(opened(CODE, os.O_RDONLY), opened(self.variables, os.O_RDWR), [opened(self.disk, os.O_RDWR)])
        sockets = ListeningSockets(qmp=listening("qmp"), agent=listening("agent"))
        nics = [NatDevice(1, "52:54:00:00:00:01")]
        plan = LaunchSpec(
            QEMU, UUID(int=1), 1, accelerator(REFERENCE.memory), REFERENCE, files, sockets, nics, str(self.home)
        )
        control = ["-chardev", f"socket,id=qmp,fd={sockets.qmp},server=on,wait=off", "-mon", "chardev=qmp,mode=control"]
        assert sockets.agent is not None
        fds = [files.code, files.variables, *files.disks, sockets.qmp, sockets.agent]
        return [QEMU, *machine_alone(plan), "-S", *control], fds


class Many:
    """That many reference VMs. Whatever happens in the `with` block, none outlives it."""

    def __init__(self, count: int) -> None:
        self.machines = [RawQemu() for _ in range(count)]

    def __enter__(self) -> Many:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for one in self.machines:
            one.close()

    def start(self, width: int) -> float:
        """Milliseconds until all stand before their first instruction, at most `width` started at a time."""
        return self._all(lambda one: one.start("query-status"), width)

    def stop(self) -> float:
        """Milliseconds from the first `quit` to the last process gone."""
        return self._all(RawQemu.stop, len(self.machines))

    def _all(self, work: Callable[[RawQemu], float], width: int) -> float:
        with ThreadPoolExecutor(width) as pool:
            begun = time.perf_counter()
            list(pool.map(work, self.machines))
            return (time.perf_counter() - begun) * 1000
