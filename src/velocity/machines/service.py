"""The use cases of machines: the fleet of one host, each VM in the hands of its keeper."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from uuid import UUID, uuid4

from velocity.access.service import Access, Caller
from velocity.contract.machines import CreateVm, MediaMode, Nic, NicType, State
from velocity.contract.operation import On
from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.port import (
    BridgeSpec,
    Bus,
    Changed,
    Confinement,
    DiskSpec,
    DisplaySpec,
    HostBack,
    HostId,
    HostLost,
    Hypervisor,
    MachineSpec,
    MediaRef,
    NatSpec,
    NicSpec,
)
from velocity.machines import rules
from velocity.machines.keeper import House, Keeper
from velocity.machines.port import MachineStore
from velocity.machines.rules import Machine, Progress, Spec
from velocity.machines.states import REQUESTABLE, Cause
from velocity.media.rules import Medium, boot_warning
from velocity.media.service import Library

log = logging.getLogger(__name__)

AUTOSTARTS_AT_ONCE = 2


class Fleet:
    """The VMs of one host. `nics` are the host NICs that the administrator declared: nicid -> identifier."""

    def __init__(
        self,
        store: MachineStore,
        access: Access,
        library: Library,
        hypervisor: Hypervisor,
        *,
        host: HostId,
        nics: Mapping[int, str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._access = access
        self._library = library
        self._hypervisor = hypervisor
        self._host = host
        self._nics = nics
        self._clock = clock
        self._house = House(
            host=host,
            hypervisor=hypervisor,
            store=store,
            gate=asyncio.Semaphore(2 * (os.cpu_count() or 1)),
            clock=clock,
            prepare=self._prepare,
        )
        self._keepers: dict[int, Keeper] = {}
        self._by_group: dict[int, dict[int, Keeper]] = {}
        self._by_uuid: dict[UUID, Keeper] = {}
        self._reserved: dict[tuple[int, str], CreateVm] = {}
        self._listening: asyncio.Task[None] | None = None
        self._autostarting: asyncio.Task[None] | None = None
        access.owns(On.VM, self._group_of)
        library.held_by(self._holder)

    # The start and the end of the server

    async def open(self) -> None:
        """Load the VMs, adopt those that run, and start the ones that want it, in the background."""
        for machine, progress in self._store.load(self._host):
            self._add(Keeper(self._house, machine, progress))
        found = {news.who.machine for news in await self._adopt()}
        for uuid, keeper in self._by_uuid.items():
            if uuid not in found:
                keeper.lost()
        self._listening = asyncio.create_task(self._listen())
        self._autostarting = asyncio.create_task(self._autostart())

    async def close(self) -> int:
        """Let go of the VMs, which go on; how many run is returned."""
        for task in (self._autostarting, self._listening):
            if task is not None:
                task.cancel()
                await asyncio.wait({task})
        await self._hypervisor.close()
        return sum(keeper.state is not State.STOPPED for keeper in self._keepers.values())

    async def _adopt(self) -> list[Changed]:
        found = list(await self._hypervisor.adopt(self._host))
        for news in found:
            keeper = self._by_uuid.get(news.who.machine)
            if keeper is not None:
                await keeper.found(news)
        return found

    async def _listen(self) -> None:
        async for news in self._hypervisor.news():
            match news:
                case Changed(who):
                    if (keeper := self._by_uuid.get(who.machine)) is not None:
                        keeper.hear(news)
                case HostLost():
                    for keeper in self._keepers.values():
                        keeper.unreachable_since = keeper.unreachable_since or int(self._clock())
                case HostBack():
                    for keeper in self._keepers.values():
                        keeper.unreachable_since = None
                    await self._adopt()

    async def _autostart(self) -> None:
        slots = asyncio.Semaphore(AUTOSTARTS_AT_ONCE)

        async def start(keeper: Keeper) -> None:
            async with slots:
                try:
                    await keeper.ask(Cause.ASK_RUN)
                except Refused as refusal:
                    log.warning("vm %d does not start by itself: %s", keeper.machine.vmid, refusal.message)
                    keeper.could_not_autostart(refusal.message)

        wanting = [
            keeper
            for keeper in self._keepers.values()
            if keeper.machine.spec.autostart and keeper.state is State.STOPPED
        ]
        await asyncio.gather(*(start(keeper) for keeper in wanting))

    # Reading

    def get(self, vmid: int) -> Keeper:
        try:
            return self._keepers[vmid]
        except KeyError:
            raise Refused(
                Problem.VM_NOT_FOUND, f"there is no VM {vmid}, or none that you may see", field="vmid"
            ) from None

    def of_group(self, gid: int) -> list[Keeper]:
        self._access.group(gid)
        return list(self._by_group.get(gid, {}).values())

    async def confinement(self, keeper: Keeper) -> Confinement | None:
        """What holds of its process now; None while it does not run."""
        if keeper.state in (State.STOPPED, State.STARTING):
            return None
        return await self._hypervisor.confinement(keeper.who)

    def _group_of(self, vmid: object) -> int | None:
        keeper = self._keepers.get(vmid) if isinstance(vmid, int) else None
        return None if keeper is None else keeper.machine.gid

    def _holder(self, mid: UUID) -> str | None:
        for keeper in self._keepers.values():
            if any(attachment.mid == mid for attachment in keeper.machine.spec.media):
                return str(keeper.machine.vmid)
        for _, name in [key for key, one in self._reserved.items() if any(a.mid == mid for a in one.media)]:
            return repr(name)
        return None

    # Changing

    async def create(self, caller: Caller, request: CreateVm) -> tuple[int, list[str]]:
        """Its vmid, and what will not work as one might expect."""
        self._access.group(request.gid)
        media = [self._library.visible(caller, request.gid, one.mid) for one in request.media]
        for number, nic in enumerate(request.nics):
            self._check_nic(number, nic)
        facts = self._hypervisor.facts(self._host)
        rules.check_host(request, facts)
        rules.check_words(request)
        with self._reservation(request, media):
            spec = Spec(
                cpus=request.cpus,
                memory_mib=request.memory_mib,
                displays=request.displays,
                media=request.media,
                nics=request.nics,
                rosetta=request.rosetta,
                autostart=request.autostart,
                machine_type=facts.machine_type,
                firmware=facts.firmware,
            )
            uuid = uuid4()
            vmid = await self._store.add(uuid, self._host, request.gid, request.name, spec)
            machine = Machine(vmid, uuid, request.gid, request.name, spec)
            self._add(Keeper(self._house, machine, Progress()))
        return vmid, [warning for medium in media if (warning := boot_warning(medium))]

    async def delete(self, vmid: int) -> None:
        keeper = self.get(vmid)
        await keeper.settle()
        if keeper.state is not State.STOPPED:
            raise Refused(Problem.VM_NOT_STOPPED, f"VM {vmid} is {keeper.state.value}: stop it first", field="vmid")
        self.get(vmid)
        self._remove(keeper)  # from here on nobody can start it
        try:
            await self._store.remove(vmid)
        except BaseException:
            self._add(keeper)
            raise
        keeper.retire()
        await self._hypervisor.forget(keeper.machine.uuid)

    async def request(self, vmid: int, state: str, *, force: bool) -> tuple[Keeper, State]:
        """Serve a request for a state; the state is the one that it led to."""
        keeper = self.get(vmid)
        wanted = State.__members__.get(state)
        if wanted is None or wanted not in REQUESTABLE:
            raise Refused(
                Problem.NOT_A_STATE,
                f"{state!r} is not a state that can be requested: use STOPPED, RUNNING or PAUSED",
                field="state",
            )
        cause = REQUESTABLE[wanted]
        return keeper, await keeper.ask(Cause.ASK_KILL if force and cause is Cause.ASK_STOP else cause)

    def _check_nic(self, number: int, nic: Nic) -> None:
        if nic.type == NicType.BRIDGE.value and isinstance(nic.host, int) and nic.host not in self._nics:
            raise Refused(
                Problem.NIC_NOT_FOUND,
                f"there is no host NIC {nic.host}: see POST /v/nic/list",
                field=f"nics[{number}].host",
            )

    @contextlib.contextmanager
    def _reservation(self, request: CreateVm, media: list[Medium]) -> Iterator[None]:
        """The name and the right to write to its media are taken from here on."""
        key = (request.gid, request.name)
        if key in self._reserved or any(
            keeper.machine.name == request.name for keeper in self._by_group.get(request.gid, {}).values()
        ):
            raise Refused(
                Problem.VM_NAME_TAKEN,
                f"the group has a VM named {request.name!r}: choose another name",
                field="name",
            )
        rules.check_display_names(request.displays)
        self._check_writers(request, media)
        self._reserved[key] = request
        try:
            yield
        finally:
            del self._reserved[key]

    def _check_writers(self, request: CreateVm, media: list[Medium]) -> None:
        writable: set[UUID] = set()
        for number, (attachment, medium) in enumerate(zip(request.media, media, strict=True)):
            if attachment.readonly or self._blocked(medium):
                continue
            others = [keeper.machine.spec.media for keeper in self._keepers.values()]
            others += [reserved.media for reserved in self._reserved.values()]
            taken = any(one.mid == medium.mid and not one.readonly for media in others for one in media)
            if taken or medium.mid in writable:
                raise Refused(
                    Problem.MEDIUM_IN_USE,
                    f"medium {medium.mid} is attached writable already: attach it with `readonly`, or use another one",
                    field=f"media[{number}].mid",
                )
            writable.add(medium.mid)

    def _blocked(self, medium: Medium) -> bool:
        """Whether writing is blocked whatever the attachment says; an ISO is a CD-ROM or a read-only disk."""
        return medium.is_iso or self._library.readonly(medium)

    async def _prepare(self, machine: Machine) -> MachineSpec:
        """The specification of a start. Raises `Refused` when the host cannot have it now."""
        spec = machine.spec
        free = await self._hypervisor.memory_free(self._host)
        if spec.memory_mib > free:
            raise Refused(
                Problem.MEMORY_SHORT,
                f"VM {machine.vmid} needs {spec.memory_mib} MiB, the host has {free} MiB free now: stop another VM",
            )
        return MachineSpec(
            name=machine.name,
            cpus=spec.cpus,
            memory=spec.memory_mib,
            machine_type=spec.machine_type,
            firmware=spec.firmware,
            disks=tuple(self._disk(one.mid, one.mode, one.readonly) for one in spec.media),
            displays=tuple(DisplaySpec(one.name, one.width, one.height) for one in spec.displays),
            nics=tuple(self._nic(nic) for nic in spec.nics),
        )

    def _disk(self, mid: UUID, mode: str, readonly: bool) -> DiskSpec:
        try:
            medium = self._library.get(mid)
        except Refused as refusal:
            raise Refused(Problem.HYPERVISOR, refusal.message) from None
        return DiskSpec(
            media=MediaRef(medium.mpid, mid, medium.format),
            bus=Bus(mode),
            readonly=readonly or self._blocked(medium),
            cdrom=medium.is_iso and mode != MediaMode.BLOCK.value,
        )

    def _nic(self, nic: Nic) -> NicSpec:
        if nic.type == NicType.NAT.value:
            return NatSpec()
        if not isinstance(nic.host, int) or nic.host not in self._nics:
            raise Refused(
                Problem.HYPERVISOR, f"host NIC {nic.host} is no longer declared: declare it in the settings again"
            )
        return BridgeSpec(self._nics[nic.host])

    def _add(self, keeper: Keeper) -> None:
        machine = keeper.machine
        self._keepers[machine.vmid] = keeper
        self._by_uuid[machine.uuid] = keeper
        self._by_group.setdefault(machine.gid, {})[machine.vmid] = keeper

    def _remove(self, keeper: Keeper) -> None:
        machine = keeper.machine
        del self._keepers[machine.vmid]
        del self._by_uuid[machine.uuid]
        del self._by_group[machine.gid][machine.vmid]
