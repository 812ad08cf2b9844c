"""When a VM was created."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"


def upgrade() -> None:
    op.add_column("machines", sa.Column("created", sa.BigInteger))
