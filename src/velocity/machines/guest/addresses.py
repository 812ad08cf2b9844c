"""Looks for the addresses that running guests use, through guest agents and the host's neighbour table.

The addresses that NAT assigns are known anyway, but not whether a guest uses them. Changes are reported at most once
per look, however often a guest changes its answers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from uuid import UUID

from velocity.contract.guests import GuestNic
from velocity.contract.machines import NicType, State
from velocity.contract.problems import Refused
from velocity.contract.vm_settings import AddressSource
from velocity.hypervisor.port import HostId, Hosts, HypervisorError
from velocity.machines.guest import guest_words
from velocity.machines.guest.address_book import AddressBook
from velocity.machines.guest.agents import Agents
from velocity.machines.guest.guest_words import NETWORK, ToldNic
from velocity.machines.index import VmIndex
from velocity.machines.rules import CALL_DEADLINE, Spec
from velocity.machines.run.keeper import Keeper
from velocity.machines.settings import interfaces
from velocity.regularly import regularly

log = logging.getLogger(__name__)

PERIOD = 10.0
"""Seconds between two looks."""
ANSWERED = 3
"""Looks between two questions to an agent that answers."""
LONGEST_PAUSE = 32
"""The most looks between two questions to one that does not: each failure doubles the pause."""
AT_ONCE = 16
"""Agents that are asked at the same time."""


class Addresses:
    """The addresses of the VMs on all hosts."""

    def __init__(self, vms: VmIndex, book: AddressBook, agents: Agents, hosts: Hosts) -> None:
        self._vms = vms
        self._book = book
        self._agents = agents
        self._hosts = hosts
        self._pauses: dict[UUID, tuple[int, int]] = {}
        """For each VM that was asked: the looks until the next question, and the last pause."""
        self._looking: asyncio.Task[None] | None = None

    def open(self) -> None:
        self._looking = asyncio.create_task(regularly("a look at the addresses of guests", PERIOD, self.look))

    async def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait({self._looking})

    async def look(self) -> None:
        """Look at all running VMs once; those that do not respond are tried again at the next look."""
        there = [keeper for keeper in self._vms.all() if keeper.state is State.RUNNING]
        await self._hear(there)
        gone = self._pauses.keys() - {keeper.machine.uuid for keeper in there}
        for uuid in gone:
            del self._pauses[uuid]
        turn = asyncio.Semaphore(AT_ONCE)
        await asyncio.gather(*(self._ask(keeper, turn) for keeper in there if self._is_due(keeper)))

    def heard(self, keeper: Keeper, nics: list[GuestNic]) -> None:
        """An agent has reported its guest's NICs, which are identified by their MAC addresses."""
        if keeper.progress.run is None:
            return
        told = {nic.mac: [one.partition("/")[0] for one in nic.addresses] for nic in nics if nic.mac}
        ids = {one.mac: one.id for _, one in interfaces.pairs(keeper.progress.run)}
        found = {ids[mac]: some for mac, some in told.items() if mac in ids}
        self._learn(keeper, AddressSource.AGENT, found)

    def _learn(self, keeper: Keeper, source: AddressSource, found: Mapping[int, list[str]]) -> None:
        if self._book.learn(keeper.machine.uuid, source, found):
            keeper.context.changed(keeper.machine)

    async def _hear(self, there: list[Keeper]) -> None:
        """Take what hosts have heard from VMs with NICs on a bridge, NAT's or another one."""
        bridged: dict[HostId, list[Keeper]] = {}
        for one in there:
            if _is_bridged(one.progress.run):
                bridged.setdefault(one.machine.host, []).append(one)
        await asyncio.gather(*(self._hear_of(host, keepers) for host, keepers in bridged.items()))

    async def _hear_of(self, host: HostId, bridged: list[Keeper]) -> None:
        try:
            heard = await self._hosts.neighbours(host, deadline=CALL_DEADLINE)
        except HypervisorError as error:
            log.debug("addresses: %s", error)
            return
        found: dict[UUID, dict[int, list[str]]] = {}
        for one in heard:
            found.setdefault(one.machine, {}).setdefault(one.nic, []).append(one.address)
        for keeper in bridged:
            if keeper.state is State.RUNNING:
                self._learn(keeper, AddressSource.NEIGHBOUR, found.get(keeper.machine.uuid, {}))

    def _is_due(self, keeper: Keeper) -> bool:
        run = keeper.progress.run
        if run is None or not run.nics or not self._agents.has_channel(keeper):
            return False
        left, pause = self._pauses.get(keeper.machine.uuid, (0, 0))
        self._pauses[keeper.machine.uuid] = left - 1, pause
        return left <= 0

    async def _ask(self, keeper: Keeper, turn: asyncio.Semaphore) -> None:
        who, uuid = keeper.who, keeper.machine.uuid
        _, pause = self._pauses[uuid]
        try:
            async with turn:
                told = await self._agents.ask(keeper, NETWORK, list[ToldNic])
        except Refused:
            pause = min(max(1, 2 * pause), LONGEST_PAUSE)
            self._pauses[uuid] = pause - 1, pause
            return
        self._pauses[uuid] = ANSWERED - 1, 0
        if keeper.who == who:
            self.heard(keeper, guest_words.nics(told))


def _is_bridged(run: Spec | None) -> bool:
    return run is not None and (
        any(run.nat_places.values()) or any(nic.type == NicType.BRIDGE.value for nic in run.nics)
    )
