"""The memory that is free on hosts, and not about to be taken by VMs that are moving there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from uuid import UUID

from velocity.hypervisor.port import HostId, Hosts
from velocity.machines.rules import CALL_DEADLINE


class HostMemory:
    """Memory in MiB. What a host reports as free includes the memory of VMs that have not arrived there yet.

    Starts reserve nothing: a guest takes its memory when it first touches it, which may be long after its start. A
    reservation until then would forbid overcommitment, and a shorter one would refuse only starts of the same second.
    """

    def __init__(self, hosts: Hosts) -> None:
        self._hosts = hosts
        self._coming: dict[UUID, tuple[HostId, int]] = {}
        """The VMs that are moving: where to, and how much of their memory is not there yet. In order of admission."""

    async def free(self, host: HostId, machine: UUID) -> int:
        """What is free for this VM, beside the moves that were admitted before it. Raises `Unknown`.

        Whoever then begins a move in the same step, without an await, has that memory.
        """
        free = await self._hosts.memory_free(host, deadline=CALL_DEADLINE)
        for other, (target, missing) in self._coming.items():
            if other == machine:
                break
            if target == host:
                free -= missing
        return max(0, free)

    @contextlib.contextmanager
    def coming(self, machine: UUID, host: HostId, mib: int) -> Iterator[None]:
        """Within, a running VM is moving to this host."""
        self._coming[machine] = host, mib
        try:
            yield
        finally:
            del self._coming[machine]

    def set_missing(self, machine: UUID, mib: int) -> None:
        """So much of a moving VM's memory has not arrived yet."""
        if machine in self._coming:
            self._coming[machine] = self._coming[machine][0], mib
