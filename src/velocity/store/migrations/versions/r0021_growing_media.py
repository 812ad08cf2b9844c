"""Whether a medium's file is still to become as large as the medium is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    op.add_column("media", sa.Column("growing", sa.Boolean(), nullable=False, server_default=sa.false()))
