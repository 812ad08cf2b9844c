"""What the server is told of each host that it controls: its own, and those that are served by a node."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from velocity.hypervisor.port import HostId, Hypervisor
from velocity.storage.port import Storage

OWN_HOST = HostId(1)
"""The host that the server itself runs on."""


class Duty(enum.Enum):
    """What a host is wanted for. DRAINING: its VMs run on, no more come; MAINTENANCE: it starts none, either."""

    ACTIVE = "active"
    DRAINING = "draining"
    MAINTENANCE = "maintenance"


@dataclass(frozen=True)
class OfferedPool:
    """A pool as its host declares it. Numbers are the installation's: two hosts that declare one number share it."""

    mpid: int
    name: str


@dataclass(frozen=True)
class AttachedHost:
    """A host with its ports, whether it answers now or not. `nics` are its host NICs: nicid -> identifier.

    `pools` and `nics` are as they were known last.
    """

    host: HostId
    name: str
    hypervisor: Hypervisor
    storage: Storage
    pools: tuple[OfferedPool, ...]
    nics: Mapping[int, str] = field(default_factory=dict)
    duty: Duty = Duty.ACTIVE
    labels: Mapping[str, str] = field(default_factory=dict)


class Attaching(Protocol):
    """What learns of hosts: the fleet, the pools, placement."""

    async def attach(self, one: AttachedHost) -> None:
        """From now on it is there. One that is there already is another now, in duty, labels, pools or NICs."""

    async def detach(self, host: HostId) -> None:
        """It is no more; nothing is there that it has."""
