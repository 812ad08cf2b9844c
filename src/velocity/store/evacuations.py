"""The queries about hosts that are confirmed dead or blocklisted, and the runs that this has ended."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, delete, insert, or_, select, update

from velocity.contract.machines import Reason, State
from velocity.hypervisor.port import HostId
from velocity.machines.hosts.evacuated import Blocklisting, Death, Losses
from velocity.store.database import Database
from velocity.store.tables import evacuations, hosts, machines


class SqlLosses:
    """Implements `velocity.machines.hosts.evacuated.LossStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def load(self) -> Losses:
        def work(connection: Connection) -> Losses:
            dead = select(hosts.c.host_id, hosts.c.dead_at, hosts.c.dead_by).where(hosts.c.dead_at.is_not(None))
            deaths = {HostId(host): Death(at, by or "") for host, at, by in connection.execute(dead)}
            over = {
                (HostId(row.host_id), UUID(row.machine)): row.epoch for row in connection.execute(select(evacuations))
            }
            listed = select(hosts.c.host_id, hosts.c.blocklisted).where(hosts.c.blocklisted.is_not(None))
            blocklisted = {
                HostId(host): msgspec.json.decode(told, type=Blocklisting) for host, told in connection.execute(listed)
            }
            return Losses(deaths, over, blocklisted)

        return self._database.read(work)

    async def confirm(self, host: HostId, death: Death, reason: Reason) -> Mapping[UUID, int]:
        def work(connection: Connection) -> Mapping[UUID, int]:
            told = {"dead_at": death.at, "dead_by": death.by, "dead_term": self._database.term.mine}
            connection.execute(update(hosts).where(hosts.c.host_id == host).values(told))
            return _end(connection, host, machines.c.host_id == host, death.at, reason)

        return await self._database.write(work)

    async def confirm_some(self, host: HostId, chosen: Collection[UUID], at: int, reason: Reason) -> Mapping[UUID, int]:
        these = and_(machines.c.host_id == host, machines.c.uuid.in_(map(str, chosen)))
        return await self._database.write(lambda connection: _end(connection, host, these, at, reason))

    async def blocklist(self, host: HostId, blocklisting: Blocklisting) -> None:
        told = msgspec.json.encode(blocklisting).decode()
        await self._database.aside(lambda connection: _set(connection, host, told))

    async def off_blocklists(self, host: HostId) -> None:
        await self._database.aside(lambda connection: _set(connection, host, None))

    async def returned(self, host: HostId) -> None:
        alive = {"dead_at": None, "dead_by": None, "dead_term": None}
        statement = update(hosts).where(hosts.c.host_id == host).values(alive)
        await self._database.aside(lambda connection: connection.execute(statement) and None)


def _set(connection: Connection, host: HostId, blocklisting: str | None) -> None:
    connection.execute(update(hosts).where(hosts.c.host_id == host).values(blocklisted=blocklisting))


def _end(
    connection: Connection, host: HostId, these: ColumnElement[bool], at: int, reason: Reason
) -> Mapping[UUID, int]:
    """Ends the runs of these machines on the host; returns the last epoch that has ended for each."""
    ran = connection.execute(select(machines.c.uuid, machines.c.vmid, machines.c.epoch).where(these)).all()
    for row in ran:
        same = (evacuations.c.host_id == host) & (evacuations.c.machine == row.uuid)
        connection.execute(delete(evacuations).where(same))
    if ran:
        rows = [{"host_id": host, "machine": one.uuid, "vmid": one.vmid, "epoch": one.epoch, "at": at} for one in ran]
        connection.execute(insert(evacuations), rows)
    runs = and_(these, machines.c.run_spec.is_not(None))
    to_run = or_(machines.c.wanted != State.STOPPED.value, machines.c.restarting.is_(True))
    why = msgspec.json.encode(reason).decode()
    connection.execute(update(machines).where(runs & to_run).values(reason=why))
    ended = {"run_spec": None, "stopping_since": None, "stop_forced": False}
    connection.execute(update(machines).where(runs).values(ended))
    return {UUID(row.uuid): row.epoch for row in ran}
