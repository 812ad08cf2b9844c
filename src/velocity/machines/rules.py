"""The decisions about machines: pure functions of immutable values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import UUID, uuid5

from msgspec import UNSET, Struct, UnsetType, field, structs

from velocity.access.rules import Amount
from velocity.contract import settings
from velocity.contract.machines import (
    AlterVm,
    Attachment,
    Display,
    Interface,
    MediaMode,
    NextBoot,
    NicType,
    Reason,
    State,
    VmSettings,
)
from velocity.contract.problems import Problem, Refused
from velocity.contract.revision import revision
from velocity.contract.vm_settings import Forward
from velocity.hypervisor.attached import FIRST_HOST
from velocity.hypervisor.port import (
    FIRST_HARDWARE,
    HostFacts,
    HostId,
    MachineSpec,
    NatSpec,
)


class Coming(Struct, frozen=True):
    """What a run may also have while a change of it is under way."""

    media: list[Attachment] = []
    writes: list[UUID] = []
    macs: list[str] = []
    places: list[int] = []
    forwards: list[Forward] = []
    cpus: int = 0
    memory_mib: int = 0


@settings.with_settings(VmSettings, settings.Form.KEPT)
class Spec(VmSettings, frozen=True, kw_only=True):
    """What a machine consists of, as stored. Machine type, firmware build and hardware stay until they are changed.

    `attached_by`: who attached a medium of another group writable (see `Writers`); absent: nobody was checked yet.
    `interfaces`: of each NIC, in the order of `nics`. `last_nic`: the highest id that one of its NICs ever had.
    `nat_places`: the places of its NAT NICs in a host's networks, by id; for a run, those that it was given.
    `instance_id`: its id for cloud-init; empty: cloud-init is not set.

    Of a run only: `writes`: the media that it was given to write to; absent: an older version started it. `plugged`:
    BLOCK disks attached while it runs. `coming`: see there; absent: no change is under way. `mirrored`: disks that may
    be being copied. `begun`: what its start did once. `began_mib`: its memory at the start; `began_at`: when
    the start was requested, in Unix seconds; 0 each: unknown.
    """

    machine_type: str
    firmware: str
    hardware: str = FIRST_HARDWARE
    attached_by: dict[UUID, int] | UnsetType = UNSET
    writes: list[UUID] | UnsetType = UNSET
    plugged: tuple[UUID, ...] = ()
    coming: Coming | UnsetType = UNSET
    mirrored: tuple[UUID, ...] = ()
    interfaces: tuple[Interface, ...] = ()
    last_nic: int = 0
    nat_places: dict[int, int] = field(default_factory=dict)
    instance_id: str = ""
    begun: NextBoot | UnsetType = UNSET
    began_mib: int = 0
    began_at: int = 0


@dataclass(frozen=True)
class Machine:
    """A machine as stored. `uuid` is its id for the hypervisor, `vmid` for users; `host` is where it is.

    `created`, in Unix seconds; None: an older version created it.
    """

    vmid: int
    uuid: UUID
    gid: int
    name: str
    spec: Spec
    host: HostId = FIRST_HOST
    created: int | None = None

    @cached_property
    def revision(self) -> str:
        return revision(self.name, self.spec)


@dataclass(frozen=True)
class RunRecord:
    """What is stored of a machine's life: the last run's epoch, what was last requested, and the reason for its state.

    `run` is the present run's specification; None: it does not run. `forced`: STOPPED was requested with force.
    `restarts`: it is to be started again after it has stopped. `boots`: see `NextBoot`.
    """

    epoch: int = 0
    wanted: State = State.STOPPED
    reason: Reason | None = None
    stopping_since: int | None = None
    run: Spec | None = None
    forced: bool = False
    restarts: bool = False
    boots: NextBoot | None = None
    frozen_until: int | None = None  # when its guest's file systems are thawed

    @property
    def requested(self) -> State:
        """The state that was last requested; for a restart the one at its end."""
        return State.RUNNING if self.restarts else self.wanted


class Unreadable(Struct, frozen=True):
    """A stored VM that this version cannot read; `why` is for the log."""

    vmid: int
    uuid: str
    gid: int
    name: str
    why: str


CALL_DEADLINE = 10.0
"""Deadline in seconds of calls to a host that do not start a machine."""
START_DEADLINE = 60.0
"""Deadline in seconds of calls to a host that start a machine."""

WAITING = tuple(settings.waiting(VmSettings))
"""The settings that cannot change while a machine runs."""

PINNED = {"machine_type": "latest", "firmware": "host", "hardware": "latest"}
"""What a machine keeps from its host, and the word that asks for the host's present value."""


