"""The floor of a start: QEMU itself, spawned with an inherited QMP socket, and told `cont`.

The reference VM: q35, one virtual CPU, 256 MiB, OVMF with variables of its own, one virtio-blk disk, one user NIC, no
display. https://www.qemu.org/docs/master/system/invocation.html, https://www.qemu.org/docs/master/interop/qmp-spec.html
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

CODE, VARS = Path("/usr/share/OVMF/OVMF_CODE_4M.fd"), Path("/usr/share/OVMF/OVMF_VARS_4M.fd")


class RawQemu:
    """One reference VM, started and ended again and again."""

    def __init__(self, *more: str) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="velocity-bench-raw-"))
        self.more: Sequence[str] = more
        self.disk = self.home / "disk.raw"
        with self.disk.open("wb") as disk:
            disk.truncate(64 << 20)
        self.variables = self.home / "vars.fd"
        shutil.copyfile(VARS, self.variables)
        self.process: subprocess.Popen[bytes] | None = None
        self.qmp: socket.socket | None = None
        self._rest = b""

    def start(self, then: str = "cont") -> float:
        """Milliseconds from the spawn to the answer to `cont`, or to another command."""
        path = self.home / "qmp"
        path.unlink(missing_ok=True)
        begun = time.perf_counter()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(path))
            listener.listen(1)
            self.process = subprocess.Popen(
                self._arguments(listener.fileno()), pass_fds=[listener.fileno()],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            self.qmp = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.qmp.connect(str(path))
        self._rest = b""
        self._line()  # the greeting
        self.execute("qmp_capabilities")
        self.execute(then)
        return (time.perf_counter() - begun) * 1000

    def stop(self) -> float:
        """Milliseconds from `quit` to the process gone."""
        assert self.process is not None
        assert self.qmp is not None
        gone = os.pidfd_open(self.process.pid)  # `Popen.wait` with a timeout polls, in steps that double
        try:
            begun = time.perf_counter()
            self.qmp.sendall(b'{"execute":"quit"}')
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
        begun = time.perf_counter()
        self.qmp.sendall(b'{"execute":"%s"}' % command.encode())
        while "return" not in (answer := self._line()):
            if "error" in answer:
                raise RuntimeError(answer)
        return (time.perf_counter() - begun) * 1000

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()
        shutil.rmtree(self.home, ignore_errors=True)

    def _line(self) -> dict[str, Any]:
        assert self.qmp is not None
        while b"\n" not in self._rest:
            more = self.qmp.recv(65536)
            if not more:
                raise EOFError
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\n")
        return dict(json.loads(line))

    def _arguments(self, qmp: int) -> list[str]:
        return [
            "qemu-system-x86_64", "-no-user-config", "-nodefaults", "-S", "-display", "none",
            "-machine", "q35,accel=tcg,vmport=off,hpet=off,smm=off", "-cpu", "max", "-m", "256M", "-smp", "1",
            "-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={CODE}",
            "-drive", f"if=pflash,format=raw,unit=1,file={self.variables}",
            "-drive", f"if=none,id=disk,format=raw,file={self.disk}", "-device", "virtio-blk-pci,drive=disk",
            "-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile=",
            "-chardev", f"socket,id=qmp,fd={qmp},server=on,wait=off", "-mon", "chardev=qmp,mode=control",
            *self.more,
        ]  # fmt: skip


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
