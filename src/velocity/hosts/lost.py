"""The use cases of lost hosts: fencing, and confirming that one is dead.

Silence proves nothing. There are three proofs: a fence agent has powered the machine off; a person confirms that it is
off; or, for VMs whose disks are all on RBD, the cluster refuses all requests from that host.
"""

from __future__ import annotations

import asyncio
import logging
import shlex
from collections.abc import Callable
from contextvars import Context
from dataclasses import replace

from msgspec import UNSET

from velocity import plan
from velocity.contract import lost_hosts, nodes
from velocity.contract.problems import Problem, Refused, done_before
from velocity.hosts import fence_options
from velocity.hosts.blocklists import Blocklists
from velocity.hosts.fencing import FenceAgents, NotFenced
from velocity.hosts.members import Fence, Member, MemberStore
from velocity.hosts.port import Attaching, Duty
from velocity.hosts.roster import Roster
from velocity.hosts.silence import Failures, Silence
from velocity.hypervisor.port import HostId

log = logging.getLogger(__name__)

EVERY = 1.0
"""Seconds between two checks for hosts to fence automatically."""
SAYS_NOTHING = (
    "{} answers, but has not reported yet which VMs run there: if that lasts, see the log of velocity-node on it"
)


class LostHosts:
    """The use cases of lost hosts.

    `trouble` says why a host's node does not answer (empty: it does). A host with VMs that are to be restarted
    elsewhere is fenced automatically after `after` silent seconds: by its agent or, if it has none or that fails, by
    `blocklists`. 0: never. It is not fenced while there is a `doubt` whether this server leads, nor in maintenance, in
    which somebody works on the machine.
    """

    def __init__(
        self,
        store: MemberStore,
        roster: Roster,
        trouble: Callable[[HostId], str],
        attaching: Attaching,
        agents: FenceAgents,
        blocklists: Blocklists,
        after: int,
        doubt: Callable[[], str] = str,
    ) -> None:
        self._store = store
        self._doubt = doubt
        self._roster = roster
        self._trouble = trouble
        self._attaching = attaching
        self.agents = agents
        self.blocklists = blocklists
        self._after = after
        self._failed = Failures()
        self._fencing: set[HostId] = set()
        self._silence = Silence(roster, attaching)
        self._watching: asyncio.Task[None] | None = None
        self.looks = 0
        """How often hosts were checked."""

    def open(self) -> None:
        """Begin to watch for hosts that are lost or have come back, unless the server's own host is the only one."""
        if self._watching is None and any(not one.own for one in self._roster):
            self._watching = asyncio.get_running_loop().create_task(self._watch(), context=Context())

    async def close(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait({self._watching})

    # What is shown

    def state(self, member: Member) -> nodes.NodeState:
        if member.host in self._attaching.deaths:
            return "dead"
        if not self.trouble(member)[0]:
            return "online"
        return "joining" if member.known is None else "unreachable"

    def trouble(self, member: Member) -> tuple[str, int]:
        """Why it does not answer, and since when in Unix seconds; empty: it does, 0: that is not known.

        A node that answers is not enough: until it has reported what runs there, its VMs can be asked for nothing.
        """
        if member.own:
            return "", 0
        if trouble := self._trouble(member.host):
            return trouble, member.heard
        since = self._attaching.silent.get(member.host, 0)
        return (SAYS_NOTHING.format(member.name), since) if since else ("", 0)

    def shown(self, member: Member, vms: int) -> dict[str, object]:
        """The fields of `NodeInfo` about a lost host. `vms`: how many it has."""
        told: dict[str, object] = {}
        if member.fence is not None:
            options, secrets = fence_options.shown(member.fence.options)
            told["fence"] = nodes.NodeFence(agent=member.fence.agent, options=options, secrets=secrets)
        if (listed := self.blocklists.of(member.host)) is not None:
            addresses = sorted({address for every in listed.addresses.values() for address in every})
            message = self.blocklists.why_not_lifted(member.host) or UNSET
            told["blocklisted"] = nodes.NodeBlocklist(at=listed.at, by=listed.by, addresses=addresses, message=message)
        if member.clients and not member.own:
            told["rbd_addresses"] = sorted({address for every in member.clients.values() for address in every})
        death = self._attaching.deaths.get(member.host)
        if death is not None:
            told["dead"] = nodes.NodeDeath(at=death.at, by=death.by)
        elif not member.own and self._trouble(member.host) and (vms or self._attaching.at_stake(member.host)):
            told["missing"] = self._missing(member)
        return told

    def _missing(self, member: Member) -> str:
        """What is missing before its VMs may be started elsewhere, in words for users."""
        name = shlex.quote(member.name)
        words = (
            "nothing proves that its VMs have ended, so none is started elsewhere: once it is off, `velocity node "
            f"confirm-dead {name}` says so"
        )
        if member.host in self._fencing:
            return "it is being fenced"
        if self.blocklists.of(member.host) is not None:
            words = f"it is blocklisted on Ceph, so VMs that write only to RBD can start elsewhere; of the rest {words}"
        elif member.clients:
            words += f", or `velocity node fence {name} --blocklist` frees those that write only to RBD"
        if failed := self._failed.words(member.host) or self.blocklists.failed.words(member.host):
            return f"it could not be fenced: {failed}; {words}"
        if member.fence is None:
            return words
        by_itself = ", which does not happen by itself in maintenance" if member.duty is Duty.MAINTENANCE else ""
        return f"{words}, and `velocity node fence {name} --now` powers it off{by_itself}"

    # Requests

    async def confirm(self, asked: lost_hosts.ConfirmDead, by: str) -> None:
        """A person confirms that nothing runs there any more. Raises `Refused`."""
        member = self._named(asked.host, asked.name)
        if member.host in self._attaching.deaths:
            return
        self._check_lost(member)
        await self._declare(member, by)

    async def blocklist(self, asked: lost_hosts.BlocklistNode, by: str) -> None:
        """Blocklist it on Ceph, and free its VMs that write only to RBD. Raises `Refused`."""
        member = self._named(asked.host, asked.name)
        self._check_lost(member)
        self.blocklists.check(member)
        plan.step("change", "host", member.name, id=member.host, changes={"blocklisted": None})
        for one in self.blocklists.could(member):
            if one.runs:
                plan.step("kill", "vm", one.name, id=one.vmid, gid=one.gid)
        plan.stop_here()
        await self._add_to_blocklist(member, by)

    def _check_lost(self, member: Member) -> None:
        """Raises `Refused` if its node responds, also if that has not reported yet what runs there."""
        if member.own:
            raise Refused(Problem.NODE_OWN, "that is the server's own host, so it is not lost", field="host")
        if self._trouble(member.host):
            return
        words = f"{member.name} responds, so it is not lost: drain it, or stop its VMs"
        if self.trouble(member)[0]:
            words = f"the node of {member.name} responds, so that host is on: power it off first, or restart its node"
        raise Refused(Problem.NODE_ANSWERS, words, field="host")

    async def fence(self, asked: lost_hosts.FenceNode) -> None:
        """Power it off, whether it answers or not. It is dead once that is proven. Raises `Refused`."""
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
        self._failed.forget(member.host)
        self._roster.change(member.host, fence=fence)

    def _named(self, host: int, name: str) -> Member:
        member = self._roster.get(host)
        if member.name != name:
            words = f"host {host} is called {member.name!r}, and not {name!r}: nothing was done"
            raise Refused(Problem.NODE_NAME_OTHER, words, field="name")
        return member

    # Fencing and blocklisting

    def _plan(self, member: Member) -> None:
        states = {"state": (self.state(member), "dead")}
        plan.step("change", "host", member.name, id=member.host, changes=states)
        for one in self._attaching.at_stake(member.host):
            plan.step("kill", "vm", one.name, id=one.vmid, gid=one.gid)

    async def _declare(self, member: Member, by: str) -> None:
        self._plan(member)
        await self._attaching.confirm_dead(member.host, by)
        self._failed.forget(member.host)
        self._roster.tell(member.host)

    async def _power_off(self, member: Member, fence: Fence) -> None:
        """Raises `NotFenced` if it is not proven to be off, `Refused` if it is off and that could not be stored."""
        self._fencing.add(member.host)
        self._roster.tell(member.host)
        try:
            await self.agents.power_off(fence)
            with done_before(f"{member.name} was powered off, and its VMs are started elsewhere once this is repeated"):
                await self._declare(member, f"the fence agent {fence.agent}")
        finally:
            self._fencing.discard(member.host)
            self._roster.tell(member.host)

    async def _add_to_blocklist(self, member: Member, by: str) -> None:
        """Blocklist it. Raises `Refused`."""
        self._fencing.add(member.host)
        self._roster.tell(member.host)
        try:
            await self.blocklists.add(member, by)
        finally:
            self._fencing.discard(member.host)
            self._roster.tell(member.host)

    # Automatic fencing

    async def _watch(self) -> None:
        while True:
            try:
                await self.blocklists.note_clients()
                await self.blocklists.lift()
            except Exception:  # a programming error here must not keep a host from being fenced
                log.exception("blocklists could not be checked")
            for member in list(self._roster):
                try:
                    await self._fence_if_due(member)
                except Exception:  # as above
                    log.exception("%s could not be fenced", member.name)
            self.looks += 1
            await asyncio.sleep(EVERY)

    async def _fence_if_due(self, member: Member) -> None:
        if member.own or not self._after or member.host in self._attaching.deaths or member.host in self._fencing:
            return
        if member.duty is Duty.MAINTENANCE:
            return
        if self._silence.seconds(member.host) < self._after or self._silence.is_ours() or self._doubt():
            return
        if not any(one.restarts for one in self._attaching.at_stake(member.host)):
            return
        if member.fence is not None and not self._failed.waits(member.host):
            await self._fence_by_itself(member, member.fence)
        elif not self.blocklists.failed.waits(member.host) and self.blocklists.frees(member):
            await self._blocklist_by_itself(member)

    async def _fence_by_itself(self, member: Member, fence: Fence) -> None:
        log.warning("%s does not answer: %s powers it off", member.name, fence.agent)
        try:
            await self._power_off(member, fence)
        except (NotFenced, Refused) as error:
            self._note(self._failed, member, error)
        else:
            self._attaching.noted("fence_node", member.host)

    async def _blocklist_by_itself(self, member: Member) -> None:
        log.warning("%s does not answer: it is blocklisted on Ceph", member.name)
        try:
            await self._add_to_blocklist(member, "this server")
        except Refused as error:
            self._note(self.blocklists.failed, member, error)
        else:
            self._attaching.noted("blocklist_node", member.host)

    def _note(self, failures: Failures, member: Member, error: NotFenced | Refused) -> None:
        failures.note(member.host, str(error))
        log.error("%s could not be fenced: %s", member.name, error)
        self._roster.tell(member.host)


def _fence_of(member: Member) -> Fence:
    if member.fence is None:
        raise Refused(
            Problem.NO_FENCE,
            f"no fence agent is set for {member.name}: `velocity node fence {shlex.quote(member.name)} --agent "
            "fence_ipmilan --option ip=...` sets one",
            field="host",
        )
    return member.fence
