"""The queries about machines that were removed permanently, and of which hosts may still store data."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, delete, insert, select

from velocity.hypervisor.port import HostId
from velocity.store.database import Database
from velocity.store.tables import evacuations, hosts, machines, purged_machines

_host, _machine = purged_machines.c.host_id, purged_machines.c.machine


def note_purged(connection: Connection, which: ColumnElement[bool]) -> None:
    """Those rows of `machines` are about to be deleted permanently."""
    found = connection.execute(select(machines.c.host_id, machines.c.uuid).where(which))
    note_gone(connection, [(host, uuid) for host, uuid in found])


def note_gone(connection: Connection, gone: Collection[tuple[int, str]]) -> None:
    """These machines (uuids) were on these hosts, and are removed permanently.

    Other hosts from which they were evacuated store data of them, too.
    """
    if not gone:
        return
    uuids = {uuid for _, uuid in gone}
    left = connection.execute(select(evacuations.c.host_id, evacuations.c.machine))
    places = {*gone, *((host, uuid) for host, uuid in left if uuid in uuids)}
    there = set(connection.scalars(select(hosts.c.host_id)))
    noted = {(host, uuid) for host, uuid in connection.execute(select(_host, _machine))}
    rows = [{"host_id": host, "machine": uuid} for host, uuid in sorted(places - noted) if host in there]
    if rows:
        connection.execute(insert(purged_machines), rows)


class SqlPurged:
    """Implements `velocity.machines.hosts.orphans.PurgedStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, host: HostId, machine: UUID) -> None:
        await self._database.aside(lambda connection: note_gone(connection, [(host, str(machine))]))

    async def hosts(self, machine: UUID) -> Sequence[HostId]:
        found = select(_host).where(_machine == str(machine)).order_by(_host)
        return await self._database.look(lambda connection: [HostId(one) for one in connection.scalars(found)])

    async def machines(self, host: HostId) -> Sequence[UUID]:
        found = select(_machine).where(_host == host).order_by(_machine)
        return await self._database.look(lambda connection: [UUID(one) for one in connection.scalars(found)])

    async def removed(self, host: HostId, machine: UUID) -> None:
        gone = delete(purged_machines).where((_host == host) & (_machine == str(machine)))
        await self._database.aside(lambda connection: connection.execute(gone) and None)
