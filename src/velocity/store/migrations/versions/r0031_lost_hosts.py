"""How hosts are fenced, which are confirmed dead, and the runs that are over by that."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    for column in (
        sa.Column("fence", sa.Text),
        sa.Column("dead_at", sa.BigInteger),
        sa.Column("dead_by", sa.Text),
        sa.Column("dead_term", sa.BigInteger),
    ):
        op.add_column("hosts", column)
    op.create_table(
        "evacuations",
        sa.Column("host_id", ID, nullable=False, autoincrement=False),
        sa.Column("machine", sa.Text, nullable=False),
        sa.Column("vmid", ID, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("host_id", "machine", name="pk_evacuations"),
    )
