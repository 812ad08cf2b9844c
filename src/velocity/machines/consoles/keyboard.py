"""Who types into a serial console: one viewer at a time, at first the first one, until it is handed over.

Nothing waits here: `look` is called regularly, and with each step.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from msgspec import UNSET

from velocity.contract.consoles import Holder, KeyboardStatus, Move

PATIENCE = 10.0
"""Seconds that the holder has to answer; then the keyboard goes to the viewer who has asked."""


class Keyboard:
    """The keyboard of one run. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seats: list[Seat] = []
        self._holder: Seat | None = None
        self._asker: Seat | None = None
        self._asked = 0.0

    @property
    def deserted(self) -> bool:
        return not self._seats

    def join(self, name: str) -> Seat:
        """A seat for a new viewer, who is told the present state; the others are told about the viewer."""
        seat = Seat(self, name)
        self._seats.append(seat)
        self._tell()
        return seat

    def look(self) -> None:
        """Hand the keyboard over if the holder has not answered in time."""
        if self._asker is not None and self._clock() - self._asked >= PATIENCE:
            self._give_to(self._asker)

    def leave(self, seat: Seat) -> None:
        """Has no effect if the viewer has left already."""
        if seat not in self._seats:
            return
        self._seats.remove(seat)
        if self._asker is seat:
            self._asker = None
        if self._holder is seat:
            self._holder = self._asker
            self._asker = None
        self._tell()

    def types(self, seat: Seat) -> bool:
        """Whether this viewer's input counts; typing takes a free keyboard."""
        self.look()
        if self._holder is None:
            self._give_to(seat)
        return self._holder is seat

    def move(self, seat: Seat, move: Move) -> None:
        """Moves that are impossible by now have no effect: the holder may have changed meanwhile."""
        self.look()
        match move:
            case "ask" | "take" if self._holder is None:
                self._give_to(seat)
            case "ask" if self._holder is not seat and self._asker in (None, seat):
                if self._asker is None:
                    self._asker, self._asked = seat, self._clock()
                    self._tell()
            case "ask" | "take" if self._holder is not seat:
                seat.refuse()
            case "give" if self._holder is seat and self._asker is not None:
                self._give_to(self._asker)
            case "keep" if self._holder is seat and self._asker is not None:
                self._asker.refuse()
                self._asker = None
                self._tell()
            case "release" if self._holder is seat:
                self._give_to(self._asker)
            case _:
                pass

    def view(self, seat: Seat) -> KeyboardStatus:
        """The present state, for this viewer."""
        asks = self._asker.name if self._asker is not None and self._holder is seat else UNSET
        holder = Holder(holder=self._holder.name if self._holder else None, yours=self._holder is seat)
        return KeyboardStatus(viewers=[one.name for one in self._seats], keyboard=holder, asks=asks)

    def _give_to(self, seat: Seat | None) -> None:
        self._holder, self._asker = seat, None
        self._tell()

    def _tell(self) -> None:
        for seat in self._seats:
            seat.news.set()


class Seat:
    """One viewer. News are fetched when they can be sent, so that none pile up for a slow viewer."""

    def __init__(self, keyboard: Keyboard, name: str) -> None:
        self.name = name
        self.keyboard = keyboard
        self.news = asyncio.Event()
        self._refused = False

    def refuse(self) -> None:
        self._refused = True
        self.news.set()

    def fetch(self) -> list[KeyboardStatus]:
        """The messages to send now."""
        self.news.clear()
        refused, self._refused = self._refused, False
        return [*([KeyboardStatus(refused=True)] if refused else []), self.keyboard.view(self)]
