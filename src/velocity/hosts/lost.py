"""The use cases of lost hosts: fencing, and confirming that one is dead.

Silence proves nothing. What does is a fence agent that has powered the machine off, or a person.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shlex
import time
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass, replace

from velocity import plan
from velocity.contract import lost_hosts, nodes
from velocity.contract.problems import Problem, Refused
from velocity.hosts import fence_options
from velocity.hosts.fencing import FenceAgents, NotFenced
from velocity.hosts.members import Fence, Member, MemberStore
from velocity.hosts.port import Attaching
from velocity.hosts.roster import Roster
from velocity.hypervisor.port import HostId

log = logging.getLogger(__name__)

EVERY = 1.0
"""Seconds between two looks at hosts that are to be fenced by themselves."""
AGAIN = (30.0, 60.0, 120.0, 300.0)
"""Seconds until that is tried again where it has failed; then the last."""


@dataclass
class _Failed:
    """That a host could not be fenced: why, how often, and when it is tried again (monotonic)."""

    words: str
    tries: int
    again: float


class LostHosts:
    """What is done about them.

    `trouble` says why a host does not answer (empty: it does). One that has a fence agent, and VMs that are to be
    restarted elsewhere, is fenced by itself when it was silent for `after` seconds; 0: never, nor while there is a
    `doubt` whether this server leads.
    """

    def __init__(
        self,
        store: MemberStore,
        roster: Roster,
        trouble: Callable[[HostId], str],
        attaching: Attaching,
        agents: FenceAgents,
        after: int,
        doubt: Callable[[], str] = str,
    ) -> None:
        self._store = store
        self._doubt = doubt
        self._roster = roster
        self._trouble = trouble
        self._attaching = attaching
        self.agents = agents
        self._after = after
        self._failed: dict[HostId, _Failed] = {}
        self._fencing: set[HostId] = set()
        self._silent: dict[HostId, tuple[int, float]] = {}
        """Since when hosts are silent: as is told of them, and since it was first looked at (monotonic)."""
        self._watching: asyncio.Task[None] | None = None
        self.looks = 0
        """How often it was looked after hosts that are to be fenced."""

    def open(self) -> None:
        """Look after those that are to be fenced by themselves, if there are any."""
        if self._watching is None and self._after and any(one.fence for one in self._roster):
            self._watching = asyncio.get_running_loop().create_task(self._watch(), context=Context())

    async def close(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait({self._watching})

    # What is shown

    def state(self, member: Member) -> nodes.NodeState:
        if member.host in self._attaching.deaths:
            return "dead"
        if member.own or not self._trouble(member.host):
            return "online"
        return "joining" if member.known is None else "unreachable"

    def shown(self, member: Member) -> dict[str, object]:
        """The fields of a `NodeInfo` that are about it."""
        told: dict[str, object] = {}
        if member.fence is not None:
            options, secrets = fence_options.shown(member.fence.options)
            told["fence"] = nodes.NodeFence(agent=member.fence.agent, options=options, secrets=secrets)
        death = self._attaching.deaths.get(member.host)
        if death is not None:
            told["dead"] = nodes.NodeDeath(at=death.at, by=death.by)
        elif not member.own and self._trouble(member.host):
            told["missing"] = self._missing(member)
        return told

    def _missing(self, member: Member) -> str:
        """What is missing before its VMs may be started elsewhere."""
        name = shlex.quote(member.name)
        words = (
            "nothing proves that its VMs have ended, so none is started elsewhere: once it is off, `velocity node "
            f"confirm-dead {name}` says so"
        )
        if member.fence is None:
            return words
        failed = self._failed.get(member.host)
        if failed is not None:
            return f"it could not be fenced: {failed.words}; {words}"
        if member.host in self._fencing:
            return f"{member.fence.agent} is powering it off"
        return f"{words}, and `velocity node fence {name} --now` powers it off"

    # What is asked

    async def confirm(self, asked: lost_hosts.ConfirmDead, by: str) -> None:
        """A person says that it runs nothing any more. Raises `Refused`."""
        member = self._named(asked.host, asked.name)
        if member.own:
            raise Refused(Problem.NODE_OWN, "that is the server's own host, and so it is not lost", field="host")
        if member.host in self._attaching.deaths:
            return
        if not self._trouble(member.host):
            words = f"{member.name} answers, and so is not lost: drain it, or stop its VMs"
            raise Refused(Problem.NODE_ANSWERS, words, field="host")
        await self._declare(member, by)

    async def fence(self, asked: lost_hosts.FenceNode) -> None:
        """Power it off, whether it answers or not; it is dead once that is proven. Raises `Refused`."""
        member = self._named(asked.host, asked.name)
        fence = _fence_of(member)
        self._plan(member)
        plan.stop_here()
        try:
            await self._power_off(member, fence)
        except NotFenced as error:
            words = f"{member.name} is not proven to be off, and nothing was changed: {error}"
            raise Refused(Problem.NOT_FENCED, words) from None

    async def test(self, host: int) -> lost_hosts.FencePower:
        member = self._roster.get(host)
        try:
            on = await self.agents.is_on(_fence_of(member))
        except NotFenced as error:
            raise Refused(Problem.NOT_FENCED, str(error)) from None
        return lost_hosts.FencePower(host=member.host, power="on" if on else "off")

    async def set_fence(self, asked: lost_hosts.SetFence) -> None:
        member = self._roster.get(asked.host)
        if member.own:
            words = "that is the server's own host, which cannot power itself off"
            raise Refused(Problem.NODE_OWN, words, field="host")
        self.agents.find(asked.agent)
        options = dict(asked.options or {})
        fence_options.check(options)
        await self._keep(member, Fence(asked.agent, options))
        self.open()

    async def remove_fence(self, host: int) -> None:
        member = self._roster.get(host)
        _fence_of(member)
        await self._keep(member, None)

    async def _keep(self, member: Member, fence: Fence | None) -> None:
        plan.step("change", "host", member.name, id=member.host, changes={"fence": None})
        await self._store.keep_fence(replace(member, fence=fence))
        self._failed.pop(member.host, None)
        self._roster.change(member.host, fence=fence)

    def _named(self, host: int, name: str) -> Member:
        member = self._roster.get(host)
        if member.name != name:
            words = f"host {host} is called {member.name!r}, and not {name!r}: nothing was done"
            raise Refused(Problem.NODE_NAME_OTHER, words, field="name")
        return member

    # What is done

    def _plan(self, member: Member) -> None:
        states = {"state": (self.state(member), "dead")}
        plan.step("change", "host", member.name, id=member.host, changes=states)
        for one in self._attaching.at_stake(member.host):
            plan.step("kill", "vm", one.name, id=one.vmid, gid=one.gid)

    async def _declare(self, member: Member, by: str) -> None:
        self._plan(member)
        await self._attaching.confirm_dead(member.host, by)
        self._failed.pop(member.host, None)
        self._roster.change(member.host)

    async def _power_off(self, member: Member, fence: Fence) -> None:
        """Raises `NotFenced`, and `Refused` where it is off and that could not be written down."""
        self._fencing.add(member.host)
        self._roster.change(member.host)
        try:
            await self.agents.power_off(fence)
            await self._declare(member, f"the fence agent {fence.agent}")
        finally:
            self._fencing.discard(member.host)
            if self._roster.find(member.host) is not None:
                self._roster.change(member.host)

    # By itself

    async def _watch(self) -> None:
        while True:
            for member in list(self._roster):
                if self._is_due(member):
                    try:
                        await self._fence_by_itself(member)
                    except Exception:  # a fault of ours keeps no other host from being fenced
                        log.exception("%s could not be fenced", member.name)
            self.looks += 1
            await asyncio.sleep(EVERY)

    def _is_due(self, member: Member) -> bool:
        if member.own or member.fence is None or member.host in self._attaching.deaths:
            return False
        if self._silent_for(member.host) < self._after or member.host in self._fencing:
            return False
        if self._is_alone() or self._doubt():
            return False
        failed = self._failed.get(member.host)
        if failed is not None and time.monotonic() < failed.again:
            return False
        return any(one.restarts for one in self._attaching.at_stake(member.host))

    def _silent_for(self, host: HostId) -> float:
        """Seconds, as far as it was looked at: whatever becomes of the time of day."""
        since = self._attaching.silent.get(host)
        if since is None:
            self._silent.pop(host, None)
            return -1.0
        now = time.monotonic()
        if self._silent.get(host, (None, now))[0] != since:  # it was heard meanwhile
            self._silent[host] = (since, now)
        return now - self._silent[host][1]

    def _is_alone(self) -> bool:
        """Whether most hosts are silent, so that it is rather this server that nobody hears."""
        others = [one.host for one in self._roster if not one.own and one.host not in self._attaching.deaths]
        silent = [host for host in others if host in self._attaching.silent]
        return len(silent) > 1 and 2 * len(silent) > len(others)

    async def _fence_by_itself(self, member: Member) -> None:
        assert member.fence is not None, "it is due"
        log.warning("%s does not answer: %s powers it off", member.name, member.fence.agent)
        try:
            await self._power_off(member, member.fence)
        except (NotFenced, Refused) as error:
            before = self._failed.get(member.host)
            tries = 0 if before is None else before.tries
            again = time.monotonic() + AGAIN[min(tries, len(AGAIN) - 1)]
            self._failed[member.host] = _Failed(str(error), tries + 1, again)
            log.error("%s could not be fenced: %s", member.name, error)
            with contextlib.suppress(Refused):  # it may have been removed meanwhile
                self._roster.change(member.host)
        else:
            self._attaching.noted("fence_node", member.host)


def _fence_of(member: Member) -> Fence:
    if member.fence is None:
        raise Refused(
            Problem.NO_FENCE,
            f"no fence agent is set for {member.name}: `velocity node fence {shlex.quote(member.name)} --agent "
            "fence_ipmilan --option ip=...` sets one",
            field="host",
        )
    return member.fence
