"""Hosts that keep a copy of the database."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0031"


def upgrade() -> None:
    op.add_column("hosts", sa.Column("keeps_copy", sa.Boolean, nullable=False, server_default=sa.false()))
