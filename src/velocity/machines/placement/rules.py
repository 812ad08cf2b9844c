"""Chooses the host for a VM: the best of those that can have it. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from velocity.contract.machines import NicType
from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.attached import Duty
from velocity.hypervisor.port import HostFacts, HostId
from velocity.machines.rules import CPU_WORDS, Spec

NAMED = 10
"""Hosts that a refusal describes; of more, only the number is given."""


@dataclass(frozen=True)
class Candidate:
    """A host at this moment. `given`: memory given to its VMs, running or not, in MiB.

    `lost`: how it was lost, until that is over, whether it responds again or not; empty: it was not.

    `free`: memory that is free there, in MiB; None: nobody has asked. It counts for what starts at once.
    """

    host: HostId
    name: str
    duty: Duty
    answers: bool
    facts: HostFacts
    given: int
    nics: Collection[int] = ()
    pools: Collection[int] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    free: int | None = None
    lost: str = ""

    @property
    def left(self) -> int:
        """Memory not given to any VM, in MiB."""
        return self.facts.memory - self.given


@dataclass(frozen=True)
class Neighbours:
    """How many VMs each host has that the VM should be `apart` from, and `together` with."""

    apart: Mapping[HostId, int] = field(default_factory=dict)
    together: Mapping[HostId, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Wanted:
    """What a VM needs of its host. `pools`: the pools of its media, each with the name of one medium.

    `host`: the requested host's id. `stays`: the host to prefer, as its disks are there. `kept`: it keeps machine type,
    firmware and hardware. `told`: the caller may see hosts, so messages name them. `starts`: it starts at once, so that
    free memory counts, not given memory.
    """

    spec: Spec
    pools: Mapping[int, str] = field(default_factory=dict)
    host: int | None = None
    stays: HostId | None = None
    kept: bool = False
    beside: Neighbours = Neighbours()
    told: bool = True
    starts: bool = False


@dataclass(frozen=True)
class Placed:
    """The chosen host, and the reason in words; empty if there was no choice."""

    host: HostId
    why: str = ""


def place(hosts: Sequence[Candidate], wanted: Wanted) -> Placed:
    """The best of the hosts that can run it. Raises `Refused` with what each of them lacks.

    A single host is not checked here, as others refuse what it lacks.
    """
    if wanted.host is not None:
        return _as_wanted(hosts, wanted, wanted.host)
    if len(hosts) == 1 and not wanted.starts:
        return Placed(hosts[0].host)
    lacking = {one.host: lacks(one, wanted) for one in hosts}
    fit = [one for one in hosts if not lacking[one.host]]
    if not fit:
        why = _each(hosts, lacking) if wanted.told else "ask an administrator of the hosts"
        raise Refused(Problem.NO_HOST, f"no host can have it: {why}")
    best = min(fit, key=lambda one: _rank(one, wanted))
    return Placed(best.host, _why(best, fit, wanted))


def _rank(one: Candidate, wanted: Wanted) -> tuple[bool, int, int, float, int]:
    """The lowest rank is the best."""
    left, beside = one.left / max(1, one.facts.memory), wanted.beside
    return one.host != wanted.stays, -beside.together.get(one.host, 0), beside.apart.get(one.host, 0), -left, one.host


def _as_wanted(hosts: Sequence[Candidate], wanted: Wanted, host: int) -> Placed:
    one = next((one for one in hosts if one.host == host), None)
    if one is None:
        named = ", ".join(f"{one.host} ({one.name})" for one in hosts[:NAMED])
        there = f"there is {named}" if wanted.told else "leave it out"
        raise Refused(Problem.NO_HOST, f"there is no host {host}: {there}", field="host")
    if len(hosts) > 1 and (why := cannot(one, wanted)):
        if not wanted.told:
            raise Refused(Problem.NO_HOST, f"host {host} cannot have it: leave it out", field="host")
        raise Refused(Problem.NO_HOST, f"host {one.name!r} cannot have it: {why}; choose another one", field="host")
    return Placed(one.host, "it was asked for")


def lacks(one: Candidate, wanted: Wanted) -> str:
    """Why a host cannot have it; empty if it can."""
    why, needs = cannot(one, wanted), wanted.spec.memory_mib
    if not why and wanted.starts and one.free is not None and needs > one.free:
        return f"it has {one.free} MiB of memory free, and this one needs {needs}"
    if why or wanted.starts or needs <= one.left:
        return why
    return (
        f"its VMs have been given {one.given} of its {one.facts.memory} MiB, and this one needs {needs} (to place it "
        "there anyway, name the host)"
    )


def cannot(one: Candidate, wanted: Wanted) -> str:
    """Why a host cannot run it, regardless of memory given to other VMs; empty if it can."""
    spec, facts = wanted.spec, one.facts
    if why := _takes_none(one):
        return why
    if lacking := [label for label in spec.host_labels if not _has(one, label)]:
        return f"it does not have the label {lacking[0]!r}"
    if missing := next((name for mpid, name in wanted.pools.items() if mpid not in one.pools), None):
        return f"the pool of {missing} is not there"
    bridged = [nic.host for nic in spec.nics if nic.type == NicType.BRIDGE.value and isinstance(nic.host, int)]
    if missing_nic := next((nic for nic in bridged if nic not in one.nics), None):
        return f"host NIC {missing_nic} is not there"
    if not facts.max_cpus:
        return "it has not reported yet what it offers VMs: try again in a moment"
    if max(spec.cpus, spec.max_cpus) > facts.max_cpus:
        return f"a VM there can have {facts.max_cpus} CPUs at most"
    if max(spec.memory_mib, spec.max_memory_mib) > facts.memory:
        return f"it has {facts.memory} MiB of memory in all"
    if spec.cpu not in CPU_WORDS and facts.cpu_models.get(spec.cpu) != "":
        return f"it does not support the CPU model {spec.cpu!r}"
    if wanted.kept and not (_knows(facts, spec.machine_type) and spec.firmware == facts.firmware):
        return "it has another QEMU, or other firmware"
    if wanted.kept and spec.hardware not in [profile.name for profile in facts.hardware]:
        return f"it does not know hardware {spec.hardware}"
    return ""


def _takes_none(one: Candidate) -> str:
    """Why no VM can come to it at all; empty if one can."""
    if one.duty is not Duty.ACTIVE:
        return f"it is {'in maintenance' if one.duty is Duty.MAINTENANCE else 'being drained'}, and takes no VMs"
    if not one.answers:
        return "it does not respond"
    return f"it {one.lost}, and has not been taken back yet" if one.lost else ""


def _knows(facts: HostFacts, machine_type: str) -> bool:
    """Whether its QEMU has the machine type: its newest, or an older one of the same kind, such as `pc-q35-7.2`."""
    newest, asked = (one.rpartition("-") for one in (facts.machine_type, machine_type))
    if machine_type == facts.machine_type or newest[0] != asked[0]:
        return machine_type == facts.machine_type
    versions = [_version(one[2]) for one in (asked, newest)]
    return bool(versions[0]) and versions[0] <= versions[1]


def _version(words: str) -> tuple[int, ...]:
    """The first version number in the text; empty if there is none."""
    found = re.search(r"\d+(?:\.\d+)+", words)
    return tuple(map(int, found[0].split("."))) if found else ()


def cannot_live(spec: Spec, source: HostFacts, target: HostFacts, *, nat: bool) -> str:
    """Why a running VM cannot continue unchanged on the target; empty if it can.

    `nat`: whether it has addresses in the source's networks.
    """
    if source.accelerator != target.accelerator:
        return f"it runs guests by {target.accelerator}, and the VM runs by {source.accelerator}"
    if source.accelerator == "kvm" and spec.cpu in CPU_WORDS:
        return (
            f"its CPU may differ, and the guest has that of its host (cpu is {spec.cpu!r}): set `cpu` to a "
            "model that both hosts support, and start the VM again"
        )
    if _version(target.hypervisor) < _version(source.hypervisor):
        return f"its {target.hypervisor} is older than {source.hypervisor}, on which the VM runs"
    if nat and source.nat_networks != target.nat_networks:
        return "its NAT networks differ, and the guest would keep its present addresses (nat_subnet)"
    return ""


def _has(one: Candidate, label: str) -> bool:
    """Whether the labels contain `name=value`, or the name with any value."""
    name, given, value = label.partition("=")
    return name in one.labels and (not given or one.labels[name] == value)


def _each(hosts: Sequence[Candidate], lacking: Mapping[HostId, str]) -> str:
    said = "; ".join(f"{one.name!r}: {lacking[one.host]}" for one in hosts[:NAMED])
    return said if len(hosts) <= NAMED else f"{said}; and {len(hosts) - NAMED} more"


def _why(best: Candidate, fit: Sequence[Candidate], wanted: Wanted) -> str:
    if best.host == wanted.stays:
        return "its disks are there"
    if len(fit) == 1:
        return "it is the only host that can have it"
    beside, spec = wanted.beside, wanted.spec
    if (there := beside.together.get(best.host, 0)) and any(beside.together.get(one.host, 0) < there for one in fit):
        return f"of {len(fit)} hosts that can have it, it has the most VMs with `together` {spec.together!r}"
    fewest = min(beside.apart.get(one.host, 0) for one in fit)
    if any(beside.apart.get(one.host, 0) > fewest for one in fit):
        return f"of {len(fit)} hosts that can have it, it has the fewest VMs with `spread` {spec.spread!r}"
    said = f"of {len(fit)} hosts that can have it, most of its memory is left"
    return f"{said}: {best.left} of {best.facts.memory} MiB" if wanted.told else said
