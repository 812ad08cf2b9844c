"""The source of a live migration: copies disks, then memory, and hands the guest over.

QEMU copies; this module drives the steps. Until the very end the guest can continue here, and does so after any
failure: see `undo`. https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html (blockdev-mirror, migrate);
docs/decisions/0040
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from typing import Any

from velocity.hypervisor.port import Copied, HypervisorError, Landing, MovePhase, MoveProgress, NotRunning, Unknown
from velocity.hypervisor.qemu.directories import HostDirectories
from velocity.hypervisor.qemu.disk_options import node_name
from velocity.hypervisor.qemu.event_interpreter import plain
from velocity.hypervisor.qemu.live import disks
from velocity.hypervisor.qemu.live.change import Change
from velocity.hypervisor.qemu.live.found import number_in
from velocity.hypervisor.qemu.moves import secrecy
from velocity.hypervisor.qemu.moves.network import connect, greeting
from velocity.hypervisor.qemu.moves.parameters import CALL, VARIABLES, capabilities, parameters
from velocity.hypervisor.qemu.moves.undo import NAME, note, undo
from velocity.hypervisor.qemu.run_note import Between
from velocity.hypervisor.qemu.watched_runs import RunEntry
from velocity.uninterrupted import in_thread

STILL = 10.0
"""Seconds that the guest is stopped at most, until it continues here or there."""
UNDONE = 15.0
"""Seconds after which nobody waits for the undoing of a failed move any more; it continues."""
AGREED = 3.0
"""Seconds for the two QEMUs to connect for a disk: the guest may be stopped meanwhile."""
LOOK = 0.25
TELL = 1.0
"""Seconds between two queries of the progress, and between two reports at most."""
MEMORY = "move-memory"


class Departure:
    """The departure of one machine."""

    def __init__(self, place: HostDirectories, entry: RunEntry, landing: Landing, copied: Sequence[Copied]) -> None:
        self._place = place
        self._entry = entry
        self._landing = landing
        self._copied = copied
        self._told: asyncio.Queue[MoveProgress] = asyncio.Queue()
        self._events: asyncio.Queue[tuple[str, Mapping[str, Any]]] = asyncio.Queue()
        self._last = MoveProgress(MovePhase.DISKS, 0, 0)
        self._ready: set[str] = set()
        self._ended: set[str] = set()
        self._migration = ""
        self._connections: list[socket.socket] = []
        """Those lent to QEMU: who has them can break them, whatever QEMU waits for."""

    async def progress(self, going: asyncio.Task[None]) -> AsyncGenerator[MoveProgress]:
        """Reports until it has ended."""
        while not going.done() or not self._told.empty():
            telling = asyncio.ensure_future(self._told.get())
            try:
                await asyncio.wait({going, telling}, timeout=TELL, return_when=asyncio.FIRST_COMPLETED)
                if telling.done():
                    yield telling.result()
                elif not going.done():
                    yield self._last
            finally:
                telling.cancel()

    async def run(self, deadline: float, undoing: Callable[[Coroutine[Any, Any, bool]], asyncio.Task[bool]]) -> None:
        """Raises `HypervisorError`: the guest continues here; `NotRunning`; `Unknown`: not known in time.

        `undoing` starts what must not be interrupted.
        """
        qemu = self._entry.qemu
        qemu.observed.leaving, qemu.heard = True, self._hear
        try:
            async with asyncio.timeout(deadline):
                await self._go()
        except BaseException as error:
            handed = await self._undone(undoing(undo(self._place, self._entry, self._connections)))
            if not handed or isinstance(error, asyncio.CancelledError):
                if isinstance(error, OSError | Unknown):
                    words = str(error)
                    if isinstance(error, TimeoutError):
                        words = f"it was not moved within {deadline:.0f} seconds"
                    raise HypervisorError(f"its move failed, and it continues here: {words}") from None
                raise
        finally:
            qemu.heard = _nothing
            if self._entry.run.between is not Between.SENDING:  # else it is being undone yet
                qemu.observed.leaving = False
            for one in self._connections:
                one.close()

    async def _undone(self, undoing: asyncio.Task[bool]) -> bool:
        end = asyncio.get_running_loop().time() + UNDONE
        while not undoing.done() and (left := end - asyncio.get_running_loop().time()) > 0:
            with contextlib.suppress(asyncio.CancelledError):  # it is being given up already
                await asyncio.wait({undoing}, timeout=left)
        if not undoing.done():
            raise Unknown("its QEMU does not report whether it continues here")
        return undoing.result()

    async def _go(self) -> None:
        await note(self._place, self._entry, Between.SENDING)
        run = self._entry.run
        own = self._place.runs.own(run.machine)
        directory = await in_thread(secrecy.put, own, run.uid, self._landing.key)
        await self._execute("object-add", **secrecy.credentials(directory, server=False))
        await self._execute("migrate-set-capabilities", capabilities=capabilities())
        await self._execute("migrate-set-parameters", **parameters())
        self._tell(MovePhase.DISKS, 0, 0)
        nodes = await self._nodes()
        for node, name in nodes:  # before the first copy takes all of the network: the guest waits for each connection
            await self._reach(node, name)
        jobs = [await self._mirror(node) for node, _ in nodes]
        await self._until(lambda: self._ready >= set(jobs), self._look_at_disks)
        await self._send()
        await self._until(lambda: self._migration == "pre-switchover", self._look_at_memory)
        try:
            async with asyncio.timeout(STILL):
                await self._hand_over(jobs)
        except TimeoutError:
            raise HypervisorError(
                f"the target host did not take it over within {STILL:.0f} seconds: it continues here"
            ) from None
        # The connections stay open: QEMU 7.2 crashes when a peer closes one to a disk with an I/O thread.
        await asyncio.to_thread(secrecy.remove, own)

    # Disks

    async def _nodes(self) -> list[tuple[str, str]]:
        """The block nodes to copy, with the names of their exports on the target. Raises `HypervisorError`."""
        change = Change(self._place, self._entry, CALL)
        found = await disks.look(change)
        if found.copied:
            raise HypervisorError("one of its disks is being moved or converted: wait until that is done")
        nodes = [(VARIABLES, VARIABLES)]
        for one in self._copied:
            numbers = (number_in(drive, found) for drive in change.drives)
            number = next(
                (
                    number
                    for number in numbers
                    if number is not None
                    and (disk := change.run.nodes.get(number)) is not None
                    and disk.media == one.source
                    and not disk.readonly
                ),
                None,
            )
            if number is None:
                raise HypervisorError(f"the run does not write to a disk {one.source.medium}")
            nodes.append((node_name(number), str(one.source.medium)))
        return nodes

    async def _reach(self, node: str, name: str) -> None:
        """Connect to where it is copied to. Raises `HypervisorError`."""
        job = f"{NAME}{node}"
        await self._lend(self._landing.disks, job)
        try:
            await self._open(job, name)
        except Unknown:
            raise HypervisorError("the target host does not answer for its disks") from None

    async def _mirror(self, node: str) -> str:
        """Start copying it; returns the name of the job. Raises `HypervisorError`."""
        job = f"{NAME}{node}"
        await self._execute(
            "blockdev-mirror",
            **{"job-id": job, "device": node, "target": job, "filter-node-name": f"{node}.0"},
            **{"sync": "full", "copy-mode": "background"},
        )
        return job

    async def _open(self, job: str, name: str) -> None:
        await self._entry.qemu.execute(
            "blockdev-add",
            deadline=AGREED,
            **{"driver": "nbd", "node-name": job, "export": name, "reconnect-delay": 0},
            **{"server": {"type": "fd", "str": job}, "tls-creds": secrecy.OBJECT},
        )

    async def _lend(self, port: int, name: str, first: bytes = b"") -> None:
        """Pass QEMU, under that name, a connection to the target that begins with these bytes."""
        one = await connect(self._landing.address, port)
        self._connections.append(one)
        await asyncio.get_running_loop().sock_sendall(one, first)
        await self._entry.qemu.give(one.fileno(), name, deadline=CALL)

    async def _look_at_disks(self) -> None:
        jobs = [one for one in await self._execute("query-jobs") if one["id"].startswith(NAME)]
        done, total = (sum(one[f"{name}-progress"] for one in jobs) for name in ("current", "total"))
        self._tell(MovePhase.DISKS, done, total)

    # Memory

    async def _send(self) -> None:
        await self._lend(self._landing.migration, MEMORY, greeting(self._landing.key))
        await self._execute("migrate", uri=f"fd:{MEMORY}")
        assert self._entry.run.made is not None
        self._tell(MovePhase.MEMORY, 0, self._entry.run.made.memory << 20)

    async def _look_at_memory(self) -> None:
        ram = (await self._execute("query-migrate")).get("ram")
        if ram:
            self._tell(MovePhase.MEMORY, ram["total"] - ram["remaining"], ram["total"])

    async def _hand_over(self, jobs: Sequence[str]) -> None:
        """With the guest stopped, finish copying its disks, then send the rest of its memory."""
        self._tell(MovePhase.HANDING_OVER, 0, 1)
        await note(self._place, self._entry, Between.HANDED)
        self._entry.qemu.serial.input.hold()
        for job in jobs:
            await self._execute("block-job-cancel", device=job)
        await self._until(lambda: self._ended >= set(jobs))
        await self._execute("migrate-continue", state="pre-switchover")
        await self._until(lambda: self._migration == "completed")
        self._entry.qemu.serial.finish()  # readers continue where the guest does
        self._tell(MovePhase.HANDING_OVER, 1, 1)

    # What is heard of it

    def _tell(self, phase: MovePhase, done: int, total: int) -> None:
        self._last = MoveProgress(phase, min(done, total), total)
        self._told.put_nowait(self._last)

    def _hear(self, name: str, data: Mapping[str, Any]) -> None:
        self._events.put_nowait((name, data))

    async def _until(
        self, done: Callable[[], bool], look: Callable[[], Coroutine[Any, Any, None]] | None = None
    ) -> None:
        """Raises `HypervisorError` when that cannot happen any more."""
        if look is not None:
            await look()
        while not done():
            try:
                async with asyncio.timeout(LOOK):
                    self._take(*await self._events.get())
            except TimeoutError:
                if self._entry.qemu.gone:
                    raise NotRunning("QEMU has ended") from None
                if look is not None:
                    await look()

    def _take(self, name: str, data: Mapping[str, Any]) -> None:
        match name, data.get("device"):
            case "MIGRATION", _:
                self._migration = str(data.get("status"))
                if self._migration in ("failed", "cancelling", "cancelled"):
                    raise HypervisorError("the connection to the target host has failed, or the target has ended")
            case "BLOCK_JOB_READY", str(job):
                self._ready.add(job)
            case (("BLOCK_JOB_COMPLETED" | "BLOCK_JOB_CANCELLED"), str(job)) if job.startswith(NAME):
                if name != "BLOCK_JOB_COMPLETED" or data.get("error"):
                    why = plain(data.get("error", "input/output error"))
                    raise HypervisorError(f"a disk could not be copied to the target host: {why}")
                self._ended.add(job)

    async def _execute(self, command: str, **arguments: Any) -> Any:
        return await self._entry.qemu.execute(command, deadline=CALL, **arguments)


def _nothing(name: str, data: Mapping[str, Any]) -> None:
    """Progress that nobody listens to."""
