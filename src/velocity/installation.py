"""An installation before a server is wired over it: its data directory, and its database."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from velocity.config import Settings
from velocity.hosts.members import Member
from velocity.node import identity, places
from velocity.store.database import Database
from velocity.store.errors import DatabaseError
from velocity.store.hosts import SqlMembers, claim_own
from velocity.store.leadership import Busy, FileLock


class CannotStart(Exception):
    """The server cannot start over this data; the message has the cure."""


class InUse(CannotStart):
    """Another server works on the same data directory, or on the same database."""


def leadership(data_dir: Path) -> FileLock:
    """A lock that dies with its holder: one server on a data directory. Raises `InUse`."""
    if places.identity(data_dir).exists():
        raise CannotStart(
            f"{data_dir} is the data directory of a node, which another server controls: start it by `velocity node "
            f"serve`, or choose another `data_dir`; to make it a server, remove {data_dir / 'node'}"
        )
    lock = FileLock(data_dir / "lock")
    try:
        lock.take()
    except Busy:
        raise InUse("another Velocity server or node uses this data directory: stop it first") from None
    return lock


def database_of(settings: Settings) -> Database:
    """Not opened yet. Raises `CannotStart`."""
    try:
        return Database(settings.database_url)
    except DatabaseError as error:
        raise CannotStart(str(error)) from None


def open_database(database: Database, begin: Callable[[str], None] = lambda what: None) -> None:
    """Raises `CannotStart`. `begin`: see `Database.open`."""
    try:
        database.open(begin)
    except Busy:
        raise InUse("another Velocity server uses this database: stop it first") from None
    except DatabaseError as error:
        raise CannotStart(str(error)) from None


def own_host(settings: Settings, database: Database) -> Member:
    """The host of the database that this machine is: never another one's. Raises `CannotStart`."""
    try:
        machine = identity.ensure_machine(settings.data_dir)
    except msgspec.MsgspecError as error:
        raise CannotStart(
            f"who this machine is cannot be read ({places.machine(settings.data_dir)}: {error}): restore that file"
        ) from None
    own = claim_own(database, machine)
    if own is not None:
        return own
    names = ", ".join(one.name for one in SqlMembers(database).load().members)
    raise CannotStart(
        f"this machine is none of the hosts that the database knows ({names}), and would take its own VMs for theirs: "
        "for a further host, join (`velocity node join`, in an empty `data_dir`); in the place of one of them that is "
        "gone for good, or whose data directory is lost, `velocity promote --as HOST`"
    )


def check_first(settings: Settings, what: str) -> None:
    """A new installation is begun in an empty data directory only. Raises `CannotStart`.

    Beside what an installation has left, an empty database is a lost one: to begin anew would empty the pools' trash.
    """
    places = [settings.data_dir / name for name in ("machines", "pools")]
    left = [place for place in places if place.is_dir() and any(place.iterdir())]
    left += [settings.key_file] if settings.key_file.exists() else []
    if left:
        raise CannotStart(
            f"{what}, but there is data of an installation: {', '.join(map(str, left))}: restore the database from "
            "its backup (velocity db import FILE), or correct the setting `database`; to start over, move that data "
            "away"
        )
