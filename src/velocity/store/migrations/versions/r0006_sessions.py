"""Sessions have an id of their own, and tell since when and from where they are."""

from __future__ import annotations

import secrets
import time

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

NEW = ("sid", "created", "address", "agent")


def upgrade() -> None:
    for name in NEW:
        op.add_column("authkeys", sa.Column(name, sa.BigInteger if name == "created" else sa.Text))
    authkeys = sa.table("authkeys", sa.column("hash"), *(sa.column(name) for name in NEW))
    connection = op.get_bind()
    now = int(time.time())  # when those that are there already began is not known
    for key in connection.execute(sa.select(authkeys.c.hash)).scalars().all():
        row = {"sid": secrets.token_hex(8), "created": now, "address": "", "agent": ""}
        connection.execute(sa.update(authkeys).where(authkeys.c.hash == key).values(row))
    with op.batch_alter_table("authkeys") as table:
        for name in NEW:
            table.alter_column(name, nullable=False, existing_type=sa.BigInteger() if name == "created" else sa.Text())
        table.create_unique_constraint("uq_authkeys_sid", ["sid"])
