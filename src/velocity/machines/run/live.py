"""Changes running VMs: what is requested of a run, what is stored before and after, and what waits and why.

The VM's new specification is committed first. Until the hypervisor has reported what the run consists of now, the run
may correspond to it only in part; if the server is killed in between, the next one asks again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextvars import Context
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from msgspec import UNSET, UnsetType, structs

from velocity.access.naming import for_everybody
from velocity.contract.machines import Attachment, EmptyDrive, State
from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.disks import matched
from velocity.hypervisor.port import Altered, Bus, HypervisorError, Machines, MachineSpec, NotRunning, Unknown
from velocity.machines import rules
from velocity.machines.port import MachineStore
from velocity.machines.rules import Coming, Spec
from velocity.machines.run.mirrored import MirroredDisks
from velocity.machines.run.record import RETRY_DELAYS
from velocity.machines.settings import growth
from velocity.machines.settings.builder import Asked, Builder
from velocity.machines.settings.forecast import COLD

if TYPE_CHECKING:
    from velocity.machines.run.keeper import Keeper
    from velocity.machines.run.life import Life

log = logging.getLogger(__name__)

FIELDS = {"disks": "media", "memory": "memory_mib"}
"""Field of the hypervisor -> field of the VM, if the names differ."""
AT_LAST = "the change takes effect at its next start at the latest"
LATER = "its present run cannot take it"
"""The reason for a waiting change if nothing more is known."""


class LiveChanges:
    """Changes running VMs to their settings. `changed_claim` is called for a VM whose run has changed."""

    def __init__(
        self,
        store: MachineStore,
        hypervisor: Machines,
        builder: Builder,
        mirrors: MirroredDisks,
        changed_claim: Callable[[UUID], None],
        in_background: Callable[[Coroutine[Any, Any, Any]], None],
        cpus_came: Callable[[Life, int], None],
    ) -> None:
        """`cpus_came` is called with a VM that got CPUs while it runs, and their number."""
        self._in_background = in_background
        self._cpus_came = cpus_came
        self._timers: dict[UUID, asyncio.TimerHandle] = {}
        self._due: set[UUID] = set()
        self._closed = False
        self._store = store
        self._hypervisor = hypervisor
        self._builder = builder
        self._mirrors = mirrors
        self._changed_claim = changed_claim

    def ask_again(self, keeper: Keeper) -> None:
        """At once, or after a pause that grows while no answer comes."""
        uuid = keeper.machine.uuid
        if uuid in self._due or uuid in self._timers:
            return
        if not keeper.tries:
            self._begin(keeper)
            return
        pause = RETRY_DELAYS[min(keeper.tries, len(RETRY_DELAYS)) - 1]
        timer = asyncio.get_running_loop().call_later(pause, self._begin, keeper, context=Context())
        self._timers[uuid] = timer

    def _begin(self, keeper: Keeper) -> None:
        self._timers.pop(keeper.machine.uuid, None)
        self._due.add(keeper.machine.uuid)
        self._in_background(self._ask(keeper))

    async def _ask(self, keeper: Keeper) -> None:
        try:
            if keeper.unsettled:
                await keeper.alone(lambda: self.carry_out(keeper))
        except Refused as refused:
            log.warning("vm %d: its run is not changed: %s", keeper.machine.vmid, refused.message)
        finally:
            self._due.discard(keeper.machine.uuid)
            if keeper.unsettled and not self._closed:
                self.ask_again(keeper)

    def close(self) -> None:
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    async def made_of(self, keeper: Keeper) -> MachineSpec:
        """What its run consists of now, as the hypervisor reports. Raises `Refused`."""
        keeper.stale = True
        words, made = await self._carry_out(keeper)
        if made is None:
            raise Refused(Problem.HYPERVISOR, "; ".join(words) or "it has stopped meanwhile")
        return made

    async def carry_out(self, keeper: Keeper) -> list[str]:
        """Runs in the keeper's turn, so no other request comes between. Returns what could not be completed."""
        return (await self._carry_out(keeper))[0]

    async def _carry_out(self, keeper: Keeper) -> tuple[list[str], MachineSpec | None]:
        with for_everybody():  # the same words are kept as `Keeper.waits`
            return await self._change(keeper)

    async def _change(self, keeper: Keeper) -> tuple[list[str], MachineSpec | None]:
        stale, keeper.stale = keeper.stale, False
        keeper.tries += 1  # reset when the outcome is known
        tries = keeper.tries
        if keeper.progress.run is None or keeper.progress.wanted is State.STOPPED:
            return [], None
        if words := await self._mirrors.settle_left(keeper):
            return [words], None
        run, spec = keeper.progress.run, keeper.machine.spec
        if run is None:
            return [], None
        if not stale and not rules.waiting(spec, run) and run.coming is UNSET:
            keeper.waits, keeper.tries = {}, 0
            return [], None
        try:
            asked = await self._builder.asked(keeper.machine, run)
        except Refused as refused:
            keeper.waits = dict.fromkeys(rules.waiting(spec, run), refused.message)
            return [f"its devices cannot be changed while it runs ({refused.message}): {AT_LAST}"], None
        coming = rules.coming(spec, run, asked.spec)
        if not await self._note(keeper, run, structs.replace(run, coming=coming)):
            return ["what it is made of could not be written down: its devices stay until its next start"], None
        written = keeper.written or frozenset()
        keeper.written = written | set(coming.writes)
        self._builder.begin_writing(keeper.written - written)
        answer = await self._alter(keeper, asked, run.coming)
        if asked.away:  # once that pool is back, the run gets what it lacks
            keeper.stale, keeper.tries = True, tries
        return answer

    async def _alter(
        self, keeper: Keeper, asked: Asked, earlier: Coming | UnsetType
    ) -> tuple[list[str], MachineSpec | None]:
        """`earlier`: what an earlier call with an unknown outcome may have added."""
        spec, run = keeper.machine.spec, keeper.progress.run
        assert run is not None
        try:
            altered = await self._hypervisor.alter(keeper.who, asked.spec, deadline=rules.CALL_DEADLINE)
        except Unknown as error:
            keeper.waits = _waits(spec, run, {}, asked)
            keeper.mark_unknown(silent=True)
            words = f"it is not known whether its devices have changed ({error}): the server asks again, and {AT_LAST}"
            return [words], None
        except HypervisorError as error:
            keeper.tries = 0 if earlier is UNSET else keeper.tries
            await self._keep(keeper, run, structs.replace(run, coming=earlier))
            if isinstance(error, NotRunning):
                keeper.mark_unknown()
                return [], None
            keeper.waits = dict.fromkeys(rules.waiting(spec, run), str(error))
            return [f"its devices cannot be changed while it runs ({error}): {AT_LAST}"], None
        keeper.tries = 0
        await self._keep(keeper, run, run_after(run, spec, asked, altered.spec))
        keeper.waits = _waits(spec, keeper.progress.run, self._told(altered), asked)
        if altered.spec.cpus > run.cpus:
            self._cpus_came(keeper, altered.spec.cpus)
        return [], altered.spec

    def _told(self, altered: Altered) -> dict[str, str]:
        """Field -> the hypervisor's reason, with the names of media."""
        told: dict[str, list[str]] = {}
        for one in altered.waits:
            why = one.why if one.medium is None else f"{self._builder.called(one.medium)}: {one.why}"
            told.setdefault(FIELDS.get(one.field, one.field), []).append(why)
        return {field: "; ".join(dict.fromkeys(whys)) for field, whys in told.items()}

    async def _keep(self, keeper: Keeper, before: Spec, after: Spec) -> None:
        """Store what the run consists of now; if that fails, the next server asks again."""
        if await self._note(keeper, before, after):
            keeper.written = rules.written_by(after)
            self._changed_claim(keeper.machine.uuid)

    async def _note(self, keeper: Keeper, before: Spec, after: Spec) -> bool:
        """Store the run's specification. Returns whether the change may continue: the run has not ended."""
        if keeper.progress.run is not before:
            return False
        begins = after.coming is not UNSET
        if not begins:
            keeper.progress = replace(keeper.progress, run=after)
        try:
            await self._store.alter_run(keeper.machine.vmid, keeper.progress.epoch, after)
        except Refused as refused:
            log.warning("vm %d: what it is made of is not written: %s", keeper.machine.vmid, refused.message)
            return not begins
        if begins:
            if keeper.progress.run is not before:
                return False
            keeper.progress = replace(keeper.progress, run=after)
        return True


