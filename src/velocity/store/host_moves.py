"""The queries of moves to other hosts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, delete, insert, select, update

from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.port import HostId
from velocity.machines.move.rules import HostMove, MovedMedium, Phase
from velocity.store.database import Database
from velocity.store.hosts import last_inherited_move
from velocity.store.machines import NEXT_EPOCH
from velocity.store.tables import host_moves, hosts, machines, media


class SqlMoves:
    """Implements `velocity.machines.move.rules.MoveStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def load(self) -> list[HostMove]:
        def work(connection: Connection) -> list[HostMove]:
            moves = [_move(row) for row in connection.execute(select(host_moves).order_by(host_moves.c.mvid))]
            last = last_inherited_move(connection)
            return [replace(one, inherited=one.mvid <= last) for one in moves]

        return self._database.read(work)

    async def begin(self, draft: HostMove) -> HostMove:
        def work(connection: Connection) -> HostMove:
            if connection.execute(select(hosts).where(_lives(draft.target))).first() is None:
                raise Refused(
                    Problem.NO_HOST, f"host {draft.target} is lost or removed: choose another one", field="host"
                )
            tried = 0
            if draft.live:
                next_epoch = update(machines).where(machines.c.vmid == draft.vmid).values(tried_epoch=NEXT_EPOCH)
                tried = int(connection.execute(next_epoch.returning(machines.c.tried_epoch)).scalar_one())
            row = {**_row(draft), "next_epoch": tried}
            return _move(connection.execute(insert(host_moves).values(row).returning(*host_moves.c)).one())

        return await self._database.write(work)

    async def commit(self, move: HostMove) -> None:
        def work(connection: Connection) -> None:
            there = select(hosts.c.host_id).where(_lives(move.target)).exists()
            of = (machines.c.vmid == move.vmid) & (machines.c.host_id == move.source) & there
            values: dict[str, Any] = {"host_id": move.target}
            if move.live:
                of &= machines.c.epoch == move.epoch
                values["epoch"] = move.next_epoch
            if connection.execute(update(machines).where(of).values(values)).rowcount != 1:
                raise Refused(Problem.NOT_FROM_THIS_STATE, "the VM has changed meanwhile: begin again")
            for one in move.media:
                connection.execute(update(media).where(media.c.mid == str(one.mid)).values(mpid=one.target))
            _set(connection, move.mvid, Phase.DONE)

        await self._database.write(work)

    async def turn_back(self, move: HostMove) -> int:
        def work(connection: Connection) -> int:
            again = update(machines).where(machines.c.vmid == move.vmid).values(epoch=NEXT_EPOCH)
            _set(connection, move.mvid, Phase.BACK)
            return int(connection.execute(again.returning(machines.c.epoch)).scalar_one())

        return await self._database.write(work)

    async def undo(self, mvid: int) -> None:
        await self._database.write(lambda connection: _set(connection, mvid, Phase.UNDONE))

    async def finish(self, mvid: int) -> None:
        gone = delete(host_moves).where(host_moves.c.mvid == mvid)
        await self._database.aside(lambda connection: connection.execute(gone) and None)


def _set(connection: Connection, mvid: int, phase: Phase) -> None:
    connection.execute(update(host_moves).where(host_moves.c.mvid == mvid).values(phase=phase.value))


def _lives(host: HostId) -> ColumnElement[bool]:
    """Whether the host exists and is not confirmed dead."""
    return (hosts.c.host_id == host) & hosts.c.dead_at.is_(None)


def _row(move: HostMove) -> dict[str, Any]:
    return {
        "vmid": move.vmid,
        "uuid": str(move.uuid),
        "source": move.source,
        "target": move.target,
        "epoch": move.epoch,
        "media": msgspec.json.encode(move.media).decode(),
        "phase": move.phase.value,
    }


def _move(row: Row[Any]) -> HostMove:
    moved: Sequence[MovedMedium] = msgspec.json.decode(row.media, type=tuple[MovedMedium, ...])
    return HostMove(
        vmid=row.vmid,
        uuid=UUID(row.uuid),
        source=HostId(row.source),
        target=HostId(row.target),
        epoch=row.epoch,
        media=moved,
        phase=Phase(row.phase),
        next_epoch=row.next_epoch,
        mvid=row.mvid,
    )
