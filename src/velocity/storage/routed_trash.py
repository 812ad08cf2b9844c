"""Where objects belong, in the storage of all hosts: a host that does not respond is told later."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context

from velocity.contract.problems import Refused
from velocity.storage.patience import Patience
from velocity.storage.port import Belongs, MediaRef, Unknown
from velocity.storage.ways import Part, Ways

log = logging.getLogger(__name__)


class RoutedTrash:
    """Implements `velocity.storage.port.Trash`. A host that does not respond is told later.

    An object that is made, moved away and made again has the same name each time. So none is begun, hidden or restored
    while an earlier call about it may still take effect.
    """

    def __init__(self, ways: Ways, patience: Patience, again: float) -> None:
        part = Part(ways, "trash", self.doubt)
        self._ways = ways
        self._patience = patience
        self._again = again
        self._lift, self._restore, self._held = part.lift, part.restore, part.held
        self.hidden: set[MediaRef] = set()
        """Objects on other hosts that were begun and are not settled yet: these are not leftovers."""
        self._lifted: set[MediaRef] = set()
        """Objects on other hosts that were lifted and are not settled yet."""
        self._left: dict[MediaRef, Belongs] = {}
        self._given_up: dict[MediaRef, int] = {}
        """Targets of jobs that have to be cancelled, with the jobs' hosts."""
        self._doubts: dict[MediaRef, int] = {}
        """Objects in shared pools with an unknown outcome, with the host that has not responded."""
        self._telling: asyncio.Task[None] | None = None

    def doubt(self, ref: MediaRef, host: int) -> None:
        self._doubts[ref] = host

    def answered(self, mpid: int, host: int) -> None:
        """Earlier calls to the host are over in that pool."""
        self._doubts = {ref: at for ref, at in self._doubts.items() if (ref.pool, at) != (mpid, host)}

    def check(self, ref: MediaRef, *, begins: bool = True) -> None:
        """Raises `Unknown` if it is in doubt, or, if it `begins`, an older object of that name is not removed yet."""
        host = self._doubts.get(ref)
        if host is not None and (called := self._ways.called(host)):
            raise Unknown(f"{called} has not reported the result: wait until it responds")
        if begins and (ref in self._left or ref in self._given_up):
            raise Unknown("what was there before has not been removed yet: try again in a moment")

    @contextmanager
    def begun(self, ref: MediaRef) -> Iterator[None]:
        """Within, a new object is begun. If its host's answer is lost, the host is told later that it belongs nowhere.

        Raises as `check` does.
        """
        self.check(ref)
        if not self._ways.called_if_other(ref.pool):
            yield
            return
        known = ref in self.hidden
        self.hidden.add(ref)
        try:
            yield
        except BaseException as error:
            lost = not isinstance(error, Refused) or isinstance(error, Unknown)
            if not lost or not self._patience.waits_for(ref.pool):
                if not known:
                    self.hidden.discard(ref)
            elif ref not in self._left:
                self._tell_later(ref, Belongs.NOWHERE)
            raise

    async def lift(self, ref: MediaRef, *, deadline: float) -> None:
        async def attempt() -> None:
            self.check(ref, begins=False)
            self._left.pop(ref, None)
            await self._lift(ref, deadline=deadline)
            if self._patience.waits_for(ref.pool):
                self._lifted.add(ref)

        await self._patience.ask(ref.pool, attempt)

    async def restore(self, ref: MediaRef, *, deadline: float) -> None:
        self.check(ref, begins=False)
        self._left.pop(ref, None)
        await self._restore(ref, deadline=deadline)

    async def held(self, pool: int, refs: tuple[MediaRef, ...] | None, *, deadline: float) -> int:
        async def attempt() -> int:
            held: int = await self._held(pool, refs, deadline=deadline)
            return held

        return await self._patience.ask(pool, attempt)

    async def settle(self, ref: MediaRef, belongs: Belongs, *, deadline: float) -> None:
        self._left.pop(ref, None)
        host = self._ways.host_of(ref.pool)
        try:
            await self._settle(ref, belongs, deadline)
        except Unknown:
            if self._ways.is_shared(ref.pool):
                self.doubt(ref, host)
            self._tell_later(ref, belongs)
        except Refused:
            self._tell_later(ref, belongs)
        except Exception:  # a bug of ours, or a host without threads
            log.exception("%s cannot be put where it belongs now", ref)
            self._tell_later(ref, belongs)
        else:
            self.hidden.discard(ref)

    async def _settle(self, ref: MediaRef, belongs: Belongs, deadline: float) -> None:
        storage = self._ways.storage_of(ref.pool)
        goes = ref in self._lifted and belongs is not Belongs.KEPT
        if goes:
            await storage.trash.lift(ref, deadline=deadline)  # a host that was restarted since has put it back
        await storage.trash.settle(ref, belongs, deadline=deadline)
        if goes and (await storage.blobs.stat(ref.pool, (ref,), deadline=deadline))[0] is not None:
            raise Unknown("it was put back at this moment")
        self._lifted.discard(ref)

    def give_up(self, target: MediaRef, host: int, *, made: bool) -> None:
        """The end of its job is unknown: cancel it when its host responds. Unless it was `made`, nothing is left."""
        self._given_up[target] = host
        if made:
            self._tell_soon()
        else:
            self._tell_later(target, Belongs.NOWHERE)

    def _tell_later(self, ref: MediaRef, belongs: Belongs) -> None:
        self._left[ref] = belongs
        self._tell_soon()

    def _tell_soon(self) -> None:
        if self._telling is None:
            self._telling = asyncio.get_running_loop().create_task(self._tell(), context=Context())

    async def _tell(self) -> None:
        while self._left or self._given_up:
            await asyncio.sleep(self._again)
            for ref in {**self._given_up, **self._left}:
                await self._tell_one(ref)
        self._telling = None

    async def _tell_one(self, ref: MediaRef) -> None:
        try:
            if (host := self._given_up.get(ref)) is not None:
                if self._ways.called(host):  # otherwise the host is gone, with its jobs
                    await self._ways.storage_on(host).jobs.cancel(ref, deadline=self._again)
                self._given_up.pop(ref, None)
            if (belongs := self._left.get(ref)) is None:
                return
            await self._settle(ref, belongs, self._again)
        except Refused:
            return
        except Exception:  # as above: it is repeated
            log.debug("%s cannot be put where it belongs yet", ref, exc_info=True)
            return
        if self._left.get(ref) is belongs:
            del self._left[ref]
            self.hidden.discard(ref)

    async def close(self) -> None:
        """What is left is done by the next server, when it opens the pools."""
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.wait({self._telling})
