"""The observer of one host: receives its facts, reconnects with back-off, resynchronizes, and feeds the keepers."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextvars import Context
from typing import Any, Protocol
from uuid import UUID

from msgspec import Struct

from velocity.hypervisor.port import (
    Fact,
    FactCause,
    FactReport,
    HostId,
    HypervisorError,
    Incarnation,
    Listing,
    Machines,
    Unknown,
)

log = logging.getLogger(__name__)

ADOPT_DEADLINE = 2.0
LOOK_DEADLINE = 1.0
"""Seconds for a host to list its runs, and to answer about one of them."""
HEAR_DEADLINE = 10.0
"""Seconds within which the fact of a completed call must arrive."""
RETRY_DELAYS = (0.1, 0.2, 0.4, 0.8, 1.0)
"""Seconds between questions to a host or machine that does not respond; the last one repeats."""


class HostLost(Struct, frozen=True):
    """The host does not respond: the known states of its machines may be outdated."""

    host: HostId
    words: str


class HostBack(Struct, frozen=True):
    """The host answers again, and the state of its machines is known. `ended`: runs declared over that it still had."""

    host: HostId
    ended: tuple[Incarnation, ...] = ()


class FactConsumer(Protocol):
    """What receives the facts of an observer: a keeper."""

    number: int
    """The number of the last fact that was applied."""

    @property
    def who(self) -> Incarnation: ...

    @property
    def doubtful(self) -> bool:
        """Whether it did not respond, and no fact has come since."""

    @property
    def lives(self) -> bool:
        """Whether it runs or is about to, as far as known."""

    @property
    def busy(self) -> bool:
        """Whether a request for it is under way."""

    def mark_unknown(self) -> None:
        """Its state may be outdated: ask until a fact comes."""

    def apply_fact(self, news: FactReport) -> None: ...

    def host_lost(self) -> None: ...

    def host_back(self) -> None: ...


async def nothing_is_over(who: Incarnation) -> None:
    """For hosts that are never confirmed dead."""


class Observer:
    """The observer of one host. `keeper` finds a machine's keeper, `keepers` are those of this host.

    `heard` is called with each fact that a keeper has taken, `changed` when the host is lost or back. `passing` tells
    whether a run that no VM here has belongs to a VM that is moving. `over` tells whether a run has ended because its
    host was confirmed dead: no keeper hears of such a run, and `end` ends it.
    """

    def __init__(
        self,
        host: HostId,
        hypervisor: Machines,
        keeper: Callable[[UUID], FactConsumer | None],
        keepers: Callable[[], Iterable[FactConsumer]],
        heard: Callable[[FactReport], None] = lambda news: None,
        passing: Callable[[FactReport], bool] = lambda news: False,
        changed: Callable[[HostLost | HostBack], None] = lambda news: None,
        over: Callable[[Incarnation], bool] = lambda who: False,
        end: Callable[[Incarnation], Awaitable[object]] = nothing_is_over,
    ) -> None:
        self._host = host
        self._hypervisor = hypervisor
        self._keeper = keeper
        self._keepers = keepers
        self._heard = heard
        self._passing = passing
        self._changed = changed
        self._over = over
        self._end = end
        self._ended: list[Incarnation] = []
        self._doubts = 0
        """How often its state was doubted: answers to earlier questions do not count."""
        self._number = 0
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._stale = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._looking: dict[Incarnation, asyncio.Task[None]] = {}
        self.lost = False
        self.listing: Listing | None = None
        """The host's last number."""
        self.unknown: dict[Incarnation, FactReport] = {}
        """Runs on the host that belong to no VM, or to an earlier run of one."""

    async def open(self) -> None:
        """Learn what runs there, if the host responds in time, and keep watching."""
        try:
            await self._resync()
        except Exception as error:
            self._fail(error)
            self._stale.set()
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(one, context=Context()) for one in (self._read(), self._keep_fresh())]

    async def close(self) -> None:
        tasks = [*self._tasks, *self._looking.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def reached(self, number: int | None) -> None:
        """Returns when all facts up to that number have arrived. Raises `Unknown`.

        `number` None, from a driver without numbers: the caller has to check the present facts.
        """
        if number is None or number <= self._number:
            return
        if self.lost:
            raise Unknown(f"host {self._host} does not respond")
        reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((number, reached))
        try:
            async with asyncio.timeout(HEAR_DEADLINE):
                await reached
        except TimeoutError:
            raise Unknown(f"host {self._host} has not reported the result") from None

    async def strangers_acknowledged(self) -> None:
        """Returns when the ends that belong to no VM are acknowledged, or cannot be now."""
        tasks = [task for who, task in self._looking.items() if self._keeper(who.machine) is None]
        if tasks:
            await asyncio.wait(tasks)

    def doubt(self, words: str) -> None:
        """The host counts as lost until it has reported again what runs there."""
        self._doubts += 1
        self._lose(words)
        self._stale.set()

    def look(self, keeper: FactConsumer) -> None:
        """Ask for the state of a machine, repeatedly until a fact comes."""
        if keeper.who not in self._looking:
            self._do(keeper.who, self._look(keeper.who, keeper))

    def _do(self, who: Incarnation, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, context=Context())
        self._looking[who] = task
        task.add_done_callback(lambda _: self._looking.pop(who, None))

    async def _look(self, who: Incarnation, keeper: FactConsumer) -> None:
        tries = 0
        while keeper.doubtful and keeper.who == who:
            try:
                self._feed(await self._hypervisor.facts(who, deadline=LOOK_DEADLINE))
            except HypervisorError:
                pass  # a lost host reports everything when it is back
            except Exception:
                if not tries:
                    log.exception("machine %s, run %d: its state cannot be asked, retrying", who.machine, who.epoch)
            if keeper.doubtful:
                await asyncio.sleep(_pause(tries))
                tries += 1

    async def _acknowledge(self, who: Incarnation) -> None:
        """Acknowledge an end that nobody here waits for. A host that misses this reports it again."""
        with contextlib.suppress(HypervisorError):
            await self._hypervisor.acknowledge(who, deadline=LOOK_DEADLINE)

    async def _read(self) -> None:
        tries = 0
        while True:
            try:
                async for news in self._hypervisor.news(self._host):
                    tries = 0
                    self._feed(news)
                    self._heard_up_to(news.number)
            except Exception as error:
                self._fail(error)
            self._stale.set()
            await asyncio.sleep(_pause(tries))
            tries += 1

    async def _keep_fresh(self) -> None:
        while True:
            await self._stale.wait()
            self._stale.clear()
            for tries in itertools.count():
                try:
                    await self._resync()
                    break
                except Exception as error:
                    self._fail(error)
                    await asyncio.sleep(_pause(tries))

    async def _resync(self) -> None:
        """Turn the list of what runs there into facts, also for what does not. Raises `HypervisorError`."""
        if self.lost:
            for keeper in self._keepers():
                keeper.number = 0  # the host numbers its facts from the beginning again
        listing = self.listing = await self._adopt()
        self.unknown.clear()
        for found in listing.found:
            self._feed(found)
        if listing.complete:
            there = {found.who for found in listing.found}
            for keeper in list(self._keepers()):
                if not keeper.lives or keeper.who in there:
                    continue
                if keeper.busy:  # the request may not have reached the host yet
                    keeper.mark_unknown()
                else:
                    self._feed(FactReport(keeper.who, Fact.ABSENT, FactCause.UNKNOWN, number=listing.number))
        for keeper in list(self._keepers()):
            if keeper.doubtful:
                self.look(keeper)
        self._heard_up_to(listing.number)  # earlier facts that were missed do not come any more
        if self.lost:
            self.lost = False
            log.info("host %d responds again", self._host)
            for keeper in list(self._keepers()):
                keeper.host_back()
            ended, self._ended = tuple(self._ended), []
            self._changed(HostBack(self._host, ended))

    async def _adopt(self) -> Listing:
        """What runs there, after ended runs were ended. Raises `HypervisorError`."""
        doubts = self._doubts
        listing = await self._hypervisor.adopt(self._host, deadline=ADOPT_DEADLINE)
        over = [one.who for one in listing.found if one.fact is not Fact.ENDED and self._over(one.who)]
        for who in over:
            log.warning("machine %s, run %d: its host was confirmed dead since: it is ended", who.machine, who.epoch)
            await self._end(who)
            self._ended.append(who)
        if over:
            raise Unknown("runs that are over were ended there: asking again")
        if doubts != self._doubts:
            raise Unknown("its connection was in doubt meanwhile: asking again")
        return listing

    def _fail(self, error: Exception) -> None:
        """It does not respond, or has failed unexpectedly: no exception ends the watch over its machines."""
        if not isinstance(error, HypervisorError) and not self.lost:
            log.error("host %d: its runs cannot be determined", self._host, exc_info=error)
        self._lose(str(error) or repr(error))

    def _lose(self, words: str) -> None:
        for _, reached in self._waiting:
            if not reached.done():
                reached.set_exception(Unknown(words))
        self._waiting.clear()
        if not self.lost:
            self.lost = True
            self._number = 0
            log.warning("host %d does not respond, retrying: %s", self._host, words)
            for keeper in list(self._keepers()):
                keeper.host_lost()
            self._changed(HostLost(self._host, words))

    def _feed(self, news: FactReport) -> None:
        keeper = self._keeper(news.who.machine)
        if self._over(news.who):
            self._hear_what_is_over(news)
        elif keeper is None or news.who.host != keeper.who.host or news.who.epoch < keeper.who.epoch:
            self._set_aside(news)
        else:
            try:
                keeper.apply_fact(news)
                self._heard(news)
            except Exception:  # a faulty one must not hold up the facts of others
                log.exception("machine %s, run %d: a fact could not be applied", news.who.machine, news.who.epoch)

    def _hear_what_is_over(self, news: FactReport) -> None:
        """A fact of an ended run changes nothing: if it runs, it is ended."""
        if news.fact not in (Fact.ENDED, Fact.ABSENT):
            self._stale.set()
        elif news.fact is Fact.ENDED and news.who not in self._looking:
            self._do(news.who, self._acknowledge(news.who))

    def _heard_up_to(self, number: int) -> None:
        self._number = max(self._number, number)
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        for number, reached in waiting:
            if number > self._number:
                self._waiting.append((number, reached))
            elif not reached.done():
                reached.set_result(None)

    def _set_aside(self, news: FactReport) -> None:
        """A run that belongs to no VM is reported, and left alone."""
        if news.fact in (Fact.ENDED, Fact.ABSENT):
            if self.unknown.pop(news.who, None) is not None:
                log.info("machine %s, run %d: ended; it belongs to no VM here", news.who.machine, news.who.epoch)
            if news.fact is Fact.ENDED and news.who not in self._looking:
                self._do(news.who, self._acknowledge(news.who))
        elif not self._passing(news) and news.who not in self.unknown:
            log.warning(
                "machine %s, run %d: running on host %d, but it belongs to no VM here: see `velocity doctor`",
                news.who.machine, news.who.epoch, self._host,
            )  # fmt: skip
            self.unknown[news.who] = news


def _pause(tries: int) -> float:
    return RETRY_DELAYS[min(tries, len(RETRY_DELAYS) - 1)]