def _waits(spec: Spec, run: Spec | None, told: dict[str, str], asked: Asked) -> dict[str, str]:
    """Field that waits -> the reason."""
    lacks = {"media": asked.lacks} if asked.lacks else {}
    known = {**COLD, **told, **lacks}
    return {field: known.get(field, LATER) for field in rules.waiting(spec, run)}


def run_after(run: Spec, spec: Spec, asked: Asked, made: MachineSpec) -> Spec:
    """The stored specification of a run that the hypervisor reports to be `made`."""
    blocks = {disk.media.medium for disk in made.disks if disk.bus is Bus.BLOCK}
    started = {one.mid for one in run.media} - {*run.plugged}
    return structs.replace(
        run,
        coming=UNSET,
        media=_media_after(run, asked, made),
        drives=[EmptyDrive(cast("Any", bus.value)) for bus in made.drives],
        plugged=tuple(sorted(blocks - started)),
        writes=sorted({disk.media.medium for disk in made.disks if not disk.readonly}),
        **growth.after(run, spec, asked.spec, made),
    )


def _media_after(run: Spec, asked: Asked, made: MachineSpec) -> list[Attachment]:
    """The attachments as requested if the run has them; otherwise as before, with their present limits."""
    wanted = matched(made.disks, asked.spec.disks)
    attachments = {id(disk): one for disk, one in zip(asked.spec.disks, asked.media, strict=True)}
    had = {(one.mid, one.mode): one for one in reversed(run.media)}
    found = []
    for place, disk in enumerate(made.disks):
        asked_for = wanted.get(place)
        attachment = attachments.get(id(asked_for)) if asked_for is not None else None
        if attachment is not None and asked_for == disk:
            found.append(attachment)
            continue
        before = had.get((disk.media.medium, disk.bus.value)) or Attachment(disk.media.medium, disk.bus.value)
        limited = attachment is not None and asked_for is not None and asked_for.limits == disk.limits
        found.append(structs.replace(before, limits=attachment.limits) if limited and attachment else before)
    return found
