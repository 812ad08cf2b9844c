"""What the server is told of each host that it controls: its own, and those that are served by a node."""

from __future__ import annotations

from typing import Protocol

from velocity.hypervisor.attached import FIRST_HOST as FIRST_HOST
from velocity.hypervisor.attached import AttachedHost as AttachedHost
from velocity.hypervisor.attached import Duty as Duty
from velocity.hypervisor.pool_hosts import OfferedPool as OfferedPool
from velocity.hypervisor.port import HostId


class Attaching(Protocol):
    """What learns of hosts: the fleet, the pools, placement."""

    async def attach(self, one: AttachedHost) -> None:
        """From now on it is there. One that is there already is another now, in duty, labels, pools or NICs."""

    def doubt(self, host: HostId, words: str) -> None:
        """It has left a question without an answer: nobody is to wait for it until it answers again."""

    async def detach(self, host: HostId) -> None:
        """It is no more; nothing is there that it has."""
