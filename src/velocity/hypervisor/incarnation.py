"""The identifiers of hosts and of runs: values of the port."""

from __future__ import annotations

from typing import NewType
from uuid import UUID

from velocity.storage.port import Value

HostId = NewType("HostId", int)


class Incarnation(Value, frozen=True):
    """One run of one machine on one host."""

    machine: UUID
    host: HostId
    epoch: int
