"""How often what an entry of the history tells was refused within its minute."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("history", sa.Column("times", sa.Integer, nullable=False, server_default="1"))
