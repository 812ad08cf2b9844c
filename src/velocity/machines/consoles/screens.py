"""Pictures of displays, at most one in two seconds of each, shared by all who ask; and the text in them."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from msgspec import UnsetType

from velocity.access.bounds import BOUNDS, Waiting
from velocity.contract.machines import State
from velocity.contract.problems import Problem, Refused
from velocity.contract.screens import Hit, Hits
from velocity.hypervisor.port import HypervisorError, Incarnation, NotRunning, Screens
from velocity.machines.consoles.ocr import Ocr
from velocity.machines.consoles.pictures import encoded, scaled
from velocity.machines.consoles.slots import Slots
from velocity.machines.run.keeper import Keeper

EVERY = 2.0
"""Seconds between two pictures of one display."""
DEADLINE = 5.0
"""Seconds for one picture."""
AT_ONCE = 16
HOLD = 1.0
"""Pictures that are taken at a time, and the seconds after which a slow one lets others begin."""
ENCODED_AT_ONCE = 2
"""Pictures that are encoded at a time."""
KEPT = 256
KEPT_SECONDS = 60.0
"""Displays whose last picture is kept, and the seconds for which it is kept after a request."""
WIDTHS = 4
"""Scaled copies that are kept of a picture."""
SEARCHED, TOGETHER = 256, 8
SEARCH_SECONDS = 30.0
"""Displays that a search reads, how many at a time, and its time limit."""


@dataclass(eq=False)
class Picture:
    """What a display showed. `hash` is of its pixels; the text is read once, when it is requested."""

    display: str
    width: int
    height: int
    hash: str
    png: bytes
    taken: int
    scaled: OrderedDict[int, bytes] = field(default_factory=OrderedDict)
    reading: asyncio.Task[str] | None = None


@dataclass(eq=False)
class Frame:
    """One display's pictures: when one was last begun and requested, the present attempt, and the last success."""

    begun: float
    asked: float
    attempt: asyncio.Future[Picture]
    last: Picture | None = None


