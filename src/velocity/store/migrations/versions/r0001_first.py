"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "instance",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_instance"),
    )
    op.create_table(
        "hosts",
        sa.Column("host_id", ID, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("host_id", name="pk_hosts"),
    )
    op.create_table(
        "users",
        sa.Column("uid", ID, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("password", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("uid", name="pk_users"),
        sa.UniqueConstraint("name", name="uq_users_name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "groups",
        sa.Column("gid", ID, nullable=False),
        sa.Column("parent_gid", ID, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("gid", name="pk_groups"),
        sa.ForeignKeyConstraint(["parent_gid"], ["groups.gid"], name="fk_groups_parent_gid"),
        sa.UniqueConstraint("parent_gid", "name", name="uq_groups_parent_gid_name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "grants",
        sa.Column("uid", ID, nullable=False),
        sa.Column("gid", ID, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("uid", "gid", "pid", name="pk_grants"),
        sa.ForeignKeyConstraint(["uid"], ["users.uid"], name="fk_grants_uid", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["gid"], ["groups.gid"], name="fk_grants_gid", ondelete="CASCADE"),
    )
    op.create_table(
        "authkeys",
        sa.Column("hash", sa.LargeBinary(32), nullable=False),
        sa.Column("uid", ID, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("hash", name="pk_authkeys"),
        sa.ForeignKeyConstraint(["uid"], ["users.uid"], name="fk_authkeys_uid", ondelete="CASCADE"),
    )
    op.create_table(
        "media",
        sa.Column("mid", sa.Text, nullable=False),
        sa.Column("mpid", sa.BigInteger, nullable=False),
        sa.Column("gid", ID, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("readonly", sa.Boolean, nullable=False),
        sa.Column("format", sa.Text, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("mid", name="pk_media"),
        sa.ForeignKeyConstraint(["gid"], ["groups.gid"], name="fk_media_gid"),
        sa.UniqueConstraint("gid", "mpid", "name", name="uq_media_gid_mpid_name"),
    )
    op.create_table(
        "machines",
        sa.Column("vmid", ID, nullable=False),
        sa.Column("uuid", sa.Text, nullable=False),
        sa.Column("host_id", ID, nullable=False),
        sa.Column("gid", ID, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("wanted", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("stopping_since", sa.BigInteger),
        sa.PrimaryKeyConstraint("vmid", name="pk_machines"),
        sa.ForeignKeyConstraint(["host_id"], ["hosts.host_id"], name="fk_machines_host_id"),
        sa.ForeignKeyConstraint(["gid"], ["groups.gid"], name="fk_machines_gid"),
        sa.UniqueConstraint("uuid", name="uq_machines_uuid"),
        sa.UniqueConstraint("gid", "name", name="uq_machines_gid_name"),
        sqlite_autoincrement=True,
    )
