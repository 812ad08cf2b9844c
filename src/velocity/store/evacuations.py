"""The queries about hosts confirmed dead, and the runs that ended by that."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

import msgspec
from sqlalchemy import Connection, and_, delete, insert, or_, select, update

from velocity.contract.machines import Reason, State
from velocity.hypervisor.port import HostId
from velocity.machines.evacuated import Death, Losses
from velocity.store.database import Database
from velocity.store.tables import evacuations, hosts, machines


class SqlLosses:
    """Keeps `velocity.machines.evacuated.LossStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def load(self) -> Losses:
        def work(connection: Connection) -> Losses:
            dead = select(hosts.c.host_id, hosts.c.dead_at, hosts.c.dead_by).where(hosts.c.dead_at.is_not(None))
            deaths = {HostId(host): Death(at, by or "") for host, at, by in connection.execute(dead)}
            over = {
                (HostId(row.host_id), UUID(row.machine)): row.epoch for row in connection.execute(select(evacuations))
            }
            return Losses(deaths, over)

        return self._database.read(work)

    async def confirm(self, host: HostId, death: Death, reason: Reason) -> Mapping[UUID, int]:
        def work(connection: Connection) -> Mapping[UUID, int]:
            told = {"dead_at": death.at, "dead_by": death.by, "dead_term": self._database.term.mine}
            connection.execute(update(hosts).where(hosts.c.host_id == host).values(told))
            of_it = machines.c.host_id == host
            ran = connection.execute(select(machines.c.uuid, machines.c.vmid, machines.c.epoch).where(of_it)).all()
            rows = [
                {"host_id": host, "machine": row.uuid, "vmid": row.vmid, "epoch": row.epoch, "at": death.at}
                for row in ran
            ]
            for row in rows:
                same = (evacuations.c.host_id == host) & (evacuations.c.machine == row["machine"])
                connection.execute(delete(evacuations).where(same))
            if rows:
                connection.execute(insert(evacuations), rows)
            _end(connection, host, reason)
            return {UUID(row.uuid): row.epoch for row in ran}

        return await self._database.write(work)

    async def returned(self, host: HostId) -> None:
        alive = {"dead_at": None, "dead_by": None, "dead_term": None}
        statement = update(hosts).where(hosts.c.host_id == host).values(alive)
        await self._database.aside(lambda connection: connection.execute(statement) and None)


def _end(connection: Connection, host: HostId, reason: Reason) -> None:
    """Of each VM there whose run has not ended: it has."""
    runs = and_(machines.c.host_id == host, machines.c.run_spec.is_not(None))
    to_run = or_(machines.c.wanted != State.STOPPED.value, machines.c.restarting.is_(True))
    why = msgspec.json.encode(reason).decode()
    connection.execute(update(machines).where(runs & to_run).values(reason=why))
    ended = {"run_spec": None, "stopping_since": None, "stop_forced": False}
    connection.execute(update(machines).where(runs).values(ended))
