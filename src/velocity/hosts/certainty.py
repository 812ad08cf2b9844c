"""Whether this server may start VMs by itself: a host with a copy of its database could have taken its place.

With SQLite nothing else could tell: a server that comes back is alone with its own file. So it starts no VM by itself
until one of those hosts has answered as a node, which it would not if it led; or a person has said that this one leads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from velocity.hypervisor.port import HostId


class Certainty:
    """Implements `velocity.machines.autostart.Leads`. `complete`: the database knows all VMs, and is no older copy."""

    def __init__(self) -> None:
        self.keepers: Callable[[], dict[HostId, str]] = dict
        """The hosts that keep a copy, and their names."""
        self.complete = True
        self._sure = False
        self._again = asyncio.Event()

    def be_sure(self) -> None:
        """A person said so."""
        self._sure = True
        self._again.set()

    def heard(self, host: HostId) -> None:
        """That one has answered, as a node of this server."""
        if not self._sure and host in self.keepers():
            self.be_sure()

    def look_again(self) -> None:
        """Others keep copies now."""
        self._again.set()

    def doubt(self) -> str:
        """Why nothing may begin by itself yet, in words; empty: it may."""
        keepers = self.keepers()
        if self._sure or not keepers:
            return ""
        names = " or ".join(keepers.values())
        return (
            f"it waits until {names} answers, which keeps a copy and may have become the server: if it has not, start "
            "the VM, or end the copy (`velocity node set HOST --no-keeps-copy`)"
        )

    async def wait(self) -> None:
        """Returns when there is no doubt."""
        while self.doubt():
            self._again.clear()
            await self._again.wait()
