"""Whether the stop that was asked for is one with force."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("machines", sa.Column("stop_forced", sa.Boolean(), nullable=False, server_default=sa.false()))
