"""Makes a machine the server: from the copy of the database that it kept as a node, or from its own database.

The term is raised to the next era: a server that was cut off may have taken terms unknown here, which must not be taken
twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import msgspec

from velocity import durable
from velocity.config import Settings
from velocity.hosts.members import Member
from velocity.hypervisor.port import HostId
from velocity.installation import CannotStart, database_of, forget_displaced, open_database
from velocity.node import identity, places
from velocity.node.copies import CopyNote, KeptCopies
from velocity.node.identity import Machine, NodeIdentity
from velocity.node.terms import Terms
from velocity.store.database import Database
from velocity.store.hosts import SqlMembers, claim_own, note_promotion, take_place

ERA = 1 << 20
BESIDE = ("", "-wal", "-shm", ".lock")
"""The suffixes of the files of an SQLite database."""


def newest_copy(data_dir: Path) -> CopyNote | None:
    """The newest copy with the digest that it was sent with. Raises `OSError`, `msgspec.MsgspecError`."""
    kept = KeptCopies(places.copies(data_dir))
    return next((one for one in kept.all() if _digest(kept.file(one)) == one.digest), None)


def _digest(file: Path) -> str:
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


def promote_node(settings: Settings, was: NodeIdentity, copy: CopyNote) -> Member:
    """Turn the node into a server, which leads from its next start; returns its own host. Raises `CannotStart`.

    After a crash at any point it is still a node, and can be promoted again.
    """
    data_dir = settings.data_dir
    draft, target = data_dir / "promoting.db", data_dir / "velocity.db"
    for end in BESIDE:
        draft.with_name(draft.name + end).unlink(missing_ok=True)
    shutil.copyfile(KeptCopies(places.copies(data_dir)).file(copy), draft)
    draft.chmod(0o600)
    with _opened(msgspec.structs.replace(settings, database=f"sqlite:///{draft}")) as database:
        own = claim_own(database, was.uuid)
        if own is None:
            raise CannotStart("the copy of the database does not know this machine: it is from before it joined")
        note_promotion(database, _next_era(database, data_dir), copied=copy.at)
    if draft.with_name(f"{draft.name}-wal").exists():  # SQLite could not merge it into the file
        raise CannotStart(f"{draft} cannot be written, as on a full disk: free some space there, and try again")
    durable.sync_file(draft)
    for end in BESIDE[1:]:
        target.with_name(target.name + end).unlink(missing_ok=True)
    draft.replace(target)
    durable.sync(data_dir)
    draft.with_name(draft.name + ".lock").unlink(missing_ok=True)
    durable.write(places.machine(data_dir), msgspec.json.encode(Machine(was.uuid)))
    forget_displaced(data_dir)
    places.identity(data_dir).replace(places.former(data_dir))
    durable.sync(places.former(data_dir).parent)
    return own


def promote_server(settings: Settings, named: str | None) -> Member:
    """Let the next server here lead its own database, even if another one has led it or a copy of it meanwhile.

    `named`: the host whose place this machine takes. Raises `CannotStart`, `OSError`.
    """
    with _opened(settings) as database:
        machine = identity.ensure_machine(settings.data_dir)
        if named is not None:
            take_place(database, _place(database, named, machine), machine)
        own = claim_own(database, machine)
        if own is None:
            raise CannotStart("this machine is not a host of the database: name the host whose place it takes (--as)")
        note_promotion(database, _next_era(database, settings.data_dir))
    forget_displaced(settings.data_dir)
    return own


def _place(database: Database, named: str, machine: UUID) -> HostId:
    members = SqlMembers(database).load().members
    if mine := next((one.called for one in members if one.uuid == machine), ""):
        raise CannotStart(f"this machine is the host {mine!r} already: leave out --as")
    for one in members:
        if one.called == named:
            return one.host
    names = ", ".join(one.called for one in members)
    raise CannotStart(f"the database knows no host {named!r}: its hosts are {names}")


def _next_era(database: Database, data_dir: Path) -> int:
    served = Terms(places.term(data_dir)).highest
    return (max(served, database.term.mine) // ERA + 1) * ERA


@contextmanager
def _opened(settings: Settings) -> Iterator[Database]:
    database = database_of(settings)
    try:
        open_database(database)
        yield database
    finally:
        asyncio.run(database.close())
