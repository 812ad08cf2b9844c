"""Hosts that have joined, the tokens by which they do, and what signs for them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0024"

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    for column in (
        sa.Column("uuid", sa.Text),
        sa.Column("address", sa.Text),
        sa.Column("serial", sa.Text),
        sa.Column("renewing", sa.Text),
        sa.Column("mpid", sa.BigInteger),
        sa.Column("duty", sa.Text, nullable=False, server_default="active"),
        sa.Column("labels", sa.Text, nullable=False, server_default="{}"),
        sa.Column("joined", sa.BigInteger),
        sa.Column("heard", sa.BigInteger),
        sa.Column("known", sa.Text),
    ):
        op.add_column("hosts", column)
    op.create_index("ix_hosts_uuid", "hosts", ["uuid"], unique=True)
    op.create_table(
        "node_tokens",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("key", sa.LargeBinary(32), nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
        sa.Column("host_id", ID),
        sa.Column("used_by", ID),
        sa.Column("proof", sa.Text),
        sa.PrimaryKeyConstraint("name", name="pk_node_tokens"),
    )
    op.create_table(
        "authority",
        sa.Column("id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("certificate", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_authority"),
    )
