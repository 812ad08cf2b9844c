"""Stays connected to each host that has joined: asks it how it is, attaches it, and renews its certificate."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from velocity.contract.problems import Refused
from velocity.hosts.absent import absent
from velocity.hosts.members import (
    API,
    LEFT,
    OLDEST,
    Dialing,
    Hello,
    Known,
    Link,
    Member,
    MemberStore,
    NodeCalls,
    Sealed,
)
from velocity.hosts.port import AttachedHost, Attaching
from velocity.hosts.roster import Roster
from velocity.hypervisor.port import HostFacts, HostId, Hypervisor, HypervisorError, Unknown
from velocity.storage.port import Storage

log = logging.getLogger(__name__)

EVERY = 1.0
"""Seconds between two calls to a host that answers."""
DEADLINE = 2.0
"""Seconds for one call."""
AGAIN = (0.25, 2.0)
"""Seconds to wait after the first failure, and at most."""
DOUBLED = 10
"""How often that time is doubled at most: a host may be lost for days."""
REDIAL = 8
"""Failures in a row after which a new connection is made."""
OFF = 5
"""Seconds of difference from which on a host's clock counts as wrong. A call itself may take a while."""
NO_FACTS = HostFacts("", "", "", "", "", (), {}, 0, 0)
"""The facts of a host that was never reached, and so is not attached."""


@dataclass
class JoinedHost:
    """The connection to one host. `trouble`: why it does not answer; `attached`: what was attached last."""

    link: Link
    authority: Sealed
    trouble: str = "it has not answered yet"
    attached: AttachedHost | None = None
    at: tuple[str, str] = ("", "")
    """The address it leads to, and the serial number of the certificate that is expected there."""
    poke: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Connector:
    """Implements `velocity.hosts.members.Connections`."""

    def __init__(
        self,
        store: MemberStore,
        roster: Roster,
        dialing: Callable[[], Dialing],
        attaching: Attaching,
        own: tuple[Hypervisor, Storage],
        clock: Callable[[], float] = time.time,
        *,
        heard: Callable[[HostId], None],
    ) -> None:
        """`heard` is called with each host that has answered."""
        self._store = store
        self._roster = roster
        self._dialing = dialing
        self._attaching = attaching
        self._own = own
        self._clock = clock
        self._tell_heard = heard
        self._ways: dict[HostId, JoinedHost] = {}

    async def follow(self, member: Member, authority: Sealed | None) -> None:
        if member.own:
            await self._attaching.attach(_attached(member, *self._own))
            return
        if authority is None or not member.serial:
            self._attaching.expect(member.host, member.name)
            await self._leave_absent(member)
            return
        way = self._ways.get(member.host)
        if way is None:
            known = NO_FACTS if member.known is None else member.known.facts
            way = self._ways[member.host] = JoinedHost(self._dialing().dial(member, authority, known), authority)
            way.at = (member.address, member.serial)
            way.task = asyncio.create_task(self._keep(member.host, way))
        elif way.at != (member.address, member.serial):
            await self._redirect(way, member.address, member.serial)
        await self._attach(way, member)
        way.poke.set()

    async def let_go(self, host: HostId) -> None:
        if (way := self._ways.pop(host, None)) is not None:
            await self._end(way)
        await self._attaching.detach(host)

    def trouble(self, host: HostId) -> str:
        way = self._ways.get(host)
        if way is not None:
            return way.trouble
        return _no_way(self._roster.get(host))

    def ahead(self, host: HostId) -> int:
        return self._attaching.ahead.get(host, 0)

    def node(self, host: HostId) -> NodeCalls | None:
        """The node of this host; None if it does not answer."""
        way = self._ways.get(host)
        return None if way is None or way.trouble else way.link.node

    async def close(self) -> None:
        """Disconnect. The hosts keep working."""
        for way in self._ways.values():
            await self._end(way)
        self._ways.clear()

    async def _end(self, way: JoinedHost) -> None:
        if way.task is not None:
            way.task.cancel()
            await asyncio.wait({way.task})
        await way.link.close()

    # One host

    async def _leave_absent(self, member: Member) -> None:
        """Attach it without a connection: its VMs and pools are shown in their last known state."""
        if member.known is not None:
            await self._attaching.attach(_attached(member, *absent(member.known.facts, _no_way(member))))

    async def _keep(self, host: HostId, way: JoinedHost) -> None:
        failures = 0
        while self._roster.find(host) is not None:
            way.poke.clear()
            try:
                failures = await self._ask(host, way, failures)
            except Exception:  # a programming error must not end the connection to a host
                failures += 1
                log.exception("the host %d could not be followed", host)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_pause(failures)):
                    await way.poke.wait()

    async def _ask(self, host: HostId, way: JoinedHost, failures: int) -> int:
        """Call it once. Returns how many calls in a row have failed, given how many had before."""
        try:
            asked = time.time()
            hello = await way.link.node.hello(API, deadline=DEADLINE)
            self._compare(host, _ahead(hello, (asked + time.time()) / 2))
            await self._heard(host, way, hello)
        except (HypervisorError, Refused) as error:
            await self._lost(host, way, _words(self._roster.get(host), error))
            if (failures + 1) % REDIAL == 0:  # the new connection presents our current certificate
                await self._redirect(way, *way.at)
            return failures + 1
        return 0

    async def _heard(self, host: HostId, way: JoinedHost, hello: Hello) -> None:
        member = self._roster.get(host)
        if not hello.api >= OLDEST:
            old = f"Velocity {hello.version} on {member.name} is too old for this server: upgrade it, then restart it"
            await self._lost(host, way, old)
            return
        self._tell_heard(host)
        known = Known.of(hello)
        if member.known != known or member.heard:
            member = self._roster.change(host, known=known, heard=0)
            await self.note(member)
        await self._attach(way, member)
        if way.trouble:  # set only once it is attached everywhere: from then on VMs can be placed there
            log.info("the host %s answers", member.name)
            way.trouble = ""
            self._roster.put(self._roster.get(host))
        if member.renewing:
            await self._settle(way, member, hello.serial)
        elif self._is_due(hello):
            await self._renew(way, member)

    def _compare(self, host: HostId, ahead: int) -> None:
        """Compare its clock with ours. A difference that has hardly changed is not reported again."""
        known = self._attaching.ahead.get(host, 0)
        if bool(ahead) == bool(known) and abs(ahead - known) < OFF:
            return
        self._attaching.ahead.pop(host, None)
        if ahead:
            self._attaching.ahead[host] = ahead
            log.warning("the clock of %s is %d seconds ahead of this server's", self._roster.get(host).name, ahead)
        self._roster.tell(host)

    async def _lost(self, host: HostId, way: JoinedHost, words: str) -> None:
        member = self._roster.get(host)
        first, changed, way.trouble = not way.trouble, way.trouble != words, words
        if first:
            log.warning("%s", words)
            if way.attached is not None:
                self._attaching.doubt(host, words)
        if member.known is not None and not member.heard:  # also of one that was lost while no server ran
            await self.note(self._roster.change(host, heard=int(self._clock())))
        elif changed:
            self._roster.put(member)
        if member.renewing:  # it may have taken the new certificate or not: the other one is tried next
            other = member.renewing if way.at[1] == member.serial else member.serial
            await self._redirect(way, member.address, other)

    async def _attach(self, way: JoinedHost, member: Member) -> None:
        if member.known is None:
            return
        attached = _attached(member, way.link.hypervisor, way.link.storage)
        if way.attached != attached:
            way.attached = attached
            await self._attaching.attach(attached)

    async def _redirect(self, way: JoinedHost, address: str, serial: str) -> None:
        way.at = (address, serial)
        await way.link.redirect(address, serial)

    async def note(self, member: Member) -> None:
        """Store what a host reported. A failure is only logged, as the host will report it again."""
        try:
            await self._store.note(member)
        except Refused as error:
            log.warning("what %s reported cannot be stored: %s", member.name, error.message)

    # Its certificate

    def _is_due(self, hello: Hello) -> bool:
        return self._clock() >= hello.certificate_expires - LEFT

    async def _renew(self, way: JoinedHost, member: Member) -> None:
        """Give it a new certificate. Until the node confirms that it has it, it may present either."""
        assert member.uuid is not None, "the server's own host has no certificate"
        request = await way.link.node.request(deadline=DEADLINE)
        signed = self._dialing().sign(way.authority, request.decode("ascii", "replace"), member.uuid)
        member = self._roster.change(member.host, renewing=signed.serial)
        await self._store.note(member)
        chain = signed.certificate + way.authority.certificate
        await way.link.node.renew(chain.encode(), deadline=DEADLINE)
        await self._settle(way, member, signed.serial)
        log.info("the certificate of the host %s was renewed", member.name)

    async def _settle(self, way: JoinedHost, member: Member, serial: str) -> None:
        """Note which of the two certificates it has."""
        if serial not in (member.serial, member.renewing):
            return
        member = self._roster.change(member.host, serial=serial, renewing="")
        await self._store.note(member)
        if way.at != (member.address, serial):
            await self._redirect(way, member.address, serial)


