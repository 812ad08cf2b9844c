"""What the server knows of each host: its own, and those served by nodes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, MutableMapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from velocity.hypervisor.attached import FIRST_HOST as FIRST_HOST
from velocity.hypervisor.attached import AttachedHost as AttachedHost
from velocity.hypervisor.attached import Duty as Duty
from velocity.hypervisor.pool_hosts import OfferedPool as OfferedPool
from velocity.hypervisor.port import HostId
from velocity.machines.hosts.evacuated import Blocklisting as Blocklisting
from velocity.machines.hosts.evacuated import Death as Death
from velocity.storage.port import MediaRef, Pools


class VmAtStake(Struct, frozen=True):
    """A VM that is believed to run on a host. `restarts`: it is to be restarted elsewhere if the host is lost."""

    vmid: int
    name: str
    gid: int
    restarts: bool


class VmWrites(Struct, frozen=True):
    """A VM of a host, and the objects that it may write to. `obstacle`: why there may be more; empty if there are not.

    `runs`: it is believed to run; `restarts`: it does, and is to be restarted elsewhere if the host is lost.
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
    """What the VMs of hosts may write to, and which hosts are blocklisted by storage."""

    @property
    def pools(self) -> Pools:
        """The pools of all hosts. Each is asked through a host that has it and answers."""

    @property
    def clients(self) -> Mapping[HostId, Mapping[int, tuple[str, ...]]]:
        """The addresses by which pools with a blocklist know each host, as it reported last, by host and pool."""

    @property
    def blocklisted(self) -> Mapping[HostId, Blocklisting]:
        """The hosts that are blocklisted, or are about to be."""

    def writes(self, host: HostId) -> Sequence[VmWrites]:
        """The VMs of this host that were not freed, running or not."""

    async def blocklist(self, host: HostId, blocklisting: Blocklisting) -> None:
        """Store that it is about to be blocklisted. Raises `Refused`, and then nothing has changed."""

    async def confirm_some(self, host: HostId, machines: Collection[UUID], by: str) -> None:
        """It is proven that these VMs can write to none of their disks. Raises `Refused`; then nothing has changed."""

    def answers(self, host: HostId) -> bool:
        """Whether it answers, and none of its VMs that were freed runs there any more."""

    async def give_up(self, host: HostId, mpid: int) -> None:
        """See `velocity.storage.port.Pools.give_up`, on that host."""

    async def off_blocklists(self, host: HostId) -> None:
        """It is off all blocklists. Raises `Refused`, and then it still counts as blocklisted."""


class Attaching(Protocol):
    """The areas that learn about hosts: the fleet, the pools, placement."""

    async def attach(self, one: AttachedHost) -> None:
        """The host is available from now on. If it is attached already, duty, labels, pools or NICs have changed."""

    def expect(self, host: HostId, name: str) -> None:
        """The host has joined and cannot be reached: it cannot be attached, though VMs may run on it."""

    def doubt(self, host: HostId, words: str) -> None:
        """The host did not respond to a call: until it does, no caller waits for it."""

    @property
    def silent(self) -> Mapping[HostId, int]:
        """The hosts that do not answer, and since when in Unix seconds."""

    @property
    def ahead(self) -> MutableMapping[HostId, int]:
        """The hosts with a wrong clock: seconds that it is ahead of ours, below 0 if behind. The connector sets it."""

    @property
    def deaths(self) -> Mapping[HostId, Death]:
        """The hosts that are confirmed dead."""

    def at_stake(self, host: HostId) -> Sequence[VmAtStake]:
        """The VMs that are believed to run there."""

    async def confirm_dead(self, host: HostId, by: str) -> None:
        """It is proven that nothing runs there. Raises `Refused`, and then nothing has changed."""

    @property
    def disks(self) -> KeptDisks:
        """What the VMs of hosts may write to, and which hosts are blocklisted."""

    def noted(self, did: str, host: HostId) -> None:
        """Record in the history what the server did to a host unasked."""

    def leaving(self, host: HostId) -> AbstractContextManager[None]:
        """Within, no VM or medium can come to it. Raises `Refused` if one is there, or about to be."""

    async def detach(self, host: HostId) -> None:
        """The host was removed: detach it, if it is attached. It has no VMs, and no media are in its pools."""