def waiting(spec: Spec, run: Spec | None) -> list[str]:
    """The fields whose change takes effect at the next start."""
    names = (*WAITING, *PINNED)
    return [] if run is None else [name for name in names if _differs(spec, run, name)]


def _differs(spec: Spec, run: Spec, name: str) -> bool:
    """Whether they differ. A superfluous drive is removed at the next start, and does not count."""
    if name == "drives":
        return bool(Counter(spec.drives) - Counter(run.drives))
    return _effective(spec, name) != _effective(run, name)


def _effective(spec: Spec, name: str) -> object:
    """A setting as the guest sees it; the order and naming of NICs do not count."""
    if name == "cloud_init":
        return spec.cloud_init, spec.instance_id
    if name != "nics":
        return frozenset(spec.forwards) if name == "forwards" else getattr(spec, name)
    told = [
        (one.id, one.mac, nic.type, nic.host, nic.trusted is True, nic.link == "down", nic.boot)
        for nic, one in zip(spec.nics, spec.interfaces, strict=True)
    ]
    return sorted(told, key=lambda one: one[0])


def wants_bridge(spec: Spec, facts: HostFacts) -> bool:
    """Whether its NAT NICs use a bridge of the host, if there is one."""
    return any(one.nat_bridge for one in facts.hardware if one.name == spec.hardware)


def on_bridge(spec: Spec, facts: HostFacts) -> bool:
    """Whether its NAT NICs would be on a bridge if it were started now."""
    return wants_bridge(spec, facts) and bool(facts.nat_networks)


def run_of(spec: Spec, started: MachineSpec, at: int) -> Spec:
    """The stored specification of a run that begins with this one."""
    return structs.replace(
        spec,
        writes=sorted(disk.media.medium for disk in started.disks if not disk.readonly),
        nat_places={nic.nic: nic.place for nic in started.nics if isinstance(nic, NatSpec) and nic.place},
        began_mib=started.memory,
        began_at=at,
    )


def coming(spec: Spec, run: Spec, asked: MachineSpec) -> Coming:
    """What a run may have after this change is requested, including what an earlier change may have added."""
    before = Coming() if run.coming is UNSET else run.coming
    writes = {disk.media.medium for disk in asked.disks if not disk.readonly}
    return Coming(
        media=[*before.media, *spec.media],
        writes=sorted({*before.writes, *writes}),
        macs=sorted({*before.macs, *(nic.mac for nic in asked.nics)}),
        places=sorted({*before.places, *spec.nat_places.values()}),
        forwards=[*before.forwards, *spec.forwards],
        cpus=max(before.cpus, asked.cpus),
        memory_mib=max(before.memory_mib, asked.memory),
    )


def written_by(run: Spec) -> frozenset[UUID] | None:
    """The media that a run may write to; None: unknown."""
    if run.writes is UNSET:
        return None
    return frozenset([*run.writes, *(() if run.coming is UNSET else run.coming.writes)])


def media_of(spec: Spec) -> list[Attachment]:
    """The attachments that a run has or may have."""
    return spec.media if spec.coming is UNSET else [*spec.media, *spec.coming.media]


def changes(old: Machine, new: Machine) -> dict[str, tuple[object, object] | None]:
    """Field -> its old and new value; for secrets only whether it changes."""
    names = (*VmSettings.__struct_fields__, *PINNED)
    told: dict[str, tuple[object, object] | None] = {
        "name": (old.name, new.name),
        **{name: (getattr(old.spec, name), getattr(new.spec, name)) for name in (*names, "interfaces")},
    }
    same = _effective(old.spec, "cloud_init") == _effective(new.spec, "cloud_init")
    return told | {"cloud_init": (None, None) if same else None}


def newest(facts: HostFacts) -> dict[str, Any]:
    """What a new machine keeps from its host."""
    return {"machine_type": facts.machine_type, "firmware": facts.firmware, "hardware": facts.hardware[-1].name}


def taken_from_host(spec: Spec, request: AlterVm, facts: HostFacts) -> dict[str, str]:
    """The host's values that the request asks for. Raises `Refused`."""
    taken = {}
    profiles = [one.name for one in facts.hardware]
    for name, word in PINNED.items():
        asked = getattr(request, name)
        if asked == word:
            taken[name] = newest(facts)[name]
        elif name == "hardware" and asked in profiles:
            taken[name] = asked
        elif asked is not UNSET and asked != getattr(spec, name):
            others = f", to one of {', '.join(profiles)}" if name == "hardware" else ""
            raise Refused(
                Problem.NOT_OF_THIS_HOST,
                f"{name} is {asked!r}: set it to {word!r}, to use what this host has now{others}, or leave it out",
                field=name,
            )
    return taken


