"""Homes of users: of those that there are, the lowest common ancestor of what they hold, or held in the trash."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
ROOT = 0


def upgrade() -> None:
    op.add_column("users", sa.Column("home", ID, nullable=False, server_default="0"))
    connection = op.get_bind()
    parents = {row.gid: row.parent_gid for row in connection.execute(sa.text("select gid, parent_gid from groups"))}
    held = [(row.uid, row.gid) for row in connection.execute(sa.text("select distinct uid, gid from grants"))]
    gone: dict[int, int] = {}
    for text in connection.scalars(sa.text("select rows from trash where kind = 'group'")):
        rows = json.loads(text)
        gone.update((row["gid"], row["parent_gid"]) for row in rows.get("groups", ()))
        held += [(row["uid"], row["gid"]) for row in rows.get("grants", ())]
    homes: dict[int, int] = {}
    for uid, gid in held:
        while gid in gone:
            gid = gone[gid]
        place = gid if gid in parents else ROOT  # what was above it is gone for good
        homes[uid] = _common(parents, homes.get(uid, place), place)
    users = sa.table("users", sa.column("uid", ID), sa.column("home", ID))
    for uid, home in homes.items():
        connection.execute(sa.update(users).where(users.c.uid == uid).values(home=home))


def _common(parents: Mapping[int, int], one: int, other: int) -> int:
    """The lowest group that both are in."""
    above = set(_line(parents, one))
    return next(gid for gid in _line(parents, other) if gid in above)


def _line(parents: Mapping[int, int], gid: int) -> Iterable[int]:
    while gid != ROOT:
        yield gid
        gid = parents[gid]
    yield ROOT
