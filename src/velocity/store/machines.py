"""The queries of machines."""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from sqlalchemy import Connection, bindparam, case, delete, insert, select, update

from velocity.access.rules import Discarded
from velocity.contract.machines import NextBoot, Reason, State
from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.attached import FIRST_HOST
from velocity.hypervisor.port import HostId
from velocity.machines.rules import Machine, RunRecord, Spec, Unreadable
from velocity.media.rules import Medium
from velocity.store.database import Database
from velocity.store.discard import discard, discarded_rows
from velocity.store.media import row_of
from velocity.store.prepared import Prepared
from velocity.store.purged import note_purged
from velocity.store.tables import hosts, machines
from velocity.store.tables import media as media_table

log = logging.getLogger(__name__)
T = TypeVar("T")

_reason = msgspec.json.Decoder(Reason)
_spec = msgspec.json.Decoder(Spec)
_next_boot = msgspec.json.Decoder(NextBoot)

_NAMES = (
    "vmid",
    "uuid",
    "gid",
    "name",
    "spec",
    "epoch",
    "wanted",
    "reason",
    "stopping_since",
    "run_spec",
    "stop_forced",
    "restarting",
    "host_id",
    "next_boot",
    "frozen_until",
    "created",
)
_kept = select(*(machines.c[name] for name in _NAMES))

# The statements of each start and stop. Building one takes longer than executing it, so each is built once.
_of = machines.c.vmid == bindparam("of")
_add = insert(machines).returning(machines.c.vmid)
_alter = update(machines).where(_of)
_lives = select(hosts.c.host_id).where(
    (hosts.c.host_id == bindparam("on")) & hosts.c.dead_at.is_(None) & hosts.c.blocklisted.is_(None)
)
NEXT_EPOCH = 1 + case((machines.c.tried_epoch > machines.c.epoch, machines.c.tried_epoch), else_=machines.c.epoch)
"""An epoch higher than those of all runs of the VM, including planned ones on other hosts."""
_begin_run = Prepared(
    update(machines)
    .where(_of & _lives.exists())
    .values(
        epoch=NEXT_EPOCH,
        reason=None,
        stopping_since=None,
        stop_forced=False,
        next_boot=None,
        frozen_until=None,
        host_id=bindparam("on"),
    )
    .returning(machines.c.epoch)
)
# Runs with a higher epoch were started before this database was restored from an older copy.
_progress = update(machines).where(_of & (machines.c.epoch <= bindparam("run"))).values(epoch=bindparam("run"))
_keep_progress = Prepared(_progress)
_alter_run = update(machines).where(_of & (machines.c.epoch == bindparam("run")) & machines.c.run_spec.is_not(None))
_keep_end = Prepared(_progress.values(run_spec=None))


