"""The fleet: all VMs, each with a keeper, and their hosts, each with an observer."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from velocity import plan
from velocity.access.bounds import BOUNDS
from velocity.access.directory import Directory
from velocity.access.naming import sees_hosts
from velocity.access.rules import NOTHING
from velocity.changes import Changes
from velocity.contract.encoded import Encoded
from velocity.contract.machines import Interface, ListVms, State, VmSummary
from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.attached import AttachedHosts
from velocity.hypervisor.port import (
    Confinement,
    FactCause,
    FactReport,
    HostId,
    Hypervisor,
    Unknown,
)
from velocity.machines.guest.address_book import AddressBook
from velocity.machines.guest.agents import Agents
from velocity.machines.guest.freezing import Freezing
from velocity.machines.hosts import where
from velocity.machines.hosts.autostart import Leads, autostart
from velocity.machines.hosts.availability import Availability
from velocity.machines.hosts.evacuated import Evacuated
from velocity.machines.hosts.evacuation import Evacuation
from velocity.machines.hosts.kept_variables import KeptVariables, VariablesStore
from velocity.machines.hosts.orphans import MachineData, PurgedStore, remove_orphans
from velocity.machines.hosts.watched import WatchedHost, WatchedHosts
from velocity.machines.index import VmIndex
from velocity.machines.port import MachineStore, Noted
from velocity.machines.rules import CALL_DEADLINE, Machine, Spec, Unreadable, media_of, on_bridge
from velocity.machines.run.claiming import Claiming
from velocity.machines.run.keeper import Keeper
from velocity.machines.run.life import KeeperContext
from velocity.machines.run.live import LiveChanges
from velocity.machines.run.mirrored import MirroredDisks
from velocity.machines.run.observer import HostBack, HostLost, Observer
from velocity.machines.run.states import REQUESTABLE, Cause
from velocity.machines.settings import interfaces
from velocity.machines.settings.builder import Builder
from velocity.machines.settings.claims import Claim, Claims
from velocity.machines.summaries import Summaries
from velocity.media.attachments import AttachedVm, Attachments
from velocity.media.library import Library
from velocity.media.room import Room

log = logging.getLogger(__name__)

SHOWN_DEADLINE = 1.0
"""Seconds for a host to report details of a VM; afterwards the VM is shown without them."""
LAST_NOTES = 5.0
"""Seconds at the server's end to store pending changes."""


