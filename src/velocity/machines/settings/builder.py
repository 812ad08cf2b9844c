"""Builds from a stored VM its claims, its warnings, and the specification for the hypervisor."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from msgspec import UNSET, structs

from velocity.access.directory import Directory
from velocity.access.naming import is_for_everybody, visible_name
from velocity.contract.machines import Attachment, Interface, MediaMode, Nic, NicType
from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem, Refused
from velocity.contract.vm_settings import Forward
from velocity.hypervisor.port import (
    SECTOR,
    BridgeSpec,
    Bus,
    Cache,
    DiskSpec,
    DisplaySpec,
    Hosts,
    Input,
    MachineSpec,
    NatSpec,
    NicSpec,
    Unknown,
)
from velocity.machines import rules
from velocity.machines.placement.host_memory import HostMemory
from velocity.machines.placement.reach import Reach
from velocity.machines.rules import Machine, Spec
from velocity.machines.settings import boot, cloud_init, disks, forwards, interfaces
from velocity.machines.settings.claims import Claim
from velocity.machines.settings.writers import Writers, attached_by
from velocity.media.library import Library
from velocity.media.sources import Sources
from velocity.media.states import PoolStates


@dataclass(frozen=True)
class Asked:
    """The specification requested of a run, and the attachments of its disks.

    `lacks`: why other attachments are missing; empty: none is. `away`: the pool of one does not answer now.
    """

    spec: MachineSpec
    media: list[Attachment]
    lacks: str
    away: bool = False


class Builder:
    """Builds what the claims and the hypervisor need of a VM, from memory but for what only its host knows."""

    def __init__(
        self,
        directory: Directory,
        library: Library,
        writers: Writers,
        states: PoolStates,
        sources: Sources,
        hosts: Hosts,
        memory: HostMemory,
        reach: Reach,
    ) -> None:
        self._directory = directory
        self._library = library
        self.writers = writers
        self._states = states
        self._sources = sources
        self.begin_writing = sources.begin_writing
        self._hosts = hosts
        self.memory = memory
        self.reach = reach

    def vm_called(self, machine: Machine) -> str:
        """What a refusal of the present request calls it."""
        return "the VM" if is_for_everybody() else visible_name(self._directory, "VM", machine.name, machine.gid)

    def is_iso(self, mid: UUID) -> bool:
        medium = self._library.find(mid)
        return medium is not None and medium.is_iso

    def check_disks(self, spec: Spec) -> None:
        """Raises `Refused` unless its writable media are available."""
        for one in spec.media:
            if not one.readonly:
                self._library.known(one.mid)

    def disks(self, machine: Machine) -> list[UUID]:
        """Its disks: the media of its own group that it writes to."""
        return [mid for mid in self.written(machine.spec) if self._library.get(mid).gid == machine.gid]

    def written(self, spec: Spec) -> list[UUID]:
        """The media that are attached writable, and are not read-only themselves."""
        return [one.mid for one in spec.media if not one.readonly and not self.writers.never(one.mid)]

    def claim(self, machine: Machine, run: Spec | None) -> Claim:
        """The claim of a VM, by its settings and its run. Never refuses, as stored VMs must load."""
        specs = [machine.spec, run] if run else [machine.spec]
        media: set[UUID] = set()
        writable: dict[UUID, int] = {}
        makers: dict[UUID, int | None] = {}
        macs: list[str] = []
        places: list[int] = []
        ports: list[Forward] = []
        for spec in specs:
            for number, attachment in enumerate(rules.media_of(spec)):
                media.add(attachment.mid)
                if not attachment.readonly and not self.writers.never(attachment.mid):
                    writable.setdefault(attachment.mid, number)
                    makers.setdefault(attachment.mid, attached_by(spec, attachment.mid))
            macs += [one.mac for one in spec.interfaces]
            places += spec.nat_places.values()
            ports += spec.forwards
        for coming in [spec.coming for spec in specs if spec.coming is not UNSET]:
            macs += coming.macs
            places += coming.places
            ports += coming.forwards
        return Claim(
            line=self._directory.line(machine.gid),
            name=machine.name,
            amount=rules.amount(specs),
            media=frozenset(media),
            writable=writable,
            attached_by=makers,
            macs=tuple(dict.fromkeys(macs)),
            places=frozenset(places),
            host=machine.host,
            forwards=tuple(dict.fromkeys(ports)),
            spread=machine.spec.spread,
            together=machine.spec.together,
        )

    def may_write(self, claim: Claim, mid: UUID) -> bool:
        """Whether the holder of this claim would write to the medium if started now."""
        return self.writers.may(claim.line[0], mid, claim.attached_by[mid])

    def warnings(self, machine: Machine, run: Spec | None) -> list[str]:
        """Warnings about media that are attached writable, but that the VM does not write to now, or after its next
        start.
        """
        lost = [
            f"{self.called(mid)} is read-only from the next start on: whoever attached it writable no longer holds "
            f"{Permission.MEDIA_WRITE.value} on its group; somebody who does may attach it again"
            for mid in self.writers.lost(machine)
        ]
        if run is None or not isinstance(run.writes, list):
            return lost
        return lost + [
            f"{self.called(one.mid)} is read-only until the next start: the right to write to it was missing when the "
            "VM was started"
            for one in self.writers.written_by(machine.gid, run)
            if one.mid not in run.writes
        ]

    async def prepare(self, machine: Machine) -> MachineSpec:
        """The specification for a start. Raises `Refused` if the host cannot run it now."""
        spec = machine.spec
        self.reach.check_start(machine)
        try:
            free = await self.memory.free(machine.host, machine.uuid)
        except Unknown as error:
            hosts, host = self.reach.hosts, machine.host
            words = f"{hosts.silence(host) or error}: nothing was started; {hosts.remedy(host) or 'try again later'}"
            raise Refused(Problem.HYPERVISOR, words) from None
        if spec.memory_mib > free:
            left = f"{free} MiB" if self.reach.hosts.named() else "less"
            raise Refused(
                Problem.MEMORY_SHORT,
                f"{self.vm_called(machine)} needs {spec.memory_mib} MiB of memory, and the host has {left} free: "
                "stop another VM",
            )
        pools: dict[int, bool] = {}
        for disk in self._disks(machine):
            pools[disk.media.pool] = pools.get(disk.media.pool, False) or not disk.readonly
        for mpid, writes in pools.items():
            await self._states.check(mpid, writes=writes)
        disks = self._disks(machine)
        for disk in disks:  # in the step in which the start begins: see `Keeper.starting`
            may_write = None if self.writers.never(disk.media.medium) else not disk.readonly
            self._sources.check_startable(disk.media.medium, machine.vmid, writes=may_write)
        return self._spec(machine, disks)

    async def asked(self, machine: Machine, run: Spec) -> Asked:
        """The specification to which a run is changed. What it has stays; new media must be free, as for a start."""
        has = {(one.mid, one.mode, one.readonly) for one in run.media}
        media, asked, lacks, away = [], [], [], False
        for one, disk in zip(machine.spec.media, self._disks(machine), strict=True):
            if run.writes is not UNSET and (one.mid, one.mode, one.readonly) in has:
                disk = structs.replace(disk, readonly=disk.media.medium not in run.writes)
            elif (one.mid, one.mode, one.readonly) not in has:
                try:
                    await self._states.check(disk.media.pool, writes=not disk.readonly)
                    if not self.writers.never(one.mid):
                        self._sources.check_startable(one.mid, machine.vmid, writes=not disk.readonly)
                except Refused as refused:
                    lacks.append(refused.message)
                    away |= refused.problem is Problem.POOL_AWAY
                    continue
            media.append(one)
            asked.append(disk)
        spec = structs.replace(self._spec(machine, tuple(asked)), first=boot.first(machine.spec, run.begun))
        return Asked(spec, media, "; ".join(lacks), away)

    def _spec(self, machine: Machine, disks: tuple[DiskSpec, ...]) -> MachineSpec:
        spec = machine.spec
        return MachineSpec(
            name=machine.name,
            cpus=spec.cpus,
            memory=spec.memory_mib,
            machine_type=spec.machine_type,
            firmware=spec.firmware,
            hardware=spec.hardware,
            balloon=spec.balloon,
            input=Input(spec.input),
            cpu=spec.cpu,
            max_cpus=spec.max_cpus,
            max_memory=spec.max_memory_mib,
            disks=disks,
            drives=tuple(Bus(one.mode) for one in spec.drives),
            displays=tuple(DisplaySpec(one.name, one.width, one.height) for one in spec.displays),
            nics=tuple(self._nic(machine, nic, one) for nic, one in interfaces.pairs(spec)),
            seed=cloud_init.seed(machine),
        )

    def _disks(self, machine: Machine) -> tuple[DiskSpec, ...]:
        """The disks; writable only if the VM may write to the medium at this moment."""
        return tuple(self._disk(machine, one) for one in machine.spec.media)

    def _disk(self, machine: Machine, attachment: Attachment) -> DiskSpec:
        mid, mode = attachment.mid, attachment.mode
        try:
            medium = self._library.get(mid)
        except Refused as refusal:
            raise Refused(Problem.HYPERVISOR, refusal.message) from None
        cdrom = medium.is_iso and mode != MediaMode.BLOCK.value
        return DiskSpec(
            media=medium.ref,
            bus=Bus(mode),
            readonly=attachment.readonly or not self.writers.writes(machine.gid, machine.spec, mid),
            cdrom=cdrom,
            cache=Cache.WRITEBACK if attachment.cache is UNSET else Cache(attachment.cache),
            limits=disks.limits_of(attachment),
            detect_zeroes=attachment.detect_zeroes is True,
            sector_size=SECTOR if cdrom else disks.sector_size(attachment),  # for a CD-ROM, it is fixed
            boot=boot.place(attachment),
        )

    def limited_at_once(self, spec: Spec, run: Spec | None) -> list[str]:
        """The plan's text about limits that are set while the VM runs."""
        names = [self.called(run.media[place].mid) for place in disks.limits_to_set(spec, run)] if run else []
        return [f"the I/O limits of {name} change at once, while the VM runs" for name in names]

    def _nic(self, machine: Machine, nic: Nic, one: Interface) -> NicSpec:
        spec, nics = machine.spec, self.reach.nics(machine.host)
        if nic.type == NicType.NAT.value:
            facts = self._hosts.about(machine.host)
            if facts.nat_lacking and rules.wants_bridge(spec, facts):
                raise Refused(Problem.HYPERVISOR, facts.nat_lacking)
            place = spec.nat_places.get(one.id, 0) if rules.on_bridge(spec, facts) else 0
            lead = tuple(map(forwards.asked, spec.forwards)) if one.id == forwards.first_nat(spec) else ()
            up = nic.link != "down"
            return NatSpec(nic=one.id, mac=one.mac, place=place, up=up, boot=boot.place(nic), forwards=lead)
        if not isinstance(nic.host, int) or nic.host not in nics:
            raise Refused(
                Problem.HYPERVISOR, f"host NIC {nic.host} is no longer declared: add it to the settings again"
            )
        return BridgeSpec(
            nic=one.id,
            mac=one.mac,
            identifier=nics[nic.host],
            trusted=nic.trusted is True,
            up=nic.link != "down",
            boot=boot.place(nic),
        )

    def called(self, mid: UUID) -> str:
        """A medium's name, if the caller may view it."""
        medium = self._library.find(mid)
        return f"medium {mid}" if medium is None else self._library.visible_name(medium)