class VmScreens:
    """Pictures of the displays of all VMs, and the text in them."""

    def __init__(
        self,
        screens: Screens,
        ocr: Ocr,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        own: int = BOUNDS.user_pictures,
    ) -> None:
        """One user may wait for `own` pictures or readings at a time."""
        self.ocr = ocr
        self.waiting = Waiting(own, "pictures or readings of screens under way", "user_pictures")
        self.clock = clock
        self._screens = screens
        self._now = now
        self._taking = Slots(AT_ONCE, HOLD)
        self._encoding = asyncio.Semaphore(ENCODED_AT_ONCE)
        self._frames: OrderedDict[tuple[Incarnation, int], Frame] = OrderedDict()

    async def close(self) -> None:
        """Cancel what is under way."""
        frames = self._frames.values()
        tasks: list[asyncio.Future[Any]] = [frame.attempt for frame in frames]
        tasks += [frame.last.reading for frame in frames if frame.last and frame.last.reading]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def picture(self, keeper: Keeper, display: str | UnsetType) -> Picture:
        """A picture of its display, at most two seconds old. Raises `Refused`."""
        check_running(keeper)
        index, name = find_display(keeper, display)
        key = (keeper.who, index)
        now = self.clock()
        frame = self._frames.get(key)
        if frame is None:
            frame = self._frames[key] = Frame(now, now, asyncio.create_task(self._take(key, name)))
            frame.attempt.add_done_callback(_heard)
        elif frame.attempt.done() and now - frame.begun >= EVERY:
            frame.attempt = asyncio.create_task(self._take(key, name))
            frame.attempt.add_done_callback(_heard)
        frame.asked = now
        self._frames.move_to_end(key)
        self._forget(now)
        try:
            return await asyncio.shield(frame.attempt)
        except NotRunning:
            raise _stopped(keeper, State.STOPPED) from None
        except HypervisorError as error:
            raise Refused(Problem.HYPERVISOR, f"{keeper.called}: no picture of its display: {error}") from None

    async def text(self, picture: Picture, uid: int) -> str:
        """The text in it; `uid` is the user who waits. Raises `Refused`."""
        self.ocr.check()
        if picture.reading is None:
            picture.reading = asyncio.create_task(self.ocr.read(picture.png, uid))
        try:
            return await asyncio.shield(picture.reading)
        except Exception:
            picture.reading = None  # so that the next request tries again
            raise

    async def scaled(self, picture: Picture, width: int | None) -> bytes:
        """Its PNG, no wider than `width`."""
        if width is None or width >= picture.width:
            return picture.png
        if width not in picture.scaled:
            async with self._encoding:
                picture.scaled[width] = await asyncio.to_thread(scaled, picture.png, width)
            while len(picture.scaled) > WIDTHS:
                picture.scaled.popitem(last=False)
        return picture.scaled[width]

    async def search(self, keepers: Iterable[Keeper], text: str, uid: int) -> Hits:
        """The lines that contain the text, ignoring case, as far as the time allows. Raises `Refused(NO_READER)`."""
        self.ocr.check()
        every = [(keeper, name) for keeper in keepers if _runs(keeper) for name in _names(keeper)]
        looked = every[:SEARCHED]
        turn = asyncio.Semaphore(TOGETHER)
        tasks = [asyncio.create_task(self._lines(keeper, name, text.casefold(), uid, turn)) for keeper, name in looked]
        try:
            if tasks:
                await asyncio.wait(tasks, timeout=SEARCH_SECONDS)
        finally:
            for task in tasks:
                task.cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        hits: list[Hit] = []
        complete = looked == every
        for (keeper, name), lines in zip(looked, found, strict=True):
            if isinstance(lines, list):
                hits += [Hit(vmid=keeper.machine.vmid, display=name, line=line) for line in lines]
            else:
                complete = complete and not _runs(keeper)
        return Hits(hits=hits, complete=complete)

    async def _lines(
        self, keeper: Keeper, display: str, wanted: str, uid: int, turn: asyncio.Semaphore
    ) -> list[str] | None:
        """None: there was no picture, or it could not be read."""
        try:
            async with turn:
                said = await self.text(await self.picture(keeper, display), uid)
        except Refused:
            return None
        return [line for line in said.splitlines() if wanted in line.casefold()]

    async def _take(self, key: tuple[Incarnation, int], name: str) -> Picture:
        async with self._taking.take():
            frame = self._frames[key]
            frame.begun = self.clock()
            pixels = await self._screens.shot(*key, deadline=DEADLINE)
            taken = int(self._now())
            async with self._encoding:
                known = await asyncio.to_thread(lambda: hashlib.sha256(pixels).hexdigest()[:32])
                if frame.last is None or frame.last.hash != known:
                    width, height, png = await asyncio.to_thread(encoded, pixels)
                    frame.last = Picture(name, width, height, known, png, taken)
            frame.last.taken = taken
            return frame.last

    def _forget(self, now: float) -> None:
        """Forget pictures that nobody has requested recently, and the oldest of too many; but none that are under two
        seconds old.
        """
        many = len(self._frames) - KEPT
        for number, (key, frame) in enumerate(list(self._frames.items())):
            if number >= many and now - frame.asked < KEPT_SECONDS:
                return
            if frame.attempt.done() and now - frame.begun >= EVERY:
                del self._frames[key]


def check_running(keeper: Keeper) -> None:
    """Raises `Refused(VM_STOPPED)`."""
    if not _runs(keeper):
        raise _stopped(keeper, keeper.state)


def find_display(keeper: Keeper, display: str | UnsetType) -> tuple[int, str]:
    """A display's index in the run, and its name; absent: the first. Raises `Refused(DISPLAY_NOT_FOUND)`."""
    names = _names(keeper)
    if not isinstance(display, str):
        if names:
            return 0, names[0]
        raise Refused(Problem.DISPLAY_NOT_FOUND, f"{keeper.called} has no display", field="display")
    if display in names:
        return names.index(display), display
    listed = ", ".join(map(repr, names)) or "none"
    words = f"{keeper.called} has no display {display!r}; its displays are: {listed}"
    raise Refused(Problem.DISPLAY_NOT_FOUND, words, field="display")


def _heard(attempt: asyncio.Future[Picture]) -> None:
    """Mark its exception as retrieved: those that wait get it, if there still are any."""
    if not attempt.cancelled():
        attempt.exception()


def _names(keeper: Keeper) -> list[str]:
    return [display.name for display in (keeper.progress.run or keeper.machine.spec).displays]


def _runs(keeper: Keeper) -> bool:
    return keeper.state not in (State.STOPPED, State.STARTING)


def _stopped(keeper: Keeper, state: State) -> Refused:
    return Refused(Problem.VM_STOPPED, f"{keeper.called} is {state.value}: start it first", field="vmid")