class SqlMachines:
    """Implements `velocity.machines.port.MachineStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def load(self, own: HostId) -> tuple[list[tuple[Machine, RunRecord]], list[Unreadable]]:
        def work(connection: Connection) -> tuple[list[tuple[Machine, RunRecord]], list[Unreadable]]:
            if connection.execute(select(hosts.c.host_id).where(hosts.c.host_id == own)).first() is None:
                connection.execute(insert(hosts).values(host_id=own, name="this host"))
            loaded, unreadable = [], []
            for row in connection.execute(_kept).all():
                try:
                    loaded.append(_machine(*row))
                except ValueError as error:  # including msgspec's errors
                    unreadable.append(Unreadable(row.vmid, row.uuid, row.gid, row.name, str(error)))
            return loaded, unreadable

        return self._database.read(work)

    def discarded(self) -> dict[str, int]:
        trashed = self._database.read(discarded_rows)
        return {row["uuid"]: _last_place(row["spec"]) for rows in trashed for row in rows.get("machines", ())}

    async def add(self, machine: Machine, media: Sequence[Medium] = ()) -> int:
        values = {
            "uuid": str(machine.uuid),
            "host_id": machine.host,
            "gid": machine.gid,
            "name": machine.name,
            "spec": msgspec.json.encode(machine.spec).decode(),
            "epoch": 0,
            "wanted": State.STOPPED.value,
            "created": machine.created,
        }

        def work(connection: Connection) -> int:
            if media:
                connection.execute(insert(media_table), [row_of(one) for one in media])
            return int(connection.execute(_add, values).scalar_one())

        return await self._database.write(work)

    async def remove(self, vmid: int, discarded: Discarded | None = None, media: Collection[UUID] = ()) -> None:
        what = {"machines": machines.c.vmid == vmid, "media": media_table.c.mid.in_(map(str, media))}

        def work(connection: Connection) -> None:
            if discarded is not None:
                discard(connection, discarded, what if media else {"machines": what["machines"]})
            else:
                note_purged(connection, what["machines"])
            connection.execute(delete(machines).where(what["machines"]))
            if media:
                connection.execute(delete(media_table).where(what["media"]))

        await self._database.write(work)

    async def alter(self, vmid: int, name: str, spec: Spec) -> None:
        values = {"of": vmid, "name": name, "spec": msgspec.json.encode(spec).decode()}
        await self._database.write(lambda connection: connection.execute(_alter, values) and None)

    async def move(self, vmid: int, gid: int, spec: Spec, media: Collection[UUID]) -> None:
        values = {"gid": gid, "spec": msgspec.json.encode(spec).decode()}

        def work(connection: Connection) -> None:
            connection.execute(update(machines).where(machines.c.vmid == vmid).values(values))
            if media:
                moved = media_table.c.mid.in_(map(str, media))
                connection.execute(update(media_table).where(moved).values(gid=gid))

        await self._database.write(work)

    async def alter_run(self, vmid: int, epoch: int, spec: Spec) -> None:
        values = {"of": vmid, "run": epoch, "run_spec": msgspec.json.encode(spec).decode()}
        await self._database.write(lambda connection: connection.execute(_alter_run, values) and None)

    async def begin_run(self, vmid: int, wanted: State, spec: Spec, host: HostId) -> int:
        run = msgspec.json.encode(spec).decode()
        values = {"of": vmid, "on": host, "wanted": wanted.value, "run_spec": run}

        def work(connection: Connection) -> int:
            epoch = _begin_run.execute(connection, values).scalar_one_or_none()
            if epoch is None:
                raise Refused(
                    Problem.HYPERVISOR,
                    "its host was removed, blocklisted or confirmed dead meanwhile: start it again, where another can "
                    "have it",
                )
            return int(epoch)

        return await self._database.aside(work)

    async def keep_progress(self, vmid: int, progress: RunRecord) -> None:
        values = {
            "of": vmid,
            "run": progress.epoch,
            "wanted": progress.wanted.value,
            "reason": None if progress.reason is None else msgspec.json.encode(progress.reason).decode(),
            "stopping_since": progress.stopping_since,
            "stop_forced": progress.forced,
            "restarting": progress.restarts,
            "next_boot": None if progress.boots is None else msgspec.json.encode(progress.boots).decode(),
            "frozen_until": progress.frozen_until,
        }
        statement = _keep_progress if progress.run is not None else _keep_end
        await self._database.aside(lambda connection: statement.execute(connection, values) and None)


def _last_place(spec: str) -> int:
    with contextlib.suppress(ValueError):
        return max(_spec.decode(spec).nat_places.values(), default=0)
    return 0


def machine_of(row: Mapping[str, Any]) -> tuple[Machine, RunRecord]:
    """A machine from a row in the trash, which may lack later columns. A restart of it does not continue."""
    whole = {
        "stop_forced": False,
        "host_id": FIRST_HOST,
        "next_boot": None,
        "created": None,
        **row,
        "restarting": False,
        "frozen_until": None,
    }
    return _machine(*(whole[name] for name in _NAMES))


def _machine(
    vmid: int,
    uuid: str,
    gid: int,
    name: str,
    spec: str,
    epoch: int,
    wanted: str,
    reason: str | None,
    stopping_since: int | None,
    run_spec: str | None,
    stop_forced: bool | None,
    restarting: bool | None,
    host: int,
    next_boot: str | None,
    frozen_until: int | None,
    created: int | None,
) -> tuple[Machine, RunRecord]:
    """Arguments in the order of `_NAMES`, which saves looking up columns by name in 10,000 rows at the start."""
    machine = Machine(vmid, UUID(uuid), gid, name, _spec.decode(spec), HostId(host), created)
    if run_spec is None and not (reason or stopping_since or stop_forced or restarting or next_boot):
        return machine, _at_rest(epoch, wanted)
    progress = RunRecord(
        epoch=epoch,
        wanted=State(wanted),
        reason=_readable(_reason, reason),
        stopping_since=stopping_since,
        run=_readable(_spec, run_spec),
        forced=bool(stop_forced),
        restarts=bool(restarting),
        boots=_readable(_next_boot, next_boot),
        frozen_until=frozen_until,
    )
    return machine, progress


@functools.lru_cache(1024)
def _at_rest(epoch: int, wanted: str) -> RunRecord:
    """The record of VMs that do not run, which most share at the start."""
    return RunRecord(epoch, State(wanted))


def _readable(decoder: msgspec.json.Decoder[T], text: str | None) -> T | None:
    """A value that a VM can do without; None if it cannot be read."""
    if text is None:
        return None
    try:
        return decoder.decode(text)
    except ValueError as error:
        log.warning("the record of a VM's run cannot be read: %s", error)
        return None
