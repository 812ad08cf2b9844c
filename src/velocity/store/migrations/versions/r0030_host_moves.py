"""Moves of VMs to other hosts, and the highest epoch that a VM was given for one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0027"

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.add_column("machines", sa.Column("tried_epoch", sa.BigInteger, nullable=False, server_default="0"))
    op.create_table(
        "host_moves",
        sa.Column("mvid", ID, nullable=False),
        sa.Column("vmid", ID, nullable=False),
        sa.Column("uuid", sa.Text, nullable=False),
        sa.Column("source", ID, nullable=False),
        sa.Column("target", ID, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("next_epoch", sa.BigInteger, nullable=False),
        sa.Column("media", sa.Text, nullable=False),
        sa.Column("phase", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("mvid", name="pk_host_moves"),
        sqlite_autoincrement=True,
    )
