"""Tasks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "tasks",
        sa.Column("tid", ID, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("uid", ID, nullable=False),
        sa.Column("gid", ID, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("unit", sa.Text, nullable=False),
        sa.Column("begun", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("done", sa.BigInteger, nullable=False),
        sa.Column("total", sa.BigInteger, nullable=False),
        sa.Column("ended", sa.BigInteger),
        sa.Column("message", sa.Text),
        sa.Column("mid", sa.Text),
        sa.ForeignKeyConstraint(["gid"], ["groups.gid"], name="fk_tasks_gid", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tid", name="pk_tasks"),
        sqlite_autoincrement=True,
    )
