"""What whoever broke out of a QEMU lays into its own directory, or says that it is, misleads the server nowhere."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from tests.patience import at_last
from tests.ports.subjects import DEADLINE, QemuSubject, machine, spec
from tests.root import as_root
from velocity.hypervisor.port import DisplayConsole, NotRunning
from velocity.hypervisor.qemu.connecting import connected
from velocity.hypervisor.qemu.processes import start_time
from velocity.hypervisor.qemu.runs import Runs


@pytest.mark.holds("ISOLATION-15")
@pytest.mark.anyio
@pytest.mark.guest
@pytest.mark.parametrize("way", ["a link", pytest.param("a socket of another", marks=as_root("uids")), "no socket"])
async def test_a_display_leads_to_no_other_socket_of_the_host(qemu: QemuSubject, runtime: Path, way: str) -> None:
    """The server connects as root: a link to a service of the host's would be as good as root's password."""
    who = machine()
    await qemu.hypervisor.machines.start(who, spec(qemu.hypervisor, held=True), deadline=DEADLINE)
    console = await qemu.hypervisor.consoles.open(who, DisplayConsole(0), deadline=DEADLINE)
    assert (await console.read()).startswith(b"RFB "), "its own is reached"
    await console.close()
    display = qemu.driver.watched.place.runs.own(who.machine) / "display0.sock"
    display.unlink()
    with socket.socket(socket.AF_UNIX) as service:
        service.setblocking(False)
        if way == "a link":
            service.bind(str(runtime / "service"))
            display.symlink_to(runtime / "service")
        elif way == "a socket of another":
            service.bind(str(display))
        else:
            display.write_text("")
        if way != "no socket":
            service.listen()
        with pytest.raises(NotRunning):
            await qemu.hypervisor.consoles.open(who, DisplayConsole(0), deadline=DEADLINE)
        if way != "no socket":
            with pytest.raises(BlockingIOError):
                service.accept()


@pytest.mark.holds("BOUND-29")
@pytest.mark.anyio
async def test_whoever_opens_many_displays_at_once_keeps_nobody_else_out(runtime: Path) -> None:
    """More wait than the socket lets: none of them is told that the VM has stopped."""
    path = str(runtime / "display")
    with socket.socket(socket.AF_UNIX) as display, contextlib.ExitStack() as accepted:
        display.bind(path)
        display.listen(0)
        opening = [asyncio.create_task(connected(path)) for _ in range(9)]
        await asyncio.sleep(0.05)
        assert sum(one.done() for one in opening) < len(opening)
        display.setblocking(False)
        async with asyncio.timeout(DEADLINE):
            for _ in opening:
                other, _ = await asyncio.get_running_loop().sock_accept(display)
                accepted.enter_context(other)
                other.sendall(b"RFB")
            for reader, writer in await asyncio.gather(*opening):
                assert await reader.read(3) == b"RFB"
                writer.close()
                await writer.wait_closed()


@contextmanager
def posing(uid: int, pidfile: str, name: str) -> Iterator[int]:
    """A process of that uid with a machine's arguments."""
    words = ["sh", "-c", "sleep 1000 & wait", "sh", "-name", name, "-pidfile", pidfile]
    process = subprocess.Popen(words, start_new_session=True, user=uid, group=uid, extra_groups=[])
    try:
        at_last(lambda: pidfile.encode() in Path(f"/proc/{process.pid}/cmdline").read_bytes())
        yield process.pid
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@as_root("uids")
@pytest.mark.holds("ISOLATION-15")
def test_a_process_is_taken_for_no_machine_but_the_one_that_has_its_uid(runtime: Path) -> None:
    """A process may change its own arguments."""
    runs = Runs(runtime, "here", range(50100, 50110), runtime / "claims")
    runs.open()
    own, other = (runs.begin(uuid4(), 1, nat=False) for _ in range(2))
    pidfile, name = f"{runs.own(other.machine)}/pid", f"guest=vm-{other.machine}-1,process=vm"
    with posing(own.uid, pidfile, name) as pid:
        found = {run.machine: (run.uid, process) for run, process in runs.look().runs}
        assert found == {own.machine: (own.uid, None), other.machine: (other.uid, None)}
        with posing(other.uid, pidfile, name) as true:
            noted = msgspec.structs.replace(other, pid=true, started=start_time(true) or 0)
            runs.write(noted)
            found = {run.machine: (run.uid, process) for run, process in runs.look().runs}
            assert found[other.machine] == (other.uid, true), "although the other one has begun before it"
            assert pid not in [process for _, process in found.values()]
