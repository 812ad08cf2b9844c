"""Whether this server may start VMs by itself: a host that keeps a copy of its database may have become the server.

With SQLite, a server that comes back sees only its own file, so nothing else could tell it. Therefore it starts no VM
by itself until one of those hosts has responded as a node, which it would not do if it were the server, or until a
person has confirmed that this server leads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from velocity.hypervisor.port import HostId


class Certainty:
    """Implements `autostart.Leads`. `complete`: the database knows all VMs, and is no older copy."""

    def __init__(self) -> None:
        self.keepers: Callable[[], dict[HostId, str]] = dict
        """Returns the names of the hosts that keep a copy, by host."""
        self.complete = True
        self._sure = False
        self._again = asyncio.Event()

    def be_sure(self) -> None:
        """No doubt is left: a person said that this server leads, or a host that keeps a copy has answered."""
        self._sure = True
        self._again.set()

    def heard(self, host: HostId) -> None:
        """This host has answered as a node of this server."""
        if not self._sure and host in self.keepers():
            self.be_sure()

    def look_again(self) -> None:
        """The hosts that keep a copy have changed: `wait` checks again."""
        self._again.set()

    def doubt(self) -> str:
        """Why no VM may be started automatically yet, in words for users; empty if it may."""
        keepers = self.keepers()
        if self._sure or not keepers:
            return ""
        names = " or ".join(keepers.values())
        return (
            f"it waits until {names} answers, which keeps a copy and may have become the server: if it has not, start "
            "the VM, or end the copy (`velocity node set HOST --no-keeps-copy`)"
        )

    async def wait(self) -> None:
        """Wait until there is no doubt."""
        while self.doubt():
            self._again.clear()
            await self._again.wait()
