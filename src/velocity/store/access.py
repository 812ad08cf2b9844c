"""The queries of users, groups and sessions."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert, select, update

from velocity.access.port import AccessRows
from velocity.access.rules import ROOT_GROUP, ROOT_USER, Discarded, Group, Limits, Session, TrashedAccess, User
from velocity.access.throttle import OWN, network
from velocity.contract.permissions import Permission
from velocity.store.database import Database
from velocity.store.discard import discard, discarded_rows
from velocity.store.purged import note_purged
from velocity.store.subtree import is_below
from velocity.store.tables import assignments, authkeys, good_addresses, grants, groups, machines, media, quotas, users


class SqlAccess:
    """Implements `velocity.access.port.AccessStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def load(self) -> AccessRows:
        def work(connection: Connection) -> AccessRows:
            return AccessRows(
                users=[User(**row) for row in connection.execute(select(users)).mappings()],
                groups=[
                    Group(*row) for row in connection.execute(select(groups.c.gid, groups.c.parent_gid, groups.c.name))
                ],
                grants=[tuple(row) for row in connection.execute(select(grants.c.uid, grants.c.gid, grants.c.pid))],
                sessions=[Session(**row) for row in connection.execute(select(authkeys)).mappings()],
                limits={
                    row.gid: Limits(row.cpus, row.memory_mib, row.vms, row.forward_ports)
                    for row in connection.execute(select(quotas))
                },
                lying=_lying(connection),
                good_addresses=[tuple(row) for row in connection.execute(_good_addresses)],
            )

        return self._database.read(work)

    async def add_root(self, name: str, password: str) -> None:
        def work(connection: Connection) -> None:
            connection.execute(insert(groups).values(gid=ROOT_GROUP, parent_gid=ROOT_GROUP, name="root"))
            connection.execute(insert(users).values(uid=ROOT_USER, name=name, password=password, home=ROOT_GROUP))
            rows = [{"uid": ROOT_USER, "gid": ROOT_GROUP, "pid": permission.pid} for permission in Permission]
            connection.execute(insert(grants), rows)

        await self._database.write(work)

    async def add_user(self, name: str, password: str, home: int) -> int:
        def work(connection: Connection) -> int:
            statement = insert(users).values(name=name, password=password, home=home).returning(users.c.uid)
            return int(connection.execute(statement).scalar_one())

        return await self._database.write(work)

    async def remove_user(self, uid: int) -> None:
        await self._database.write(
            lambda connection: connection.execute(delete(users).where(users.c.uid == uid)) and None
        )

    async def change_user(self, uid: int, password: str | None, home: int) -> None:
        def work(connection: Connection) -> None:
            change = update(users).where(users.c.uid == uid).values(home=home)
            if password is not None:
                change = change.values(password=password)
                connection.execute(delete(authkeys).where(authkeys.c.uid == uid))
            connection.execute(change)

        await self._database.write(work)

    async def add_group(self, name: str, parent_gid: int) -> int:
        def work(connection: Connection) -> int:
            statement = insert(groups).values(name=name, parent_gid=parent_gid).returning(groups.c.gid)
            return int(connection.execute(statement).scalar_one())

        return await self._database.write(work)

    async def remove_groups(self, top: int, parent_gid: int, discarded: Discarded | None) -> None:
        def work(connection: Connection) -> None:
            if discarded is not None:
                owned = (groups, grants, quotas, assignments, media, machines)
                discard(connection, discarded, {table.name: is_below(table.c.gid, top) for table in owned})
            else:
                note_purged(connection, is_below(machines.c.gid, top))
            connection.execute(update(users).where(is_below(users.c.home, top)).values(home=parent_gid))
            for table in (machines, media, groups):
                connection.execute(delete(table).where(is_below(table.c.gid, top)))

        await self._database.write(work)

    async def set_limits(self, gid: int, limits: Limits) -> None:
        def work(connection: Connection) -> None:
            connection.execute(delete(quotas).where(quotas.c.gid == gid))
            if limits != Limits():
                connection.execute(insert(quotas).values(gid=gid, **vars(limits)))

        await self._database.write(work)

    async def add_grant(self, uid: int, gid: int, pid: int) -> None:
        def work(connection: Connection) -> None:
            where = (grants.c.uid == uid) & (grants.c.gid == gid) & (grants.c.pid == pid)
            if connection.execute(select(grants.c.pid).where(where)).first() is None:
                connection.execute(insert(grants).values(uid=uid, gid=gid, pid=pid))

        await self._database.write(work)

    async def remove_grants(self, uid: int, gid: int, pids: Sequence[int]) -> None:
        where = (grants.c.uid == uid) & (grants.c.gid == gid) & grants.c.pid.in_(pids)
        await self._database.write(lambda connection: connection.execute(delete(grants).where(where)) and None)

    async def add_session(self, session: Session, replaces: bytes | None, forget_before: int) -> None:
        def work(connection: Connection) -> None:
            connection.execute(delete(authkeys).where(authkeys.c.expires < forget_before))
            if replaces is not None:
                connection.execute(delete(authkeys).where(authkeys.c.hash == replaces))
            elif session.address:
                _note_address(connection, session.uid, network(session.address), session.created)
            connection.execute(insert(authkeys), vars(session))

        await self._database.write(work)

    async def remove_session(self, sid: str) -> None:
        def work(connection: Connection) -> None:
            connection.execute(delete(authkeys).where(authkeys.c.sid == sid))

        await self._database.write(work)


_good_addresses = (
    select(users.c.name, good_addresses.c.address).join_from(good_addresses, users).order_by(good_addresses.c.at)
)


def _note_address(connection: Connection, uid: int, address: str, at: int) -> None:
    """Note that the user has signed in from this address; only the latest ones are kept."""
    own, one = good_addresses.c.uid == uid, good_addresses.c.address
    others = select(one).where(own, one != address).order_by(good_addresses.c.at.desc()).limit(OWN - 1)
    connection.execute(delete(good_addresses).where(own, one.not_in(others)))
    connection.execute(insert(good_addresses), {"uid": uid, "address": address, "at": at})


def _lying(connection: Connection) -> TrashedAccess:
    found = [rows for rows in discarded_rows(connection) if rows.get("groups")]
    return TrashedAccess(
        groups=[Group(row["gid"], row["parent_gid"], row["name"]) for rows in found for row in rows["groups"]],
        grants=[(row["uid"], row["gid"], row["pid"]) for rows in found for row in rows.get("grants", ())],
    )
