"""Snapshots of everything that a user may see, each taken from memory in one step."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import Context

from msgspec import UNSET

from velocity.access import rules
from velocity.contract import events
from velocity.contract.permissions import Permission, members
from velocity.contract.users import UserSummary
from velocity.events import views
from velocity.events.areas import Areas
from velocity.events.buffer import EventBuffer
from velocity.events.limits import StreamLimits
from velocity.events.pending import Key
from velocity.events.renderer import EventRenderer, encode
from velocity.events.writer import EventWriter
from velocity.fair import FairGate
from velocity.machines.hosts.where import of_pool, of_shared_pool

KEPT = 1.0
"""Seconds for which a snapshot is kept for other streams of the same user, after it was last sent."""


class InitialStates:
    """The first event of each reader. When one begins, the disk usage of media is measured, too."""

    def __init__(
        self,
        areas: Areas,
        writer: EventWriter,
        ring: EventBuffer,
        limits: StreamLimits,
    ) -> None:
        self._areas = areas
        self._writer = writer
        self._ring = ring
        self._limits = limits
        self._beginning = FairGate(1)
        self._measuring: asyncio.Task[None] | None = None
        self._measured = float("-inf")
        self._last: tuple[int, int, bytes] | None = None
        """The latest snapshot: its user, cursor and event. It is valid until the next event."""
        self.forgetting: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def beginning(self, uid: int) -> AsyncIterator[None]:
        """Within, a snapshot can be taken.

        One at a time, each in a step of its own, and users take turns. After each, other requests get as long as it
        took.
        """
        async with self._beginning.place(uid):
            await self.ready(uid)
            begun = time.perf_counter()
            yield
            await asyncio.sleep(time.perf_counter() - begun)

    async def ready(self, uid: int) -> None:
        """Render objects that a snapshot would have to render, in several steps."""
        self._writer.begin()
        if self._taken(uid) is not None:
            return
        keys = self._visible_state(uid).unrendered()
        await asyncio.sleep(0)
        for begin in range(0, len(keys), self._limits.rendered):
            await self._writer.settle()
            for key in keys[begin : begin + self._limits.rendered]:
                self._writer.renderer.render(key)
            await asyncio.sleep(0)
        await self._writer.settle()

    def take(self, uid: int) -> tuple[bytes, int]:
        """The event with everything that the user may see, and its cursor: one step, without an await."""
        self._writer.begin()
        self._measure_soon()
        self._writer.flush(whole=True)
        cursor = self._ring.head
        event = self._taken(uid)
        if event is None:
            data = encode(self._visible_state(uid).initial_state())
            event = b"event: snapshot\ndata: %s\nid: %s\n\n" % (data, self._ring.name(cursor))
            self._last = uid, cursor, event
        if self.forgetting is not None:
            self.forgetting.cancel()
        self.forgetting = asyncio.get_running_loop().call_later(KEPT, self._forget, context=Context())
        return event, cursor

    def _taken(self, uid: int) -> bytes | None:
        """The user's latest snapshot, if it is still valid."""
        last = self._last
        return last[2] if last is not None and last[:2] == (uid, self._ring.head) else None

    def _forget(self) -> None:
        self._last = None

    def _visible_state(self, uid: int) -> VisibleState:
        return VisibleState(self._areas, self._writer.renderer, uid)

    def _measure_soon(self) -> None:
        """Measure the disk usage of media in the background; changes become events."""
        now = asyncio.get_running_loop().time()
        if self._measuring is None and now >= self._measured + self._limits.measure:
            self._measured = now
            self._measuring = asyncio.create_task(self._measure(), context=Context())

    async def _measure(self) -> None:
        try:
            await self._areas.usage.measure(self._areas.library.all())
        finally:
            self._measuring = None

    async def settle(self) -> None:
        """Return when no measurement is in progress."""
        while self._measuring is not None:
            await asyncio.wait({self._measuring})

    async def close(self) -> None:
        if self._measuring is not None:
            self._measuring.cancel()
            await asyncio.wait({self._measuring})


class VisibleState:
    """What one user sees at this moment. Do not use it after an await."""

    def __init__(self, areas: Areas, renderer: EventRenderer, uid: int) -> None:
        self._areas = areas
        self._directory = areas.directory
        self._library = areas.library
        self._fleet = areas.fleet
        self._tasks = areas.tasks
        self._renderer = renderer
        self._uid = uid
        self._held = self._directory.held(uid)
        groups = self._directory.groups
        held = rules.Held(groups, self._held)
        self._bits = {gid: held(gid) for gid in groups}

    def unrendered(self) -> list[Key]:
        """Objects that a snapshot would have to render first: everything, if nobody has read for long."""
        vms, media = self._where(Permission.VM_VIEW), self._where(Permission.MEDIA_LIST)
        keys: list[Key] = [("vm", one.machine.vmid) for one in self._fleet.all() if one.machine.gid in vms]
        keys += [("medium", one.mid) for one in self._library.all() if one.gid in media]
        return [key for key in keys if not self._renderer.knows(key)]

    def initial_state(self) -> events.InitialState:
        vms, media = self._where(Permission.VM_VIEW), self._where(Permission.MEDIA_LIST)
        return events.InitialState(
            me=UserSummary(uid=self._uid, name=self._directory.user(self._uid).name),
            groups=self._groups(),
            vms=[self._renderer.vm(one) for one in self._fleet.all() if one.machine.gid in vms],
            media=[self._renderer.medium(one).to(self._held) for one in self._library.all() if one.gid in media],
            pools=self._pools(),
            tasks=[views.task(one) for one in self._tasks.all() if one.gid in media or one.uid == self._uid],
            users=self._users() if rules.holds_somewhere(self._held, Permission.USER_LIST) else UNSET,
        )

    def _where(self, permission: Permission) -> set[int]:
        return {gid for gid, bits in self._bits.items() if bits & permission.bit}

    def _groups(self) -> list[events.GroupView]:
        directory = self._directory
        below = rules.with_above(directory.groups, (gid for gid, bits in self._bits.items() if bits))
        shown = (directory.groups[gid] for gid in sorted(below))
        return [
            events.GroupView(
                gid=group.gid,
                parent_gid=group.parent_gid,
                name=group.name,
                permissions=[one.value for one in members(self._bits[group.gid])],
            )
            for group in shown
            if group.gid not in directory.leaving
        ]

    def _pools(self) -> list[events.PoolView]:
        """A pool that a group sees is seen from those above it, too: only the topmost group with permissions counts."""
        assignments, groups = self._areas.assignments, self._directory.groups
        hosts = self._fleet.hosts.attached
        where = rules.topmost(groups, (gid for gid, bits in self._held.items() if bits & Permission.POOL_LIST.bit))
        return [
            events.PoolView(
                mpid=pool.mpid, name=pool.name, host=of_pool(hosts, pool.mpid), hosts=of_shared_pool(hosts, pool.mpid)
            )
            for pool in self._areas.pools.values()
            if any(assignments.of(gid, pool.mpid) is not None for gid in where)
        ]

    def _users(self) -> list[UserSummary]:
        return [UserSummary(uid=user.uid, name=user.name) for user in self._directory.users.values()]