def _pause(failures: int) -> float:
    """Seconds until the next call, after so many failures in a row."""
    return EVERY if not failures else min(AGAIN[0] * 2 ** min(failures - 1, DOUBLED), AGAIN[1])


def _ahead(hello: Hello, now: float) -> int:
    seconds = round(hello.now - now) if hello.now else 0
    return seconds if abs(seconds) >= OFF else 0


def _words(member: Member, error: Exception) -> str:
    if isinstance(error, Unknown):
        return (
            f"{member.name} does not answer at {member.address}: {error}; start velocity-node there, let its "
            "firewall pass this server, or correct the address (`velocity node set "
            f"{shlex.quote(member.name)} --address`)"
        )
    return f"{member.name} refuses this server: {error}"


def _no_way(member: Member) -> str:
    if not member.joined:
        return (
            f"{member.name} was the server's own host before, and has not joined this server: `velocity node token "
            f"--again {member.name}` here, then `velocity node join --former-server` there"
        )
    return (
        f"{member.name} has to join again, as this database was moved here without the key that signs for hosts: "
        f"`velocity node token --again {member.name}`"
    )


def _attached(member: Member, hypervisor: Hypervisor, storage: Storage) -> AttachedHost:
    assert member.known is not None, "what is attached has been heard"
    known = member.known
    return AttachedHost(
        member.host, member.name, hypervisor, storage, known.pools, known.nics, member.duty, member.labels,
        known.version,
    )  # fmt: skip
