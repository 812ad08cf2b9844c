"""The VM that an entry of the history concerns."""

from __future__ import annotations

import re

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
NAMED = re.compile(r"(?:uid=-?\d+ )?(?:gid=-?\d+ )?(?:parent_gid=-?\d+ )?vmid=(-?\d+)(?: |\Z)")
"""A target's ids stand before its names, so that a name that looks like an id is not taken for one."""


def upgrade() -> None:
    op.add_column("history", sa.Column("vmid", ID))
    op.create_index("ix_history_vmid", "history", ["vmid", "hid"])
    history = sa.table("history", sa.column("hid", ID), sa.column("target", sa.Text), sa.column("vmid", ID))
    connection = op.get_bind()
    rows = connection.execute(sa.select(history.c.hid, history.c.target).where(history.c.target.contains("vmid=")))
    known = [{"entry": hid, "of": int(found[1])} for hid, target in rows if (found := NAMED.match(target))]
    if known:
        change = sa.update(history).where(history.c.hid == sa.bindparam("entry")).values(vmid=sa.bindparam("of"))
        connection.execute(change, known)
