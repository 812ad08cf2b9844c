"""The trash."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "trash",
        sa.Column("trid", ID, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("gid", ID, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("uid", ID, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("deleted", sa.BigInteger, nullable=False),
        sa.Column("rows", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("trid", name="pk_trash"),
        sqlite_autoincrement=True,
    )
