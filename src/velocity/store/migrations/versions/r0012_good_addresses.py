"""From where each user has signed in, apart from the history, whose entries go."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from velocity.access.throttle import OWN, network

revision = "0012"
down_revision = "0011"

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    made = op.create_table(
        "good_addresses",
        sa.Column("uid", ID, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["uid"], ["users.uid"], name="fk_good_addresses_uid", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("uid", "address", name="pk_good_addresses"),
    )
    connection = op.get_bind()
    entries = connection.execute(
        sa.text(
            "select users.uid, history.address, max(history.at) from history join users on users.name = history.name "
            "where history.operation in ('sign_in', 'open_session') and history.code is null "
            "group by users.uid, history.address order by max(history.at)"
        )
    )
    found: dict[int, dict[str, int]] = {}
    for uid, address, at in entries:
        found.setdefault(uid, {})[network(address)] = at
    rows = [
        {"uid": uid, "address": address, "at": at}
        for uid, good in found.items()
        for address, at in sorted(good.items(), key=lambda one: one[1])[-OWN:]
    ]
    if rows:
        op.bulk_insert(made, rows)
