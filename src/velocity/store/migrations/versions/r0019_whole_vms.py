"""Whether a VM is to be started again once it has stopped, and the VM that a task made."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0016"


def upgrade() -> None:
    op.add_column("machines", sa.Column("restarting", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("tasks", sa.Column("vmid", sa.BigInteger()))