def noticed(old: Spec, new: Spec, facts: HostFacts) -> list[str]:
    """What the guest notices of new hardware, in a sentence."""
    names = [one.name for one in facts.hardware]
    if old.hardware == new.hardware:
        return []
    if old.hardware not in names:
        return [f"with hardware {new.hardware}, the guest may find its devices at other places"]
    before, after = names.index(old.hardware), names.index(new.hardware)
    between = "; ".join(one.notices for one in facts.hardware[min(before, after) + 1 : max(before, after) + 1])
    verb = "finds" if before < after else "no longer finds"
    return [f"with hardware {new.hardware}, the guest {verb}: {between}"]


def move_task(machine: UUID, host: HostId) -> UUID:
    """Identifies the task that moves a VM to that host."""
    return uuid5(machine, f"host {host}")


def amount(specs: Sequence[Spec]) -> Amount:
    """What a machine takes of quotas: the maximum of its settings, its run, and what the run may have by now."""
    every: list[Spec | Coming] = [*specs, *(one.coming for one in specs if one.coming is not UNSET)]
    return Amount(max([one.cpus for one in every]), max([one.memory_mib for one in every]), vms=1)


CPU_WORDS = ("best", "host")
"""CPU settings that are not the name of a model."""


def check_host(request: Spec, has: Spec | None, facts: HostFacts) -> None:
    """Refuse what a VM can never have on this host (contract, route 12); its present CPU model is accepted."""
    if request.cpu not in CPU_WORDS and (has is None or request.cpu != has.cpu):
        _check_cpu_model(request.cpu, facts)
    if not 1 <= request.cpus <= facts.max_cpus:
        raise Refused(
            Problem.CPU_LIMIT, f"cpus is {request.cpus}: a VM on this host can have 1 to {facts.max_cpus}", field="cpus"
        )
    if not 1 <= request.memory_mib <= facts.memory:
        raise Refused(
            Problem.MEMORY_LIMIT,
            f"memory_mib is {request.memory_mib}: a VM on this host can have 1 to {facts.memory} MiB",
            field="memory_mib",
        )


def check_maxima(request: Spec, facts: HostFacts) -> None:
    """Refuse a maximum below what the VM has, or above what this host has."""
    for problem, name, has, most in (
        (Problem.CPU_LIMIT, "max_cpus", request.cpus, facts.max_cpus),
        (Problem.MEMORY_LIMIT, "max_memory_mib", request.memory_mib, facts.memory),
    ):
        asked = getattr(request, name)
        if asked and not has <= asked <= most:
            raise Refused(
                problem,
                f"{name} is {asked}: this VM can have {has} to {most} here, or 0 for no more than at its start",
                field=name,
            )


def _check_cpu_model(name: str, facts: HostFacts) -> None:
    lacks = facts.cpu_models.get(name)
    if lacks == "":
        return
    why = "QEMU here has no such model" if lacks is None else f"this host lacks {lacks} of it"
    given = ", ".join((*CPU_WORDS, *(one for one, lacking in facts.cpu_models.items() if not lacking)))
    raise Refused(Problem.NOT_OF_THIS_HOST, f"cpu is {name!r}: {why}; use one of {given}", field="cpu")


def check_words(request: Spec) -> None:
    """Refuse unknown media modes and NIC types, and BRIDGE without a host NIC."""
    for number, attachment in enumerate(request.media):
        if attachment.mode not in MediaMode.__members__:
            raise Refused(
                Problem.MEDIA_MODE,
                f"media mode {attachment.mode!r} does not exist: use {_or(MediaMode)}",
                field=f"media[{number}].mode",
            )
    for number, nic in enumerate(request.nics):
        if nic.type not in NicType.__members__:
            raise Refused(
                Problem.NIC_TYPE,
                f"NIC type {nic.type!r} does not exist: use {_or(NicType)}",
                field=f"nics[{number}].type",
            )
        if nic.type == NicType.BRIDGE.value and not isinstance(nic.host, int):
            raise Refused(
                Problem.BRIDGE_WITHOUT_HOST,
                "a BRIDGE NIC needs `host`, the id of a host NIC (`velocity nic list`, POST /v/nic/list, lists them)",
                field=f"nics[{number}].host",
            )


def check_display_names(displays: Sequence[Display]) -> None:
    names = [display.name for display in displays]
    for number, name in enumerate(names):
        if name in names[:number]:
            raise Refused(
                Problem.DISPLAY_NAME_TAKEN,
                f"two displays have the name {name!r}: give each its own name",
                field=f"displays[{number}].name",
            )


def _or(words: type[MediaMode] | type[NicType]) -> str:
    names = list(words.__members__)
    return f"{', '.join(names[:-1])} or {names[-1]}"