class Fleet(VmIndex):
    """The VMs of all hosts: found, requested, loaded and let go."""

    def __init__(
        self,
        store: MachineStore,
        directory: Directory,
        changes: Changes,
        library: Library,
        attachments: Attachments,
        room: Room,
        builder: Builder,
        hypervisor: Hypervisor,
        hosts: AttachedHosts,
        evacuated: Evacuated,
        variables: VariablesStore,
        purged: PurgedStore,
        *,
        leads: Leads,
        most: int = BOUNDS.group_vms,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`hypervisor` and `hosts`: of all hosts. A group may have at most `most` VMs."""
        super().__init__()
        self._store = store
        self._directory = directory
        self._changes = changes
        self._library = library
        self._room = room
        self._hypervisor = hypervisor
        self.builder = builder
        self._leads = leads
        self._clock = clock
        self.unasked: set[int] = set()
        """The ids of VMs with a writable medium that an older version attached without checking the permission."""
        self.addresses = AddressBook()
        self.data = MachineData(hypervisor, purged)
        self.agents = Agents(hypervisor.guests, hypervisor.hosts)
        self.freezing = Freezing(self.agents, lambda did, named, gid=0, by=None: self.noted(did, named, gid, by), clock)
        self.mirrors = MirroredDisks(store, hypervisor.mirrors, library)
        self.claims = Claims(directory, attachments, self._use_of, builder.may_write, most)
        self.claiming = Claiming(self.claims, builder, self._by_uuid.get)
        self.live = LiveChanges(
            store, hypervisor.machines, builder, self.mirrors, self.claiming.again, self._in_background,
            self.agents.switch_on_cpus,
        )  # fmt: skip
        self.hosts = WatchedHosts(
            hosts, hypervisor.hosts, evacuated, self._watch_host, self._on_first_contact, self.claims.given,
            self._changed, clock,
        )  # fmt: skip
        self.availability = Availability(leads, self._note_start)
        hosts.is_over, hosts.is_dead = evacuated.is_gone, evacuated.is_dead
        hosts.named = partial(sees_hosts, directory)
        self.variables = KeptVariables(variables, self.hosts, builder.reach, clock)
        self.evacuation = Evacuation(evacuated, self.hosts, builder, self.claims, self.variables.told, clock)
        self._summaries = Summaries(self.interfaces, partial(where.of_machine, hosts))
        self.passing: Callable[[FactReport], bool] = lambda news: False
        """Whether an unknown run belongs to a VM that is moving."""
        self.host_is_back: Callable[[], None] = lambda: None
        """Called when a host responds again."""
        self.unreadable: Sequence[Unreadable] = ()
        self.known: set[str] = set()
        """At the start: the uuids of all VMs, including those in the trash and those that cannot be loaded."""
        self._background: set[asyncio.Task[Any]] = set()
        self.noted: Noted = lambda did, named, gid=0, by=None: None
        """Records in the history what the server does unasked."""

    def _watch_host(self, host: HostId) -> WatchedHost:
        keepers: dict[int, Keeper] = {}
        observer = Observer(
            host,
            self._hypervisor.machines,
            self._by_uuid.get,
            keepers.values,
            heard=self._on_fact,
            passing=lambda news: self.passing(news),
            changed=self._on_host_news,
            over=self.evacuation.evacuated.is_over,
            end=self.hosts.end_what_is_over,
        )
        context = KeeperContext(
            host=host,
            hypervisor=self._hypervisor.machines,
            observer=observer,
            store=self._store,
            gate=asyncio.Semaphore(2 * (os.cpu_count() or 1)),
            clock=self._clock,
            prepare=self.builder.prepare,
            ended=self._run_ended,
            changed=self._changed,
            alter=lambda keeper: self.live.ask_again(keeper),
            begin_writing=self.builder.begin_writing,
            pressed=self.agents.shut_down,
            resumed=self.agents.set_clock,
            freed=self.evacuation.evacuated.is_freed,
            remedy=self.hosts.attached.remedy,
            over=self.evacuation.reason,
            place=self.evacuation.place,
            bring=self.variables.bring,
            rehome=self._rehome,
            called=self.builder.vm_called,
            called_host=self.hosts.attached.called,
        )
        return WatchedHost(host, observer, context, keepers)

    def _rehome(self, keeper: Keeper, host: HostId) -> KeeperContext:
        """Move the keeper to the host where its next run begins."""
        before = keeper.machine
        del self.hosts.of(before.host).keepers[before.vmid]
        keeper.machine = replace(before, host=host)
        there = self.hosts.of(host)
        there.keepers[before.vmid] = keeper
        self.claims.put(before.uuid, self.builder.claim(keeper.machine, keeper.progress.run))
        self._changed(keeper.machine)
        log.info("vm %d: started on host %r", before.vmid, self.hosts.attached.name(host))
        return there.context

    def _note_start(self, keeper: Keeper) -> None:
        machine = keeper.machine
        self.noted("start_again", {"vmid": machine.vmid, "name": machine.name}, machine.gid)

    # The start and the end of the server

    async def open(self, loaded_all: Callable[[], Awaitable[None]]) -> None:
        """Load the VMs, adopt the running ones, and autostart others in the background.

        `loaded_all` is called after loading, before any host is contacted.
        """
        self.evacuation.evacuated.open()
        loaded, self.unreadable = self._store.load(self.hosts.attached.own.host)
        for machine, progress in loaded:
            self.add(self.hosts.keeper(machine, progress))
            self.claims.put(machine.uuid, self.builder.claim(machine, progress.run))
        for one in self.unreadable:
            log.warning("vm %d (%r) cannot be loaded; its data stay on the host: %s", one.vmid, one.name, one.why)
            self.claims.put(uuid4(), Claim(self._directory.line(one.gid), one.name, NOTHING, frozenset(), {}, {}))
        await loaded_all()
        await self.hosts.open()
        self.variables.open(self.known)
        self.freezing.open(self.all())
        for keeper in self.all():
            self.availability.look(keeper)

    async def _on_first_contact(self, watched: WatchedHost) -> None:
        """A host responds for the first time: remove leftovers of a crash there, and autostart its VMs.

        Data of unknown VMs on other hosts are kept, as they may be another installation's. Nothing is removed if the
        database is an older copy, which may lack VMs.
        """
        await self._readmit(watched.host)
        await self.data.remove_left(watched.host)
        discarded = self._store.discarded()
        self.claims.last_place = max([self.claims.last_place, *discarded.values()])
        self.known = {*map(str, self._by_uuid), *discarded, *(one.uuid for one in self.unreadable)}
        if self.known and self._leads.complete and (watched.keepers or watched.host == self.hosts.attached.own.host):
            coming = map(str, self.claims.uuids())
            await remove_orphans(self._hypervisor, watched.host, watched.observer, {*self.known, *coming})
        self._in_background(autostart(list(watched.keepers.values()), self._leads))

    async def close(self) -> int:
        """Let go of the VMs, which keep running. Returns how many run."""
        self.live.close()
        await self.availability.close()
        await self.variables.close()
        await self.freezing.close()
        for task in list(self._background):
            task.cancel()
            await asyncio.wait({task})
        await self.agents.close()
        await self.hosts.close()
        await self.data.close()
        await asyncio.gather(*(keeper.close(LAST_NOTES) for keeper in self.all()))
        await asyncio.gather(*(one.hypervisor.machines.close() for one in self.hosts.attached.all()))
        return sum(keeper.state is not State.STOPPED for keeper in self.all())

    async def settle(self) -> None:
        """Return when no VM is being served, observed or stored, and no background work is left."""
        while True:
            for keeper in self.all():
                await keeper.settle()
            await self.agents.settle()
            if not any(keeper.busy for keeper in self.all()) and not self._background:
                return
            if self._background:
                await asyncio.wait(self._background)

    def _in_background(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _on_fact(self, news: FactReport) -> None:
        if news.why is FactCause.DISK_FULL and (keeper := self._by_uuid.get(news.who.machine)) is not None:
            self._in_background(self._make_room_for(keeper))

    def _on_host_news(self, news: HostLost | HostBack) -> None:
        if isinstance(news, HostLost):
            self.hosts.lost(news.host)
        else:
            self._in_background(self._on_host_back(news, self.hosts.back(news.host)))
        self._changes.note_change("host", news.host)

    async def _on_host_back(self, news: HostBack, ended: list[Keeper]) -> None:
        await self._readmit(news.host)
        self.host_is_back()
        if self.hosts.of(news.host).welcomed:
            self._in_background(self.data.remove_left(news.host))
            await autostart(ended, self._leads)
        else:
            await self.hosts.welcome(news.host)

    async def _readmit(self, host: HostId) -> None:
        """The host responds, and runs nothing that was declared over: it is no longer confirmed dead."""
        if await self.evacuation.returned(host):
            self._changes.note_change("host", host)
            self.noted("host_returned", where.named(self.hosts.attached, host))
        self.availability.hurry()

    async def _make_room_for(self, keeper: Keeper) -> None:
        """Empty the trash of its pools for a guest that stands still for lack of space."""
        try:
            media = {one.mid for one in keeper.machine.spec.media}
            await self._room.relieve({(keeper.gid, self._library.get(mid).mpid) for mid in media})
        except Refused as refused:
            log.warning("vm %d: no space could be freed: %s", keeper.machine.vmid, refused.message)

    # Reading

    def listed(self, request: ListVms) -> Encoded[list[VmSummary]]:
        """The VMs of a group."""
        self._directory.group(request.gid)
        keepers = self._by_group.get(request.gid, {})
        if request.is_page:
            return self._summaries.encoded([keepers[vmid] for vmid in request.page(keepers)])
        return self._summaries.encoded_group(request.gid, keepers.values())

    def interfaces(self, machine: Machine, run: Spec | None) -> list[Interface]:
        """Its NICs as the API shows them; `run`: the specification it runs with."""
        spec, facts = machine.spec, self._hypervisor.hosts.about(machine.host)
        found = partial(self.addresses.of, machine.uuid)
        return interfaces.shown(spec, run, on_bridge(spec, facts), facts.nat_networks, found)

    async def confinement(self, keeper: Keeper) -> Confinement | None:
        """How its process is isolated now; None if it does not run, or its host does not answer."""
        if keeper.state in (State.STOPPED, State.STARTING) or keeper.machine.host in self.hosts.attached.silent:
            return None
        try:
            return await self._hypervisor.hosts.confinement(keeper.who, deadline=SHOWN_DEADLINE)
        except Unknown:
            return None

    async def command(self, keeper: Keeper) -> Sequence[str]:
        """The command line of its process. Raises `Refused(VM_STOPPED)`."""
        try:
            argv = await self._hypervisor.hosts.command(keeper.who, deadline=CALL_DEADLINE)
        except Unknown as error:
            raise Refused(Problem.UNAVAILABLE, f"{error}: try again later") from None
        if argv is None:
            words = f"{keeper.called} is {keeper.state.value}: start it first"
            raise Refused(Problem.VM_STOPPED, words, field="vmid")
        return argv

    def _use_of(self, uuid: UUID, claim: Claim, mid: UUID) -> AttachedVm:
        keeper = self._by_uuid.get(uuid)
        if keeper is None:
            return AttachedVm(claim.line[0], claim.name, False, None, writable=mid in claim.writable)
        runs = keeper.starting or not keeper.ended
        writing = runs and mid in self._written(keeper, claim)
        run = keeper.progress.run or keeper.machine.spec
        reading = runs and not writing and any(one.mid == mid for one in media_of(run))
        return AttachedVm(claim.line[0], claim.name, writing, keeper.machine.vmid, reading, mid in claim.writable)

    def _written(self, keeper: Keeper, claim: Claim) -> Collection[UUID]:
        """The media that its run may write to; derived from the claim if an earlier server began the run."""
        if keeper.written is not None:
            return keeper.written
        return [mid for mid in claim.writable if self.builder.may_write(claim, mid)]

    # Changing

    async def request(self, vmid: int, state: str, *, force: bool) -> tuple[Keeper, State]:
        """Serve a request for a state. Returns the state that it led to."""
        keeper = self.get(vmid)
        wanted = State.__members__.get(state)
        if wanted is None or wanted not in REQUESTABLE:
            raise Refused(
                Problem.NOT_A_STATE,
                f"{state!r} cannot be requested as a state: use STOPPED, RUNNING or PAUSED",
                field="state",
            )
        cause = REQUESTABLE[wanted]
        plan.also({"state": (keeper.state.value, state)})
        return keeper, await keeper.request_state(Cause.ASK_KILL if force and cause is Cause.ASK_STOP else cause)

    def add(self, keeper: Keeper) -> None:
        """Add a VM to the fleet (again)."""
        super().add(keeper)
        machine = keeper.machine
        self.hosts.by_id[machine.host].keepers[machine.vmid] = keeper
        if any(self.builder.writers.unasked(machine)):
            self.unasked.add(machine.vmid)
        self._changed(machine)

    def remove(self, keeper: Keeper) -> None:
        """Remove a VM from the fleet."""
        super().remove(keeper)
        machine = keeper.machine
        del self.hosts.by_id[machine.host].keepers[machine.vmid]
        self.unasked.discard(machine.vmid)
        self._changed(machine)

    def _run_ended(self, machine: Machine) -> None:
        self.addresses.forget(machine.uuid)
        self.claiming.again(machine.uuid)

    def _changed(self, machine: Machine) -> None:
        """Announce that the VM and the media that it uses have changed, or are gone."""
        self._summaries.invalidate(machine)
        self._changes.note_change("vm", machine.vmid, machine.gid)
        if machine.spec.ha != "off" and (keeper := self._by_uuid.get(machine.uuid)) is not None:
            self.availability.look(keeper)
        for mid in self.claims.media(machine.uuid):
            self._library.touched(mid)
