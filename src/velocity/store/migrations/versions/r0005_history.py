"""The history, and requests that bear an Idempotency-Key."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "history",
        sa.Column("hid", ID, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("uid", ID),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("operation", sa.Text, nullable=False),
        sa.Column("gid", ID, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("code", sa.Integer),
        sa.Column("message", sa.Text),
        sa.PrimaryKeyConstraint("hid", name="pk_history"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "repeats",
        sa.Column("uid", ID, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(32), nullable=False),
        sa.Column("answer", sa.LargeBinary),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["uid"], ["users.uid"], name="fk_repeats_uid", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("uid", "key", name="pk_repeats"),
    )
