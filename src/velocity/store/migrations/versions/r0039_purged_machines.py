"""What hosts still store of VMs that were removed permanently is written down until it is removed there."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "purged_machines",
        sa.Column("host_id", ID, nullable=False, autoincrement=False),
        sa.Column("machine", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("host_id", "machine", name="pk_purged_machines"),
    )
