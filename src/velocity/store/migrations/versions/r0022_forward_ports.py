"""The ports of the host that may lead to the VMs of a group."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    op.add_column("quotas", sa.Column("forward_ports", sa.Text()))
