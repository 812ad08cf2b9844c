"""Uploads over several requests outlive a restart of the server."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "uploads",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("mid", sa.Text, nullable=False),
        sa.Column("uid", ID, nullable=False),
        sa.Column("gid", ID, nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("received", sa.BigInteger, nullable=False),
        sa.Column("begun", sa.BigInteger, nullable=False),
        sa.Column("heard", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["uid"], ["users.uid"], name="fk_uploads_uid", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["gid"], ["groups.gid"], name="fk_uploads_gid", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("name", name="pk_uploads"),
        sa.UniqueConstraint("mid", name="uq_uploads_mid"),
    )
