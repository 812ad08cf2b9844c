"""The queries of the trash."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection, delete, insert, select

from velocity.access.rules import Discarded, Group, Limits
from velocity.contract.machines import State
from velocity.hypervisor.attached import FIRST_HOST
from velocity.hypervisor.port import HostId
from velocity.media.rules import Assignment
from velocity.store.database import Database
from velocity.store.discard import Rows, decoded
from velocity.store.machines import machine_of
from velocity.store.media import medium_of
from velocity.store.purged import note_gone
from velocity.store.tables import metadata, trash, users
from velocity.trash.port import Contents, Item

ORDER = ("groups", "grants", "quotas", "assignments", "media", "machines")
"""The tables in the order in which their rows are restored."""


AT_ONCE = 1000
"""Items that are read at a time."""


class SqlTrash:
    """Implements `velocity.trash.port.TrashStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def items(self) -> Sequence[Item]:
        columns = (trash.c.trid, trash.c.kind, trash.c.id, trash.c.gid, trash.c.name, trash.c.uid, trash.c.size)

        def work(connection: Connection) -> list[Item]:
            rows = connection.execute(select(*columns, trash.c.deleted).order_by(trash.c.trid.desc()))
            return [Item(trid, Discarded(*what), deleted) for trid, *what, deleted in rows]

        return await self._database.look(work)

    async def disks(self, trids: Collection[int]) -> Mapping[int, Sequence[str]]:
        def work(connection: Connection) -> dict[int, list[str]]:
            wanted = list(trids)
            # Few at a time: PostgreSQL takes 65,535 parameters at most, and each row is as large as what was deleted.
            some = [wanted[at : at + AT_ONCE] for at in range(0, len(wanted), AT_ONCE)]
            columns = select(trash.c.trid, trash.c.rows)
            rows = (row for part in some for row in connection.execute(columns.where(trash.c.trid.in_(part))))
            return {trid: sorted(row["name"] for row in decoded(text).get("media", ())) for trid, text in rows}

        return await self._database.look(work)

    async def contents(self, trid: int) -> Contents | None:
        def work(connection: Connection) -> Contents | None:
            text = connection.scalar(select(trash.c.rows).where(trash.c.trid == trid))
            return None if text is None else _contents(decoded(text))

        return await self._database.look(work)

    async def restore(self, trid: int, elsewhere: Mapping[int, HostId]) -> None:
        def work(connection: Connection) -> None:
            rows = decoded(connection.execute(select(trash.c.rows).where(trash.c.trid == trid)).scalar_one())
            there = set(connection.scalars(select(users.c.uid)))
            for name in ORDER:
                found = [row for row in rows.get(name, ()) if name != "grants" or row["uid"] in there]
                if name == "machines":  # they do not run, whatever an earlier version stored
                    stopped = {"run_spec": None, "wanted": State.STOPPED.value, "restarting": False}
                    on = [elsewhere.get(row["vmid"], row["host_id"]) for row in found]
                    found = [{**row, **stopped, "host_id": host} for row, host in zip(found, on, strict=True)]
                if name == "groups":
                    found.sort(key=lambda row: row["gid"])  # parents have lower ids
                if found:
                    connection.execute(insert(metadata.tables[name]), found)
            connection.execute(delete(trash).where(trash.c.trid == trid))

        await self._database.write(work)

    async def purge(self, trid: int) -> bool:
        def work(connection: Connection) -> bool:
            text = connection.execute(delete(trash).where(trash.c.trid == trid).returning(trash.c.rows)).scalar()
            if text is None:
                return False
            note_gone(
                connection, [(row.get("host_id", FIRST_HOST), row["uuid"]) for row in decoded(text).get("machines", ())]
            )
            return True

        return await self._database.write(work)


def _contents(rows: Rows) -> Contents:
    groups = [Group(row["gid"], row["parent_gid"], row["name"]) for row in rows.get("groups", ())]
    return Contents(
        groups=sorted(groups, key=lambda group: group.gid),
        grants=[(row["uid"], row["gid"], row["pid"]) for row in rows.get("grants", ())],
        limits={
            row["gid"]: Limits(row["cpus"], row["memory_mib"], row["vms"], row.get("forward_ports"))
            for row in rows.get("quotas", ())
        },
        assignments={
            (row["gid"], row["mpid"]): Assignment(row["quota"], bool(row["write"]), bool(row["manage"]))
            for row in rows.get("assignments", ())
        },
        media=[medium_of(row) for row in rows.get("media", ())],
        machines=[machine_of(row) for row in rows.get("machines", ())],
    )
