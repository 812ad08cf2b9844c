"""The queries about hosts, tokens and certificates."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Row, delete, func, insert, select, update

from velocity.contract.problems import Problem, Refused
from velocity.hosts.members import OWN_NAME, Fence, JoinToken, Known, Member, Sealed
from velocity.hosts.port import FIRST_HOST, Duty
from velocity.hypervisor.port import HostId
from velocity.machines.move.rules import Phase
from velocity.store.database import Database
from velocity.store.tables import (
    authority,
    evacuations,
    host_moves,
    hosts,
    instance,
    leadership,
    machines,
    media,
    node_tokens,
    purged_machines,
    tasks,
)
from velocity.tasks.rules import DRAIN

LEADS = "leads"
"""The setting with the id of the host whose server leads, or led last."""
COPIED, PROMOTED = "promoted from a copy of", "promoted in term"
INHERITED = "last move before a promotion"
LAST = "last host"
LAST_POOL = "last pool of a host"
WISHED = {"name", "address", "duty", "labels", "keeps_copy"}
"""What users may change of a host."""
TOLD = {"serial", "renewing", "heard", "known"}
"""What the server learns about a host, at the same time as users change it."""


@dataclass(frozen=True)
class Rows:
    """Implements `velocity.hosts.members.MemberRows`."""

    members: list[Member]
    tokens: list[JoinToken]
    authority: Sealed | None
    last: int
    last_pool: int


def claim_own(database: Database, machine: UUID) -> Member | None:
    """The host that this machine is, as which it then leads; None if it is none of them, and nothing was changed.

    A host that no machine has claimed yet, as in a new database or one of an older version, becomes this machine's.
    """

    def work(connection: Connection) -> Member | None:
        rows = connection.execute(select(hosts).order_by(hosts.c.host_id)).all()
        found = next((one for one in rows if one.uuid == str(machine)), None)
        if found is None and (found := next((one for one in rows if one.uuid is None), None)) is not None:
            connection.execute(update(hosts).where(hosts.c.host_id == found.host_id).values(uuid=str(machine)))
        own = None if found is None else replace(_member(found), uuid=machine, own=True)
        if not rows:
            own = Member(FIRST_HOST, OWN_NAME, machine, own=True)
            _put(connection, own)
        if own is not None and _number(connection, LEADS) != own.host:
            _set_number(connection, LEADS, own.host)
        return own

    return database.read(work)


@dataclass(frozen=True)
class Promotion:
    """The last `velocity promote`.

    `copied`: the Unix time of the copy that the database was made from; 0: it is no copy. `term`: the database's term
    afterwards; the next start takes the one after it.
    """

    copied: int = 0
    term: int = 0


class SqlMembers:
    """Implements `velocity.hosts.members.MemberStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def load(self) -> Rows:
        def work(connection: Connection) -> Rows:
            members = [_member(row) for row in connection.execute(select(hosts).order_by(hosts.c.host_id))]
            tokens = [_token(row) for row in connection.execute(select(node_tokens))]
            kept = connection.execute(select(authority)).first()
            last = max([_number(connection, LAST), 1, *(one.host for one in members)])
            used = connection.scalar(select(func.max(media.c.mpid))) or 0
            last_pool = max([_number(connection, LAST_POOL), used, *(one.mpid for one in members)])
            sealed = None if kept is None else Sealed(kept.certificate, kept.key)
            return Rows(members, tokens, sealed, last, last_pool)

        return self._database.read(work)

    def promotion(self) -> Promotion:
        return self._database.read(lambda c: Promotion(_number(c, COPIED), _number(c, PROMOTED)))

    async def add_token(self, token: JoinToken, sealed: Sealed, now: int) -> None:
        def work(connection: Connection) -> None:
            connection.execute(delete(node_tokens).where(node_tokens.c.expires < now))
            connection.execute(insert(node_tokens).values(_token_row(token)))
            _begin_to_sign(connection, sealed)

        await self._database.write(work)

    async def renew_authority(self, sealed: Sealed) -> None:
        statement = update(authority).values(certificate=sealed.certificate)
        await self._database.aside(lambda connection: connection.execute(statement) and None)

    async def introduce(self, member: Member, sealed: Sealed) -> None:
        def work(connection: Connection) -> None:
            _put(connection, member, {"serial", "renewing", "address", "joined"})
            _begin_to_sign(connection, sealed)

        await self._database.aside(work)

    async def join(self, member: Member, token: JoinToken) -> None:
        def work(connection: Connection) -> None:
            _put(connection, member)
            row = update(node_tokens).where(node_tokens.c.name == token.name).values(_token_row(token))
            if connection.execute(row).rowcount != 1:  # it goes with its host
                words = f"the host of this token, {member.name}, was just removed: make a token for a new one"
                raise Refused(Problem.TOKEN_REFUSED, words)
            _raise_to(connection, LAST, member.host)
            _raise_to(connection, LAST_POOL, member.mpid)

        await self._database.write(work)

    async def keep(self, member: Member) -> None:
        wished = {name: value for name, value in _row(member).items() if name in WISHED}
        here = hosts.c.host_id == member.host
        before = select(hosts.c.name).where(here).scalar_subquery()
        drains = update(tasks).where(tasks.c.kind == DRAIN, tasks.c.name == before).values(name=member.name)

        def work(connection: Connection) -> int:
            connection.execute(drains)
            return connection.execute(update(hosts).where(here).values(wished)).rowcount

        if await self._database.write(work) != 1:
            raise Refused(Problem.HOST_NOT_FOUND, f"host {member.name} was just removed", field="host")

    async def keep_fence(self, member: Member) -> None:
        fence = None if member.fence is None else msgspec.json.encode(member.fence).decode()
        statement = update(hosts).where(hosts.c.host_id == member.host).values(fence=fence)
        await self._database.write(lambda connection: connection.execute(statement) and None)

    async def note_clients(self, member: Member) -> None:
        told = msgspec.json.encode(dict(member.clients)).decode()
        statement = update(hosts).where(hosts.c.host_id == member.host).values(clients=told)
        await self._database.aside(lambda connection: connection.execute(statement) and None)

    async def note(self, member: Member) -> None:
        told = {name: value for name, value in _row(member).items() if name in TOLD}
        statement = update(hosts).where(hosts.c.host_id == member.host).values(told)
        await self._database.aside(lambda connection: connection.execute(statement) and None)

    async def remove(self, host: HostId, pools: Collection[int]) -> tuple[int, int]:
        def work(connection: Connection) -> tuple[int, int]:
            holds = _holds(connection, host, pools)
            if holds == (0, 0):
                connection.execute(delete(node_tokens).where(node_tokens.c.host_id == host))
                connection.execute(delete(evacuations).where(evacuations.c.host_id == host))
                connection.execute(delete(purged_machines).where(purged_machines.c.host_id == host))
                connection.execute(delete(hosts).where(hosts.c.host_id == host))
            return holds

        return await self._database.write(work)

    async def holds(self, host: HostId, pools: Collection[int]) -> tuple[int, int]:
        return await self._database.look(lambda connection: _holds(connection, host, pools))

    async def count(self) -> Mapping[int, int]:
        found = select(machines.c.host_id, func.count()).group_by(machines.c.host_id)
        return await self._database.look(
            lambda connection: {int(host): int(count) for host, count in connection.execute(found)}
        )


def take_place(database: Database, host: HostId, machine: UUID) -> None:
    """This machine becomes that host, and is a member of no other installation."""
    now = {"uuid": str(machine), "serial": None, "renewing": None, "address": None, "joined": None}
    statement = update(hosts).where(hosts.c.host_id == host).values(now)
    database.read(lambda connection: connection.execute(statement) and None)


def note_promotion(database: Database, term: int, copied: int = 0) -> None:
    """Record a promotion; the next start takes the term after this one. `copied` 0 leaves the old value."""

    def work(connection: Connection) -> None:
        connection.execute(update(leadership).values(term=term))
        _set_number(connection, PROMOTED, term)
        _set_number(connection, INHERITED, connection.scalar(select(func.max(host_moves.c.mvid))) or 0)
        if copied:
            _set_number(connection, COPIED, copied)

    database.read(work)


def last_inherited_move(connection: Connection) -> int:
    """The mvid of the last move that was begun before a promotion; 0: there is none."""
    return _number(connection, INHERITED)


def leader_name(database: Database) -> str:
    """The name of the host whose server leads, or led last; empty if there is none."""

    def work(connection: Connection) -> str:
        row = connection.execute(select(hosts).where(hosts.c.host_id == leads(connection))).first()
        return "" if row is None else _member(row).called

    return database.read(work)


def leads(connection: Connection) -> int:
    """The id of the host whose server leads, or led last; 0 if there is none."""
    return _number(connection, LEADS)


def _number(connection: Connection, name: str) -> int:
    return int(connection.scalar(select(instance.c.value).where(instance.c.name == name)) or 0)


def _set_number(connection: Connection, name: str, number: int) -> None:
    value = str(number)
    if connection.execute(update(instance).where(instance.c.name == name).values(value=value)).rowcount != 1:
        connection.execute(insert(instance).values(name=name, value=value))


def _raise_to(connection: Connection, name: str, number: int) -> None:
    """Raise a counter, so that ids up to this one are not given again."""
    _set_number(connection, name, max(number, _number(connection, name)))


def _begin_to_sign(connection: Connection, sealed: Sealed) -> None:
    if connection.execute(select(authority.c.id)).first() is None:
        connection.execute(insert(authority).values(id=1, certificate=sealed.certificate, key=sealed.key))


def _holds(connection: Connection, host: HostId, pools: Collection[int]) -> tuple[int, int]:
    vms = select(func.count()).select_from(machines).where(machines.c.host_id == host)
    stored = select(func.count()).select_from(media).where(media.c.mpid.in_(pools))
    coming = select(func.count()).select_from(host_moves)
    coming = coming.where(host_moves.c.target == host, host_moves.c.phase == Phase.BEGUN.value)
    held = [int(connection.execute(one).scalar_one()) for one in (vms, coming, stored)]
    return held[0] + held[1], held[2]


def _put(connection: Connection, member: Member, columns: Collection[str] = ()) -> None:
    """Insert or update a row; of an existing one, only the named columns, if any are named."""
    row = _row(member)
    changed = {name: value for name, value in row.items() if not columns or name in columns}
    if connection.execute(update(hosts).where(hosts.c.host_id == member.host).values(changed)).rowcount != 1:
        connection.execute(insert(hosts).values(row))


def _member(row: Row[Any]) -> Member:
    return Member(
        host=HostId(row.host_id),
        name=row.name,
        uuid=None if row.uuid is None else UUID(row.uuid),
        address=row.address or "",
        serial=row.serial or "",
        renewing=row.renewing or "",
        mpid=row.mpid or 0,
        duty=Duty(row.duty),
        labels=msgspec.json.decode(row.labels, type=dict[str, str]),
        joined=row.joined or 0,
        heard=row.heard or 0,
        known=_known(row.known),
        keeps_copy=row.keeps_copy,
        fence=None if row.fence is None else msgspec.json.decode(row.fence, type=Fence),
        clients={} if row.clients is None else msgspec.json.decode(row.clients, type=dict[int, tuple[str, ...]]),
    )


def _known(text: str | None) -> Known | None:
    """What the host has reported; nothing if it cannot be read, as after a downgrade: it is reported again."""
    try:
        return None if text is None else msgspec.json.decode(text, type=Known)
    except msgspec.MsgspecError:
        return None


def _row(member: Member) -> dict[str, Any]:
    return {
        "host_id": member.host,
        "name": member.name,
        "uuid": None if member.uuid is None else str(member.uuid),
        "address": member.address or None,
        "serial": member.serial or None,
        "renewing": member.renewing or None,
        "mpid": member.mpid or None,
        "duty": member.duty.value,
        "labels": msgspec.json.encode(dict(member.labels)).decode(),
        "joined": member.joined or None,
        "heard": member.heard or None,
        "known": None if member.known is None else msgspec.json.encode(member.known).decode(),
        "keeps_copy": member.keeps_copy,
    }


def _token(row: Row[Any]) -> JoinToken:
    return JoinToken(
        name=row.name,
        key=row.key,
        expires=row.expires,
        host=None if row.host_id is None else HostId(row.host_id),
        used_by=None if row.used_by is None else HostId(row.used_by),
        proof=row.proof or "",
    )


def _token_row(token: JoinToken) -> dict[str, Any]:
    return {
        "name": token.name,
        "key": token.key,
        "expires": token.expires,
        "host_id": token.host,
        "used_by": token.used_by,
        "proof": token.proof or None,
    }
