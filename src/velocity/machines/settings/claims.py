"""What VMs have claimed: names, shares of quotas, and the right to write to media.

Claims are made before anything is stored, and released on every way out, so that nobody gets what another VM has.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from msgspec import Struct

from velocity.access import rules
from velocity.access.bounds import BOUNDS
from velocity.access.directory import Directory
from velocity.access.naming import visible_name
from velocity.access.rules import LIMITED, NOTHING, Amount
from velocity.contract.problems import Problem, Refused
from velocity.contract.vm_settings import Forward, VmSettings
from velocity.hypervisor.attached import FIRST_HOST
from velocity.hypervisor.port import HostId
from velocity.machines.placement.rules import Neighbours
from velocity.machines.settings.forwards import TakenPorts, words
from velocity.media.attachments import AttachedVm, Attachments

OF_LIMIT = {"cpus": Problem.CPU_LIMIT, "memory_mib": Problem.MEMORY_LIMIT, "vms": Problem.VM_QUOTA}


class Claim(Struct, frozen=True):
    """What one VM has claimed. `line` is its group and all ancestors.

    `writable` are the media that it may write to if pools and permissions allow, with their indexes in its list;
    `attached_by` is who attached them, see `Writers`. `macs` are those of its NICs in order, then those of its run;
    `forwards` likewise. `places` are its places in NAT's networks. `host` is its host; `spread` and `together` are its
    placement groups.
    """

    line: Sequence[int]
    name: str
    amount: Amount
    media: frozenset[UUID]
    writable: Mapping[UUID, int]
    attached_by: Mapping[UUID, int | None]
    macs: Sequence[str] = ()
    places: frozenset[int] = frozenset()
    host: HostId = FIRST_HOST
    forwards: Sequence[Forward] = ()
    spread: str = ""
    together: str = ""

    @property
    def key(self) -> tuple[int, str]:
        return self.line[0], self.name

    @property
    def beside(self) -> list[tuple[str, int, str]]:
        """What it is to be apart of, and together with: by setting, group and word."""
        found = ("spread", self.line[0], self.spread), ("together", self.line[0], self.together)
        return [one for one in found if one[2]]


class Claims:
    """The claims of all VMs, by uuid."""

    def __init__(
        self,
        directory: Directory,
        attachments: Attachments,
        holder: Callable[[UUID, Claim, UUID], AttachedVm],
        may_write: Callable[[Claim, UUID], bool],
        most: int = BOUNDS.group_vms,
    ) -> None:
        """`holder` describes how a VM with this uuid and claim uses a medium now; `may_write` tells whether the holder
        of a claim would write to a medium if started now. A group may have `most` VMs.
        """
        self._directory = directory
        self._most = most
        self._counts: Counter[int] = Counter()
        self._quotas = directory.quotas
        self._attachments = attachments
        self._holder = holder
        self._may_write = may_write
        self._claims: dict[UUID, Claim] = {}
        self._names: dict[tuple[int, str], UUID] = {}
        self._writers: dict[UUID, set[UUID]] = {}
        self._macs: dict[str, set[UUID]] = {}
        """Earlier versions made MAC addresses that may have two holders."""
        self._places: Counter[int] = Counter()
        self._cpus: Counter[HostId] = Counter()
        self._memory: Counter[HostId] = Counter()
        """Memory given to the VMs of each host, in MiB."""
        self._coming: dict[UUID, HostId] = {}
        """The target hosts of moving VMs."""
        self._beside: dict[tuple[str, int, str], set[UUID]] = {}
        """By setting, group and word: the VMs that are to be apart, and those that are to be together."""
        self._ports = TakenPorts()
        self.last_place = 0
        """The highest place that was given."""

    def media(self, uuid: UUID) -> frozenset[UUID]:
        """The media that are attached to a VM, or about to be."""
        claim = self._claims.get(uuid)
        return claim.media if claim else frozenset()

    def writable(self, uuid: UUID) -> Collection[UUID]:
        """Those that are not attached read-only."""
        claim = self._claims.get(uuid)
        return claim.writable if claim else ()

    def uuids(self) -> list[UUID]:
        """All VMs, including those being created."""
        return list(self._claims)

    def put(self, uuid: UUID, claim: Claim) -> None:
        """Record an existing claim, without checks."""
        self.drop(uuid)
        self._claims[uuid] = claim
        self._counts[claim.line[0]] += 1
        self._names[claim.key] = uuid
        for mid in claim.writable:
            self._writers.setdefault(mid, set()).add(uuid)
        for beside in claim.beside:
            self._beside.setdefault(beside, set()).add(uuid)
        for mac in claim.macs:
            self._macs.setdefault(mac, set()).add(uuid)
        for place in claim.places:
            self._places[place] += 1
        self._cpus[claim.host] += claim.amount.cpus
        self._memory[claim.host] += claim.amount.memory_mib
        self.last_place = max([self.last_place, *claim.places])
        self._ports.put(uuid, claim.forwards)
        self._attachments.attach(uuid, claim.media, partial(self._holder, uuid, claim))
        self._quotas.count(claim.line, claim.amount)

    def given(self, host: HostId) -> Amount:
        """What was given to the VMs of a host, running or not."""
        return Amount(self._cpus[host], self._memory[host])

    @contextlib.contextmanager
    def coming(self, uuid: UUID, host: HostId, amount: Amount) -> Iterator[None]:
        """Within, a VM that moves to this host counts on both hosts."""
        self._cpus[host] += amount.cpus
        self._memory[host] += amount.memory_mib
        self._coming[uuid] = host
        try:
            yield
        finally:
            del self._coming[uuid]
            self._cpus[host] -= amount.cpus
            self._memory[host] -= amount.memory_mib

    def neighbours(self, gid: int, spec: VmSettings) -> Neighbours:
        """By host, how many VMs of the group a VM with these settings is to be apart from, or together with."""

        def hosts(*words: Any) -> Counter[HostId]:
            return Counter(self._coming.get(one, self._claims[one].host) for one in self._beside.get(words, ()))

        return Neighbours(hosts("spread", gid, spec.spread), hosts("together", gid, spec.together))

    def names(self) -> dict[tuple[int, str], UUID]:
        """The names that are taken, by group."""
        return dict(self._names)

    def drop(self, uuid: UUID) -> None:
        claim = self._claims.pop(uuid, None)
        if claim is None:
            return
        _count_down(self._counts, claim.line[0])
        del self._names[claim.key]
        for mid in claim.writable:
            self._writers[mid].discard(uuid)
            if not self._writers[mid]:
                del self._writers[mid]
        for beside in claim.beside:
            self._beside[beside].discard(uuid)
            if not self._beside[beside]:
                del self._beside[beside]
        for mac in claim.macs:
            self._macs[mac].discard(uuid)
            if not self._macs[mac]:
                del self._macs[mac]
        for place in claim.places:
            _count_down(self._places, place)
        self._cpus[claim.host] -= claim.amount.cpus
        self._memory[claim.host] -= claim.amount.memory_mib
        self._ports.drop(uuid, claim.forwards)
        self._attachments.detach(uuid, claim.media)
        self._quotas.count(claim.line, NOTHING - claim.amount)

    @contextlib.contextmanager
    def taken(self, uuid: UUID, claim: Claim) -> Iterator[None]:
        """Claim this instead of what the VM had; after a failure inside, it has its former claim."""
        before = self._claims.get(uuid)
        if (before is None or before.line[0] != claim.line[0]) and self._counts[claim.line[0]] >= self._most:
            raise Refused(
                Problem.VM_QUOTA,
                f"the group has {self._most} VMs, and no more are allowed (group_vms): create it in another group",
            )
        self._check_quotas(claim, before)
        self._check_name(uuid, claim)
        self._check_writers(uuid, claim)
        self._check_macs(claim, before.macs if before else ())
        if claim.forwards:
            self._check_ports(uuid, claim)
        self.put(uuid, claim)
        try:
            yield
        except BaseException:
            self.drop(uuid)
            if before is not None:
                self.put(uuid, before)
            raise

    def _check_quotas(self, claim: Claim, before: Claim | None) -> None:
        for gid in claim.line:
            more = claim.amount - (before.amount if before is not None and gid in before.line else NOTHING)
            limits, used = self._quotas.limits_of(gid), self._quotas.used_by(gid)
            for name in LIMITED:
                limit, rest = getattr(limits, name), getattr(more, name)
                left = None if limit is None else limit - getattr(used, name)
                if left is None or rest <= max(left, 0):
                    continue  # usage above a lowered limit may stay, but not grow
                raise Refused(
                    OF_LIMIT[name],
                    f"{rules.WORDS[name]}: the quota of {self._directory.whose(gid, claim.line[0])} is "
                    f"{rules.amount(name, limit)}, with {rules.amount(name, max(left, 0))} left; this needs "
                    f"{rules.amount(name, rest)} more: remove VMs, choose less, or ask for more quota",
                    field=None if name == "vms" else name,
                )

    def _check_name(self, uuid: UUID, claim: Claim) -> None:
        if self._names.get(claim.key, uuid) != uuid:
            raise Refused(
                Problem.VM_NAME_TAKEN, "the group already has a VM of that name: choose another name", field="name"
            )

    def has_mac(self, mac: str) -> bool:
        """Whether any VM has it."""
        return mac in self._macs

    def has_place(self, place: int) -> bool:
        """Whether any VM has it."""
        return self._places[place] > 0

    def _check_macs(self, claim: Claim, had: Collection[str]) -> None:
        for place, mac in enumerate(claim.macs):
            if mac in had or mac not in self._macs:
                continue
            holder = self._claims[min(self._macs[mac])]
            vm = visible_name(self._directory, "VM", holder.name, holder.line[0])
            raise Refused(
                Problem.MAC_TAKEN,
                f"{vm} has a NIC with the MAC address {mac}: use another one, or give that NIC another one first",
                field=f"nics[{place}].mac",
            )

    def _check_ports(self, uuid: UUID, claim: Claim) -> None:
        for place, other in self._ports.taken(uuid, claim.forwards):
            holder = self._claims[other]
            vm = visible_name(self._directory, "VM", holder.name, holder.line[0])
            raise Refused(
                Problem.PORT_TAKEN,
                f"the port {words(claim.forwards[place])} of the host leads to {vm}: choose another one, or take it "
                "from that VM first",
                field=f"forwards[{place}].host_port",
            )

    def _check_writers(self, uuid: UUID, claim: Claim) -> None:
        for mid, number in claim.writable.items():
            others = self._writers.get(mid, set()) - {uuid}
            other = next((one for one in others if self._writes(one, mid)), None)
            if other is not None and self._may_write(claim, mid):
                vm = self._attachments.visible_name(self._holder(other, self._claims[other], mid))
                raise Refused(
                    Problem.MEDIUM_IN_USE,
                    f"{self._attachments.medium_name(mid)} is already attached writable to {vm}: attach it with "
                    "`readonly`, or use another medium",
                    field=f"media[{number}].mid",
                )

    def _writes(self, uuid: UUID, mid: UUID) -> bool:
        """Whether a VM writes to it, or would if it were started now."""
        claim = self._claims[uuid]
        return self._may_write(claim, mid) or self._holder(uuid, claim, mid).writing


def _count_down(counts: Counter[int], key: int) -> None:
    """Nothing stays of what nobody has any more."""
    counts[key] -= 1
    if not counts[key]:
        del counts[key]
