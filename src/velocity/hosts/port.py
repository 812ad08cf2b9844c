"""What the server knows of each host: its own, and those served by nodes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, MutableMapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from velocity.hypervisor.attached import FIRST_HOST as FIRST_HOST
from velocity.hypervisor.attached import AttachedHost as AttachedHost
from velocity.hypervisor.attached import Duty as Duty
from velocity.hypervisor.pool_hosts import OfferedPool as OfferedPool
from velocity.hypervisor.port import HostId
from velocity.machines.evacuated import Blocklisting as Blocklisting
from velocity.machines.evacuated import Death as Death
from velocity.storage.port import MediaRef, Pools


@dataclass(frozen=True)
class VmAtStake:
    """A VM that is believed to run on a host. `restarts`: it is to be restarted elsewhere when that is lost."""

    vmid: int
    name: str
    gid: int
    restarts: bool


@dataclass(frozen=True)
class VmWrites:
    """A VM of a host, and the objects that it may write to. `obstacle`: why these may not be all; empty: they are.

    `runs`: it is believed to; `restarts`: it is to be restarted elsewhere, then, when the host is lost.
    """

    machine: UUID
    name: str
    vmid: int
    gid: int
    runs: bool
    restarts: bool
    objects: tuple[MediaRef, ...]
    obstacle: str


class KeptDisks(Protocol):
    """What VMs of hosts may write to, and which hosts are kept from it by the blocklists of storage."""

    @property
    def pools(self) -> Pools:
        """Those of all hosts: each is asked by way of a host that has it and answers."""

    @property
    def clients(self) -> Mapping[HostId, Mapping[int, tuple[str, ...]]]:
        """By which addresses pools that have a blocklist know each host, as it has said last."""

    @property
    def blocklisted(self) -> Mapping[HostId, Blocklisting]:
        """The hosts whose clients are on blocklists of storage, or are about to be."""

    def writes(self, host: HostId) -> Sequence[VmWrites]:
        """Its VMs that are not free to be elsewhere, running or not."""

    async def blocklist(self, host: HostId, blocklisting: Blocklisting) -> None:
        """Note that its clients are about to be on them. Raises `Refused`, and then nothing has changed."""

    async def confirm_some(self, host: HostId, machines: Collection[UUID], by: str) -> None:
        """It is proven that these can write to none of their disks any more. Raises `Refused`, as above."""

    def answers(self, host: HostId) -> bool:
        """And nothing of what is over there runs there any more."""

    async def give_up(self, host: HostId, mpid: int) -> None:
        """See `velocity.storage.port.Pools.give_up`, of that host."""

    async def unblocked(self, host: HostId) -> None:
        """Its clients are on no blocklist any more. Raises `Refused`, and then they are taken to be."""


class Attaching(Protocol):
    """What learns of hosts: the fleet, the pools, placement."""

    async def attach(self, one: AttachedHost) -> None:
        """From now on it is there. One that is there already is another now, in duty, labels, pools or NICs."""

    def expect(self, host: HostId, name: str) -> None:
        """It has joined, and there is no way to it: it cannot be attached, though VMs may be on it."""

    def doubt(self, host: HostId, words: str) -> None:
        """It has left a question without an answer: nobody is to wait for it until it answers again."""

    @property
    def silent(self) -> Mapping[HostId, int]:
        """The hosts that do not answer, each with the time since when, in Unix seconds."""

    @property
    def ahead(self) -> MutableMapping[HostId, int]:
        """Those whose clock is wrong: the seconds that it is ahead of ours, below 0 behind. Who asks hosts says so."""

    @property
    def deaths(self) -> Mapping[HostId, Death]:
        """The hosts that are confirmed dead."""

    def at_stake(self, host: HostId) -> Sequence[VmAtStake]:
        """What is believed to run there."""

    async def confirm_dead(self, host: HostId, by: str) -> None:
        """It is proven that nothing runs there. Raises `Refused`, and then nothing has changed."""

    @property
    def disks(self) -> KeptDisks:
        """What hosts write to, and whether they are kept from it."""

    def noted(self, did: str, host: HostId) -> None:
        """What the server has done by itself to a host, for the history."""

    def leaving(self, host: HostId) -> AbstractContextManager[None]:
        """Within, nothing new comes to it, or into its pools. Raises `Refused` where something is there, or coming."""

    async def detach(self, host: HostId) -> None:
        """It is no more, if it was attached; nothing is there that it has."""
