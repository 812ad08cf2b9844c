"""Quotas of groups, assignments of pools, and what a VM's present run was started with."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "quotas",
        sa.Column("gid", ID, nullable=False, autoincrement=False),
        sa.Column("cpus", sa.BigInteger),
        sa.Column("memory_mib", sa.BigInteger),
        sa.Column("vms", sa.BigInteger),
        sa.ForeignKeyConstraint(["gid"], ["groups.gid"], name="fk_quotas_gid", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("gid", name="pk_quotas"),
    )
    op.create_table(
        "assignments",
        sa.Column("gid", ID, nullable=False),
        sa.Column("mpid", sa.BigInteger, nullable=False),
        sa.Column("quota", sa.BigInteger, nullable=False),
        sa.Column("write", sa.Boolean, nullable=False),
        sa.Column("manage", sa.Boolean, nullable=False),
        sa.ForeignKeyConstraint(["gid"], ["groups.gid"], name="fk_assignments_gid", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("gid", "mpid", name="pk_assignments"),
    )
    op.add_column("machines", sa.Column("run_spec", sa.Text))
