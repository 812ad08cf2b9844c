"""The tables. Ids are never reused: AUTOINCREMENT guarantees that even for the last row of a table.

https://www.sqlite.org/autoinc.html
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    false,
)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)

Id = BigInteger().with_variant(Integer, "sqlite")

instance = Table(
    "instance",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

hosts = Table(
    "hosts",
    metadata,
    Column("host_id", Id, primary_key=True),
    Column("name", Text, nullable=False),
    Column("uuid", Text),
    Column("address", Text),
    Column("serial", Text),
    Column("renewing", Text),
    Column("mpid", BigInteger),
    Column("duty", Text, nullable=False, server_default="active"),
    Column("labels", Text, nullable=False, server_default="{}"),
    Column("joined", BigInteger),
    Column("heard", BigInteger),
    Column("known", Text),
    Column("keeps_copy", Boolean, nullable=False, server_default=false()),
    Column("fence", Text),
    Column("dead_at", BigInteger),
    Column("dead_by", Text),
    Column("dead_term", BigInteger),
    Column("clients", Text),
    Column("blocklisted", Text),
    Index("ix_hosts_uuid", "uuid", unique=True),
)

evacuations = Table(
    "evacuations",
    metadata,
    Column("host_id", Id, primary_key=True, autoincrement=False),
    Column("machine", Text, primary_key=True),
    Column("vmid", Id, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
)
"""For each machine on a host that was confirmed dead or blocklisted: the last run there that has ended by that."""

purged_machines = Table(
    "purged_machines",
    metadata,
    Column("host_id", Id, primary_key=True, autoincrement=False),
    Column("machine", Text, primary_key=True),
)
"""Machines that were removed permanently, until what this host stores of them is removed there."""

node_tokens = Table(
    "node_tokens",
    metadata,
    Column("name", Text, primary_key=True),
    Column("key", LargeBinary(32), nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("host_id", Id),
    Column("used_by", Id),
    Column("proof", Text),
)

authority = Table(
    "authority",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("certificate", Text, nullable=False),
    Column("key", Text, nullable=False),
)
"""One row: the key that signs certificates of this installation's hosts. Never shown, and never exported."""

