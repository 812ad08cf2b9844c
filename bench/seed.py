"""A data directory with many objects in it: copies of one VM and one medium that the API made.

They are written into the database itself, in one transaction: the API commits each one by itself, which has a bench of
its own. What a bench measures over them is the server that has them.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

from sqlalchemy import Connection, Table, insert, select

from bench.server import Velocity
from velocity.access.sessions import key_hash
from velocity.contract.permissions import Permission
from velocity.store.database import Database
from velocity.store.tables import assignments, authkeys, grants, groups, machines, media, users

DEEP = 6
"""Groups in a chain: the first one is below the root, each further one below the one before."""
HELD = (Permission.VM_VIEW, Permission.VM_STATE, Permission.MEDIA_LIST, Permission.GROUP_VIEW)
"""What a user holds, on the first group of a chain: on the others of it by inheritance."""


@dataclass(frozen=True)
class World:
    """How much there is. VM n has a NIC, and medium n as its disk if there is one; both lie in the same group.

    With groups they lie in these in turn, else in group 0. User n holds `HELD` on the n-th chain, and has the authkey
    `key(n)`.
    """

    vms: int = 0
    media: int = 0
    users: int = 0
    groups: int = 0

    def group_of(self, number: int) -> int:
        return 1 + number % self.groups if self.groups else 0

    def chain_of(self, user: int) -> list[int]:
        """The groups that a user sees, the first one first."""
        first = 1 + user * DEEP % self.groups // DEEP * DEEP
        return list(range(first, min(first + DEEP, self.groups + 1)))


def key(user: int) -> str:
    return f"the authkey of user {user}"


def seed(server: Velocity, world: World) -> None:
    """Fill the data directory of a server that has just been started for the first time; it is stopped then."""
    client = server.client()
    vmid = server.reference_vm(client, "model")
    server.stop()
    database = Database(f"sqlite:///{server.data / 'velocity.db'}")

    def work(connection: Connection) -> None:
        vm = dict(connection.execute(select(machines).where(machines.c.vmid == vmid)).mappings().one())
        medium = dict(connection.execute(select(media)).mappings().one())
        root = dict(connection.execute(select(users)).mappings().one())
        connection.execute(machines.delete())
        connection.execute(media.delete())
        for table, rows in _rows(world, vm, medium, root["password"]):
            if found := list(rows):
                connection.execute(insert(table), found)
        pool = server.data / "media"
        model = pool / f"{medium['mid']}.raw"
        for number in range(world.media):
            _sparse(pool / f"{_mid(number)}.raw", medium["size"])
        model.unlink()

    database.read(work)
    asyncio.run(database.close())
    shutil.rmtree(server.data / "machines", ignore_errors=True)


Row = dict[str, Any]


def _rows(world: World, vm: Row, medium: Row, password: str) -> Iterator[tuple[Table, Iterator[Row]]]:
    """The tables in the order in which their rows can come."""
    yield (
        groups,
        (
            {"gid": gid, "parent_gid": 0 if gid % DEEP == 1 else gid - 1, "name": f"group {gid}"}
            for gid in range(1, world.groups + 1)
        ),
    )
    tops = range(1, world.groups + 1, DEEP)
    yield assignments, ({"gid": gid, "mpid": 1, "quota": 0, "write": True, "manage": True} for gid in tops)
    uids = range(1, world.users + 1)
    yield users, ({"uid": uid, "name": f"user {uid}", "password": password} for uid in uids)
    yield grants, (
        {"uid": uid, "gid": world.chain_of(uid)[0], "pid": permission.pid}
        for uid in uids if world.groups
        for permission in HELD
    )  # fmt: skip
    now = int(time.time())
    device = {"created": now, "address": "127.0.0.1", "agent": "bench"}
    yield (
        authkeys,
        (
            {"hash": key_hash(key(uid)), "uid": uid, "expires": now + 86_400, "sid": f"{uid:016x}", **device}
            for uid in uids
        ),
    )
    yield (
        media,
        (
            {**medium, "mid": str(_mid(number)), "gid": world.group_of(number), "name": f"disk {number}"}
            for number in range(world.media)
        ),
    )
    yield (
        machines,
        (
            {
                **vm,
                "vmid": number + 1,
                "uuid": str(uuid5(NAMESPACE_OID, f"vm {number}")),
                "gid": world.group_of(number),
                "name": f"vm {number}",
                "spec": _with_disk(vm["spec"], medium["mid"], _mid(number) if number < world.media else None),
            }
            for number in range(world.vms)
        ),
    )


def _with_disk(spec: str, model: str, mid: UUID | None) -> str:
    if mid is not None:
        return spec.replace(model, str(mid))
    before, _, rest = spec.partition('"media":[')
    return f'{before}"media":[{rest.partition("]")[1]}{rest.partition("]")[2]}'


def _mid(number: int) -> UUID:
    return uuid5(NAMESPACE_OID, f"medium {number}")


def _sparse(file: Path, size: int) -> None:
    with file.open("xb") as out:
        out.truncate(size)
