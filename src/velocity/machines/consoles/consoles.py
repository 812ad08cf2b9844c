"""Tickets for consoles, each valid for one websocket within 30 seconds; and the viewers of each console."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable

from msgspec import Struct

from velocity.access.bounds import BOUNDS, Waiting, check_own
from velocity.access.sessions import Caller
from velocity.contract.consoles import OpenConsole
from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.port import (
    ByteStream,
    Consoles,
    DisplayConsole,
    Incarnation,
    NotRunning,
    SerialConsole,
    Unknown,
)
from velocity.machines.consoles.following import FollowingStream
from velocity.machines.consoles.keyboard import Keyboard, Seat
from velocity.machines.consoles.screens import check_running, find_display
from velocity.machines.rules import CALL_DEADLINE
from velocity.machines.run.keeper import Keeper

LIFETIME = 30.0
MOST = 10_000
"""Seconds for which a ticket is valid, and the tickets that there can be."""
MOVES_WITHIN = 30.0
"""Seconds that a console waits for the outcome of its VM's move, unless that stands still between two hosts."""


class Ticket(Struct, frozen=True):
    """What a ticket opens, for whom, and until when (monotonic)."""

    caller: Caller
    vmid: int
    gid: int
    who: Incarnation
    which: SerialConsole | DisplayConsole
    expires: float


class VmConsoles:
    """Issues tickets and opens consoles, returns logs, and gives viewers seats at keyboards."""

    def __init__(
        self,
        consoles: Consoles,
        clock: Callable[[], float] = time.monotonic,
        own: int = BOUNDS.user_tickets,
        own_open: int = BOUNDS.user_consoles,
    ) -> None:
        """One user may have `own` tickets, and `own_open` consoles."""
        self.opened = Waiting(own_open, "consoles open", "user_consoles", "close one first")
        self._consoles = consoles
        self.clock = clock
        self._own = own
        self._tickets: dict[str, Ticket] = {}
        """In order of age: all are valid equally long."""
        self._counts: Counter[int] = Counter()
        """Tickets by user."""
        self._keyboards: dict[Incarnation, Keyboard] = {}
        """By the run as it began: viewers of a lost run may still be there when the next one is running."""

    def issue(self, caller: Caller, keeper: Keeper, request: OpenConsole) -> str:
        check_running(keeper)
        now = self.clock()
        while self._tickets and self._tickets[oldest := next(iter(self._tickets))].expires <= now:
            self._take(oldest)
        check_own(
            self._counts[caller.uid],
            self._own,
            "console tickets",
            "user_tickets",
            "use them, or try again in 30 seconds",
        )
        if len(self._tickets) >= MOST:
            raise Refused(Problem.TOO_MANY_ATTEMPTS, "too many console tickets are in use: try again in 30 seconds")
        name = secrets.token_urlsafe(24)
        which = (
            SerialConsole() if request.kind == "serial" else DisplayConsole(find_display(keeper, request.display)[0])
        )
        machine = keeper.machine
        self._tickets[name] = Ticket(caller, machine.vmid, machine.gid, keeper.who, which, now + LIFETIME)
        self._counts[caller.uid] += 1
        return name

    def _take(self, name: str) -> Ticket | None:
        ticket = self._tickets.pop(name, None)
        if ticket is not None:
            self._counts[ticket.caller.uid] -= 1
            if not self._counts[ticket.caller.uid]:
                del self._counts[ticket.caller.uid]
        return ticket

    async def log(self, keeper: Keeper, most: int) -> tuple[str, bool]:
        """The last bytes of its serial log, at most so many, and whether that is all there is."""
        try:
            said = await self._consoles.said(keeper.who.host, keeper.machine.uuid, most + 1, deadline=CALL_DEADLINE)
        except Unknown as error:
            raise Refused(Problem.UNAVAILABLE, f"{error}: try again later") from None
        return said[-most:].decode(errors="replace"), len(said) <= most

    def redeem(self, name: str) -> Ticket | None:
        """The ticket, which cannot be used again; None if it is unknown or used."""
        ticket = self._take(name)
        return ticket if ticket is not None and ticket.expires > self.clock() else None

    async def open(self, ticket: Ticket, find: Callable[[int], Keeper | None]) -> ByteStream | None:
        """The stream; None if the ticket's run has ended. Raises `Unknown` if its host does not respond.

        A serial stream continues on its VM's next host. A display's ends with a move, as RFB begins with a handshake.
        """
        who = _now(ticket.who, find(ticket.vmid))
        stream = await self._open(who, ticket)
        if stream is None or not isinstance(ticket.which, SerialConsole):
            return stream

        async def reopen() -> tuple[ByteStream, bool] | None:
            nonlocal who
            before, now = who, await _moved(who, find(ticket.vmid))
            following = None if now is None else await self._open(now, ticket)
            if now is None or following is None:
                return None
            who = now
            return following, now.host == before.host

        return FollowingStream(stream, reopen, lambda data: self._type_in(who, find(ticket.vmid), data))

    async def _type_in(self, who: Incarnation, keeper: Keeper | None, data: bytes) -> int:
        """How much of the input has not to be typed again: what was typed, on whichever host, or all if the run has
        ended.

        Raises `HypervisorError` if that is not known, or the host does not support the call.
        """
        if keeper is not None and keeper.passage.stands:
            await keeper.passage.follow(MOVES_WITHIN)
        now = _now(who, keeper)
        try:
            return await self._consoles.type_in(now, data, deadline=CALL_DEADLINE)
        except NotRunning:
            return 0 if await _moved(now, keeper) else len(data)

    async def _open(self, who: Incarnation, ticket: Ticket) -> ByteStream | None:
        try:
            return await self._consoles.open(who, ticket.which, deadline=CALL_DEADLINE)
        except NotRunning:
            return None

    def sit(self, ticket: Ticket, name: str, keeper: Keeper | None) -> Seat | None:
        """A seat at the keyboard of a serial console, until `rise`; None for displays."""
        if not isinstance(ticket.which, SerialConsole):
            return None
        run = _begun(ticket.who, keeper)
        return self._keyboards.setdefault(run, Keyboard(lambda: self.clock())).join(name)

    def rise(self, seat: Seat) -> None:
        """The viewer has left."""
        seat.keyboard.leave(seat)
        if seat.keyboard.deserted:
            self._keyboards = {run: one for run, one in self._keyboards.items() if one is not seat.keyboard}


def _now(who: Incarnation, keeper: Keeper | None) -> Incarnation:
    """What the ticket's run is now, after moves to other hosts."""
    return keeper.who if keeper is not None and who in keeper.passage.formerly else who


def _begun(who: Incarnation, keeper: Keeper | None) -> Incarnation:
    """What that run was before it moved to other hosts."""
    runs = () if keeper is None else (*keeper.passage.formerly, keeper.who)
    return runs[0] if who in runs else who


async def _moved(who: Incarnation, keeper: Keeper | None) -> Incarnation | None:
    """What the run has become on another host; None if it has ended."""
    if keeper is None:
        return None
    await keeper.passage.follow(MOVES_WITHIN)
    now = _now(who, keeper)
    return None if now == who or not keeper.lives else now


def has_moved(ticket: Ticket, keeper: Keeper | None) -> bool:
    """Whether the ticket's run continues on another host."""
    return keeper is not None and _now(ticket.who, keeper) != ticket.who and keeper.lives
