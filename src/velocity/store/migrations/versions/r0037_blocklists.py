"""By which addresses storage knows hosts, and which of these are to be on its blocklist."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0036"


def upgrade() -> None:
    op.add_column("hosts", sa.Column("clients", sa.Text))
    op.add_column("hosts", sa.Column("blocklisted", sa.Text))
