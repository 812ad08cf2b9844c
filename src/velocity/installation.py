"""An installation before a server is built on it: its data directory and its database."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from velocity import durable
from velocity.config import Settings
from velocity.hosts.members import Member
from velocity.node import identity, places
from velocity.store.database import Database
from velocity.store.engine import in_words
from velocity.store.errors import DatabaseError
from velocity.store.hosts import SqlMembers, claim_own, leader_name

if TYPE_CHECKING:
    from velocity.node.wire import Displaced
from velocity.store.leadership import Busy, FileLock


class CannotStart(Exception):
    """The server cannot start on this data; the message has the cure."""


class InUse(CannotStart):
    """Another server uses the same data directory or database."""


def leadership(settings: Settings) -> FileLock:
    """The lock of the data directory. Raises `InUse`, and `CannotStart` for a node's (unless this is a standby)."""
    data_dir = settings.data_dir
    if places.identity(data_dir).exists() and not settings.standby:
        raise CannotStart(
            f"{data_dir} is the data directory of a node, which another server controls: start it with `velocity node "
            f"serve`, or choose another `data_dir`; to make it a server, remove {data_dir / 'node'}"
        )
    lock = FileLock(data_dir / "lock")
    try:
        lock.take()
    except Busy:
        raise InUse("another Velocity server or node uses this data directory: stop it first") from None
    return lock


class Displacement(Struct, frozen=True):
    """The record of a server that gave way to another one, which leads a copy of its database."""

    own: str
    to: str
    at: int
    term: int
    leader: str

    def __str__(self) -> str:
        at = datetime.fromtimestamp(self.at).astimezone().isoformat(" ", "seconds")
        return (
            f"{self.to} leads with a copy of this database (noticed on {at}), so this server makes no more changes; "
            f"its guests keep running. To be a host of that server: there `velocity node token --again {self.own}`, "
            "here `velocity node join --former-server`. To lead again and give up what was changed there: stop that "
            "server for good, then `velocity promote` here"
        )


def _displacement(data_dir: Path) -> Path:
    return data_dir / "displaced.json"


def displaced(data_dir: Path) -> str:
    """In words, that this server has given way; empty if it has not."""
    file = _displacement(data_dir)
    try:
        return str(durable.read(file, Displacement)) if file.exists() else ""
    except msgspec.DecodeError as error:
        return f"{file} says that another server leads, and cannot be read ({error}): if none does, remove that file"


def check_leads(data_dir: Path) -> None:
    """Raises `CannotStart` if this server has given way."""
    if words := displaced(data_dir):
        raise CannotStart(words)


def forget_displaced(data_dir: Path) -> None:
    _displacement(data_dir).unlink(missing_ok=True)
    durable.sync(data_dir)


def is_led(database: Database) -> bool:
    """Whether a server leads the database now. Raises `CannotStart` if that is not known."""
    try:
        with in_words(database.url):
            database.lock.take()
    except Busy:
        return True
    except DatabaseError as error:
        raise CannotStart(str(error)) from None
    database.lock.close()
    return False


def leader_of(database: Database) -> str:
    """The name of the host whose server leads, or led last. Raises `CannotStart`."""
    try:
        with in_words(database.url):
            return leader_name(database)
    except DatabaseError as error:
        raise CannotStart(str(error)) from None


def check_known(settings: Settings, database: Database) -> None:
    """Raises `CannotStart` if this machine is not a host of the database, and so could never lead."""
    machine = identity.machine_of(settings.data_dir)
    try:
        with in_words(database.url):
            members = SqlMembers(database).load().members
    except DatabaseError:
        return  # its schema may be another version's, which opening it will tell
    if machine not in [one.uuid for one in members]:
        raise _stranger([one.called for one in members])


def set_aside(data_dir: Path) -> Path:
    """Move the data of a former server into the returned directory."""
    place = next(one for one in (data_dir / f"former-{n}" for n in itertools.count(1)) if not one.exists())
    place.mkdir(mode=0o700)
    for file in [*data_dir.glob("velocity.db*"), _displacement(data_dir)]:
        if file.exists():
            file.rename(place / file.name)
    durable.sync(place)
    durable.sync(data_dir)
    return place


def end_for(settings: Settings, database: Database, own: str, to: str, found: Displaced) -> None:
    """Stop leading, as a host says that a later server leads. Blocks; called in a thread.

    `to`: the name of the server that leads a copy of the database; empty: check in the database whether it is so.
    """
    if not to:
        database.doubt()
        return
    note = Displacement(own, to, int(time.time()), found.term, found.leader)
    with contextlib.suppress(OSError):  # the next start finds out again
        durable.write(_displacement(settings.data_dir), msgspec.json.encode(note))
    database.doubt(sure=str(note))


def database_of(settings: Settings) -> Database:
    """The database, not opened yet. Raises `CannotStart`."""
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
    """The host of the database that this machine is. Raises `CannotStart` if it is none."""
    try:
        machine = identity.ensure_machine(settings.data_dir)
    except msgspec.MsgspecError as error:
        raise CannotStart(
            f"this machine's identity cannot be read ({places.machine(settings.data_dir)}: {error}): restore that file"
        ) from None
    own = claim_own(database, machine)
    if own is not None:
        return own
    raise _stranger([one.called for one in SqlMembers(database).load().members])


def _stranger(names: list[str]) -> CannotStart:
    return CannotStart(
        f"this machine is not one of the hosts in the database ({', '.join(names)}), and would take its own VMs "
        "for theirs: for a further host, join (`velocity node join`, in an empty `data_dir`); in the place of one of "
        "them that is gone for good, or whose data directory is lost, `velocity promote --as HOST`"
    )


def check_first(settings: Settings, what: str) -> None:
    """Raises `CannotStart` unless the data directory is empty, as a new installation needs.

    Beside the data of an installation, an empty database is a lost one, and starting anew would empty the pools' trash.
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
