"""Which image of the catalogue a medium was made of."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    op.add_column("media", sa.Column("origin", sa.Text()))
