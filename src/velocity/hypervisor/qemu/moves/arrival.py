"""The target of a live migration: a machine that waits for its guest until it may run.

https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html (migrate-incoming, nbd-server-start)
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import structs

from velocity.hypervisor.port import Copied, Fact, HypervisorError, NotRunning, Unknown
from velocity.hypervisor.qemu.directories import HostDirectories
from velocity.hypervisor.qemu.disk_options import node_name
from velocity.hypervisor.qemu.monitor import FIRST_PAUSE, LAST_PAUSE
from velocity.hypervisor.qemu.moves import secrecy
from velocity.hypervisor.qemu.moves.network import Ports, greeted, is_connected
from velocity.hypervisor.qemu.moves.parameters import CALL, VARIABLES, capabilities, parameters
from velocity.hypervisor.qemu.watched_runs import RunEntry
from velocity.uninterrupted import in_thread

log = logging.getLogger(__name__)

LOOKS = 12
"""How often connections are checked within the time after which a machine without any ends."""
MEMORY, DISKS = "move-memory", "move-disks"
"""The names of the descriptors passed to QEMU."""


class Arrival:
    """One arrival. `received` is set when the guest has arrived completely, `settled` when it may be let run."""

    def __init__(self, place: HostDirectories, entry: RunEntry) -> None:
        self.entry = entry
        self.received = asyncio.Event()
        self.settled = asyncio.Event()
        self._place = place
        self._task: asyncio.Task[None] | None = None
        entry.qemu.heard = self._hear

    async def prepare(self, ports: Ports, key: str, copied: Sequence[Copied], idle: float, deadline: float) -> None:
        """Make it reachable at these ports; it ends when nobody is connected for so long.

        Raises `HypervisorError`, `OSError`, `TimeoutError`.
        """
        qemu, run = self.entry.qemu, self.entry.run
        directory = await in_thread(secrecy.put, self._place.runs.own(run.machine), run.uid, key)
        async with asyncio.timeout(deadline):
            await self._execute("object-add", **secrecy.credentials(directory, server=True))
            await self._execute("migrate-set-capabilities", capabilities=capabilities())
            await self._execute("migrate-set-parameters", **parameters())
            await qemu.give(ports.disks.fileno(), DISKS, deadline=CALL)
            at = {"type": "fd", "data": {"str": DISKS}}
            await self._execute("nbd-server-start", addr=at, **{"tls-creds": secrecy.OBJECT})
            for node, name in self._exports(copied):
                about = {"type": "nbd", "id": f"export-{node}", "node-name": node, "name": name, "writable": True}
                await self._execute("block-export-add", **about)
        self._task = asyncio.create_task(self._wait(ports, key, idle))

    def _exports(self, copied: Sequence[Copied]) -> list[tuple[str, str]]:
        """The block nodes that the source writes to, with the names of their exports."""
        targets = {one.target.medium: str(one.source.medium) for one in copied}
        nodes = self.entry.run.nodes.items()
        disks = [(node_name(number), targets.pop(disk.media.medium)) for number, disk in nodes
                 if not disk.readonly and disk.media.medium in targets]  # fmt: skip
        if targets:
            raise HypervisorError("one of the disks to be copied is not one that it writes to")
        return [(VARIABLES, VARIABLES), *disks]

    def adopt(self) -> None:
        """Continue with one that an earlier server began."""
        self._task = asyncio.create_task(self._go_on())

    async def taken(self) -> None:
        """The guest runs: record that. Raises `OSError`."""
        self.entry.run = structs.replace(self.entry.run, between=None)
        await in_thread(self._place.runs.write, self.entry.run)
        self.entry.qemu.observed.arriving = False
        self.entry.qemu.serial.input.release()

    async def close(self) -> None:
        """Stop watching it; it keeps waiting."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    def _hear(self, name: str, data: Mapping[str, Any]) -> None:
        if name == "MIGRATION" and data.get("status") == "completed":
            self.received.set()

    async def _execute(self, command: str, **arguments: Any) -> Any:
        return await self.entry.qemu.execute(command, deadline=CALL, **arguments)

    async def _wait(self, ports: Ports, key: str, idle: float) -> None:
        numbers = [one.getsockname()[1] for one in (ports.memory, ports.disks)]
        watching = asyncio.create_task(self._watch(numbers, idle))
        try:
            with contextlib.closing(ports):
                with contextlib.closing(await greeted(ports.memory, key)) as one:
                    await self.entry.qemu.give(one.fileno(), MEMORY, deadline=CALL)
                    with contextlib.suppress(Unknown):  # it may arrive nevertheless
                        await self._execute("migrate-incoming", uri=f"fd:{MEMORY}")
                await self._until_received()
        except HypervisorError as error:
            await self._give_up(str(error))
            return
        finally:
            watching.cancel()
        await self._settle()

    async def _until_received(self) -> None:
        """Return when it has arrived, even if the monitor was not connected at that moment. Raises `NotRunning`."""
        qemu = self.entry.qemu
        while not (self.received.is_set() or qemu.observed.does(Fact.RECEIVED)):
            if qemu.gone:
                raise NotRunning("QEMU has ended")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_PAUSE):
                    await self.received.wait()
        self.received.set()

    async def _watch(self, ports: Sequence[int], idle: float) -> None:
        """End it when its source, or the controller of both hosts, is gone."""
        loop = asyncio.get_running_loop()
        since = loop.time()
        while loop.time() - since < idle:
            await asyncio.sleep(idle / LOOKS)
            if any([await asyncio.to_thread(is_connected, port) for port in ports]):
                since = loop.time()
        await self._give_up("nothing came for it")

    async def _give_up(self, why: str) -> None:
        if not self.entry.qemu.gone:
            log.warning("machine %s: its move to this host has failed: %s", self.entry.run.machine, why)
            with contextlib.suppress(HypervisorError):
                await self.entry.qemu.end(deadline=CALL)

    async def _settle(self) -> None:
        """Close the NBD exports, and remove what else the move needed, as far as possible."""
        while not self.entry.qemu.gone:
            try:
                if not await self._execute("query-block-exports"):
                    break
                await self._execute("nbd-server-stop")
            except HypervisorError:
                await asyncio.sleep(FIRST_PAUSE)
        self.settled.set()
        with contextlib.suppress(HypervisorError):
            await self._execute("migrate-set-parameters", **{"tls-creds": ""})
            await self._execute("object-del", id=secrecy.OBJECT)
        await asyncio.to_thread(secrecy.remove, self._place.runs.own(self.entry.run.machine))

    async def _go_on(self) -> None:
        """An earlier server has ended: machines to which nobody can connect any more end, too."""
        while True:
            try:
                await self._found()
                return
            except NotRunning:
                return
            except (HypervisorError, OSError):
                await asyncio.sleep(LAST_PAUSE)

    async def _found(self) -> None:
        status = (await self._execute("query-status"))["status"]
        if status == "inmigrate":
            if (await self._execute("query-migrate")).get("status") not in ("setup", "active"):
                await self._give_up("its host's node was started again")
                return
            await self._until_received()  # otherwise the kernel ends the NBD connection with it
        elif status == "running":
            await self.taken()
        self.received.set()
        await self._settle()