users = Table(
    "users",
    metadata,
    Column("uid", Id, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("password", Text, nullable=False),
    Column("home", Id, nullable=False, server_default="0"),
    sqlite_autoincrement=True,
)

groups = Table(
    "groups",
    metadata,
    Column("gid", Id, primary_key=True),
    Column("parent_gid", Id, ForeignKey("groups.gid"), nullable=False),
    Column("name", Text, nullable=False),
    UniqueConstraint("parent_gid", "name"),
    sqlite_autoincrement=True,
)

grants = Table(
    "grants",
    metadata,
    Column("uid", Id, ForeignKey("users.uid", ondelete="CASCADE"), primary_key=True),
    Column("gid", Id, ForeignKey("groups.gid", ondelete="CASCADE"), primary_key=True),
    Column("pid", Integer, primary_key=True),
)

quotas = Table(
    "quotas",
    metadata,
    Column("gid", Id, ForeignKey("groups.gid", ondelete="CASCADE"), primary_key=True),
    Column("cpus", BigInteger),
    Column("memory_mib", BigInteger),
    Column("vms", BigInteger),
    Column("forward_ports", Text),
)

authkeys = Table(
    "authkeys",
    metadata,
    Column("hash", LargeBinary(32), primary_key=True),
    Column("uid", Id, ForeignKey("users.uid", ondelete="CASCADE"), nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("sid", Text, nullable=False, unique=True),
    Column("created", BigInteger, nullable=False),
    Column("address", Text, nullable=False),
    Column("agent", Text, nullable=False),
)

good_addresses = Table(
    "good_addresses",
    metadata,
    Column("uid", Id, ForeignKey("users.uid", ondelete="CASCADE"), primary_key=True),
    Column("address", Text, primary_key=True),
    Column("at", BigInteger, nullable=False),
)

assignments = Table(
    "assignments",
    metadata,
    Column("gid", Id, ForeignKey("groups.gid", ondelete="CASCADE"), primary_key=True),
    Column("mpid", BigInteger, primary_key=True, autoincrement=False),
    Column("quota", BigInteger, nullable=False),
    Column("write", Boolean, nullable=False),
    Column("manage", Boolean, nullable=False),
)

media = Table(
    "media",
    metadata,
    Column("mid", Text, primary_key=True),
    Column("mpid", BigInteger, nullable=False),
    Column("gid", Id, ForeignKey("groups.gid"), nullable=False),
    Column("name", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("readonly", Boolean, nullable=False),
    Column("format", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("growing", Boolean, nullable=False, server_default=false()),
    Column("origin", Text),
    UniqueConstraint("gid", "mpid", "name"),
)

uploads = Table(
    "uploads",
    metadata,
    Column("name", Text, primary_key=True),
    Column("mid", Text, nullable=False, unique=True),
    Column("uid", Id, ForeignKey("users.uid", ondelete="CASCADE"), nullable=False),
    Column("gid", Id, ForeignKey("groups.gid", ondelete="CASCADE"), nullable=False),
    Column("request", Text, nullable=False),
    Column("received", BigInteger, nullable=False),
    Column("begun", BigInteger, nullable=False),
    Column("heard", BigInteger, nullable=False),
)

machines = Table(
    "machines",
    metadata,
    Column("vmid", Id, primary_key=True),
    Column("uuid", Text, nullable=False, unique=True),
    Column("host_id", Id, ForeignKey("hosts.host_id"), nullable=False),
    Column("gid", Id, ForeignKey("groups.gid"), nullable=False),
    Column("name", Text, nullable=False),
    Column("spec", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("wanted", Text, nullable=False),
    Column("reason", Text),
    Column("stopping_since", BigInteger),
    Column("run_spec", Text),
    Column("stop_forced", Boolean, nullable=False, server_default=false()),
    Column("restarting", Boolean, nullable=False, server_default=false()),
    Column("next_boot", Text),
    Column("frozen_until", BigInteger),
    Column("tried_epoch", BigInteger, nullable=False, server_default="0"),
    Column("created", BigInteger),
    UniqueConstraint("gid", "name"),
    sqlite_autoincrement=True,
)
"""`tried_epoch`: the highest epoch that was planned for a run on another host, whether the run began or not."""

firmware_variables = Table(
    "firmware_variables",
    metadata,
    Column("machine", Text, primary_key=True),
    Column("modified", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),
)
"""Compressed firmware variables of machines that other hosts could start, in case their own host is lost."""

host_moves = Table(
    "host_moves",
    metadata,
    Column("mvid", Id, primary_key=True),
    Column("vmid", Id, nullable=False),
    Column("uuid", Text, nullable=False),
    Column("source", Id, nullable=False),
    Column("target", Id, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("next_epoch", BigInteger, nullable=False),
    Column("media", Text, nullable=False),
    Column("phase", Text, nullable=False),
    sqlite_autoincrement=True,
)
"""Moves of VMs to other hosts that are not finished; the VM may have been deleted meanwhile."""

tasks = Table(
    "tasks",
    metadata,
    Column("tid", Id, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("uid", Id, nullable=False),
    Column("gid", Id, ForeignKey("groups.gid", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("begun", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("done", BigInteger, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("ended", BigInteger),
    Column("message", Text),
    Column("mid", Text),
    Column("vmid", BigInteger),
    sqlite_autoincrement=True,
)

trash = Table(
    "trash",
    metadata,
    Column("trid", Id, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("gid", Id, nullable=False),
    Column("name", Text, nullable=False),
    Column("uid", Id, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("deleted", BigInteger, nullable=False),
    Column("rows", Text, nullable=False),
    sqlite_autoincrement=True,
)

history = Table(
    "history",
    metadata,
    Column("hid", Id, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("uid", Id),
    Column("name", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("request", Text, nullable=False),
    Column("operation", Text, nullable=False),
    Column("gid", Id, nullable=False),
    Column("target", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("code", Integer),
    Column("message", Text),
    Column("vmid", Id),
    Column("times", Integer, nullable=False, server_default="1"),
    Index("ix_history_vmid", "vmid", "hid"),
    sqlite_autoincrement=True,
)

repeats = Table(
    "repeats",
    metadata,
    Column("uid", Id, ForeignKey("users.uid", ondelete="CASCADE"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("fingerprint", LargeBinary(32), nullable=False),
    Column("answer", LargeBinary),
    Column("at", BigInteger, nullable=False),
)

leadership = Table(
    "leadership",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("term", BigInteger, nullable=False),
    Column("written", BigInteger, nullable=False),
)
"""One row. It belongs to this very database, and is never exported."""
