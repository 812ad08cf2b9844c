"""What the next start of a VM does, once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0022"


def upgrade() -> None:
    op.add_column("machines", sa.Column("next_boot", sa.Text()))
