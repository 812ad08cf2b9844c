"""Until when the file systems of a VM's guest are frozen."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0035"


def upgrade() -> None:
    op.add_column("machines", sa.Column("frozen_until", sa.BigInteger()))
