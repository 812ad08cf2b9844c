"""What the server knows of each host: its own, and those served by nodes."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from velocity.hypervisor.attached import FIRST_HOST as FIRST_HOST
from velocity.hypervisor.attached import AttachedHost as AttachedHost
from velocity.hypervisor.attached import Duty as Duty
from velocity.hypervisor.pool_hosts import OfferedPool as OfferedPool
from velocity.hypervisor.port import HostId
from velocity.machines.evacuated import Death as Death


@dataclass(frozen=True)
class VmAtStake:
    """A VM that is believed to run on a host. `restarts`: it is to be restarted elsewhere when that is lost."""

    vmid: int
    name: str
    gid: int
    restarts: bool


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

    def noted(self, did: str, host: HostId) -> None:
        """What the server has done by itself to a host, for the history."""

    async def detach(self, host: HostId) -> None:
        """It is no more; nothing is there that it has."""
