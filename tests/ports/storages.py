"""What the suite of the storage's port is run on, each with the same handles."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from tests.ceph import Ceph
from tests.node.served import Served
from tests.patience import PATIENCE
from velocity.hosts.shared_pools import SharedPools
from velocity.hypervisor.attached import FIRST_HOST, AttachedHost, AttachedHosts
from velocity.hypervisor.fake import FakeHypervisor
from velocity.hypervisor.pool_hosts import OfferedPool
from velocity.hypervisor.port import HostId
from velocity.hypervisor.storage_ways import StorageWays
from velocity.node.remote import Connection, storage_of
from velocity.storage.declared import open_directories
from velocity.storage.directory.places import MARK, Places, file_name
from velocity.storage.directory.storage import DirectoryStorage
from velocity.storage.fake import connect
from velocity.storage.fake.pools import FakeHost, FakeShared
from velocity.storage.port import MediaRef, ObjectKind, Storage
from velocity.storage.rbd.places import rbd_places
from velocity.storage.rbd.rados_pool import RadosPool
from velocity.storage.routed import routed

DEADLINE = PATIENCE
"""Seconds that a call gets here, on however slow a host."""
AGAIN, RBD_AGAIN = 0.05, 5.0
POOLS = ((1, "good"), (2, "usb"))
Refs = tuple[MediaRef, ...]


def ref(pool: int = 2, format_: str = "raw", kind: ObjectKind = ObjectKind.MEDIUM) -> MediaRef:
    return MediaRef(pool, uuid4(), format_, kind)


class Subject(Protocol):
    """A host with two pools. `storage` is what the server has now that knows these objects."""

    storage: Storage

    async def restart(self, kept: Refs = (), trashed: Refs = (), coming: Refs = ()) -> None:
        """The server is killed, and the next one comes and opens the pools."""

    def go_away(self) -> None:
        """Pool 2 is not there."""

    def come_back(self) -> None: ...

    def hang(self) -> None:
        """Pool 2 does not answer."""

    def wake(self) -> None: ...

    def block(self, one: MediaRef) -> None:
        """Nothing can be moved to where this object belongs."""

    def unblock(self, one: MediaRef) -> None: ...

    async def close(self) -> None: ...


async def opened(storage: Storage, *known: Refs) -> None:
    for mpid, _ in POOLS:
        kept, trashed, coming = (tuple(one for one in refs if one.pool == mpid) for refs in known)
        await storage.pools.open(mpid, kept, trashed, coming, deadline=DEADLINE)


class Local:
    """In the server's own process."""

    def __init__(self, make: Callable[[], Storage]) -> None:
        self._make = make
        self._made: Storage | None = None

    async def next(self) -> Storage:
        """What the next server has."""
        if self._made is not None:
            await self._made.pools.close()  # without the jobs' order
        self._made = self._make()
        return self._made

    async def close(self) -> None:
        if self._made is not None:
            await self._made.close()


class Remote:
    """On a node: the next server is a leader with the next term."""

    def __init__(self, make: Callable[[], Storage], notes: Path) -> None:
        self._served = Served(FakeHypervisor(), make, notes)
        self._term = 0
        self._to: Connection | None = None

    async def next(self) -> Storage:
        if self._to is None:
            await self._served.open()
        else:
            await self._to.close()
        self._term += 1
        self._to = self._served.connect(self._term)
        return storage_of(self._to)

    async def close(self) -> None:
        assert self._to is not None
        await self._to.close()
        await self._served.close()


class FakeSubject:
    def __init__(self, place: Callable[[Callable[[], Storage]], Local | Remote]) -> None:
        self._host = FakeHost(*POOLS)
        self._pool = self._host.pools[2]
        self._place = place(lambda: connect(self._host, AGAIN))

    async def restart(self, kept: Refs = (), trashed: Refs = (), coming: Refs = ()) -> None:
        self.storage = await self._place.next()
        await opened(self.storage, kept, trashed, coming)

    def go_away(self) -> None:
        self._pool.state = "away"

    def come_back(self) -> None:
        self._pool.state = "online"

    def hang(self) -> None:
        self._pool.hang()

    def wake(self) -> None:
        self._pool.wake()

    def block(self, one: MediaRef) -> None:
        self._pool.blocked.add(one)

    def unblock(self, one: MediaRef) -> None:
        self._pool.blocked.discard(one)

    async def close(self) -> None:
        await self._place.close()


class DirectorySubject:
    """A pool that hangs is one whose mark does not come: a pipe into which nobody writes."""

    def __init__(self, path: Path, place: Callable[[Callable[[], Storage]], Local | Remote]) -> None:
        self._path = path
        self._place = place(lambda: self._open("records"))

    def _open(self, records: str, *, shared: bool = False) -> DirectoryStorage:
        places = [
            Places(mpid, name, self._path / name, self._path / records, shared and name == "usb")
            for mpid, name in POOLS
        ]
        return open_directories(places, None, AGAIN)

    async def restart(self, kept: Refs = (), trashed: Refs = (), coming: Refs = ()) -> None:
        self.storage = await self._place.next()
        await opened(self.storage, kept, trashed, coming)

    def go_away(self) -> None:
        (self._path / "usb").rename(self._path / "aside")

    def come_back(self) -> None:
        (self._path / "aside").rename(self._path / "usb")

    def hang(self) -> None:
        mark = self._path / "usb" / MARK
        self._mark = mark.read_bytes()
        mark.unlink()
        os.mkfifo(mark)

    def wake(self) -> None:
        mark = self._path / "usb" / MARK
        pipe = mark.rename(mark.with_name("pipe"))
        mark.write_bytes(self._mark)
        writer = os.open(pipe, os.O_RDWR)  # who waits for the mark gets it now
        os.write(writer, self._mark)
        time.sleep(0.05)
        os.close(writer)

    def block(self, one: MediaRef) -> None:
        (self._path / "usb" / file_name(one)).mkdir()

    def unblock(self, one: MediaRef) -> None:
        (self._path / "usb" / file_name(one)).rmdir()

    async def close(self) -> None:
        await self._place.close()


class ByTwo(Local):
    """As a server has it whose pool 2 is shared by two hosts, both of which are there."""

    def __init__(self, make: Callable[[], tuple[Storage, Storage]], again: float = AGAIN) -> None:
        self._each: tuple[Storage, ...] = ()

        def both() -> Storage:
            self._each = make()
            return by_two(*self._each, again)

        super().__init__(both)

    async def next(self) -> Storage:
        for one in self._each:
            await one.pools.close()
        return await super().next()


def by_two(own: Storage, other: Storage, again: float = AGAIN) -> Storage:
    usb = OfferedPool(2, "usb", shared=True)
    hosts = AttachedHosts(AttachedHost(FIRST_HOST, "a", FakeHypervisor(), own, (OfferedPool(1, "good"), usb)))
    hosts.put(AttachedHost(HostId(2), "b", FakeHypervisor(), other, (usb,)))
    return routed(StorageWays(hosts), SharedPools(hosts).survey, own.files, again)


class FakeSharedSubject(FakeSubject):
    def __init__(self) -> None:
        storage = FakeShared()
        self._host = FakeHost(POOLS[0], shared={POOLS[1]: storage})
        self._pool = self._host.pools[2]
        other = FakeHost(shared={POOLS[1]: storage})
        self._place = ByTwo(lambda: (connect(self._host, AGAIN), connect(other, AGAIN)))


class SharedSubject(DirectorySubject):
    def __init__(self, path: Path) -> None:
        def make() -> tuple[Storage, Storage]:
            return self._open("records", shared=True), self._open("records-of-b", shared=True)

        super().__init__(path, lambda _: ByTwo(make))
        (path / "usb" / MARK).parent.mkdir(parents=True)


class RbdSubject(DirectorySubject):
    """Pool 2 is a namespace of a cluster's, which two hosts have."""

    def __init__(self, path: Path, cluster: Ceph) -> None:
        self._cluster = cluster
        namespace = uuid4().hex
        cluster.admin("rbd", "namespace", "create", f"vm/{namespace}")
        self._rados = RadosPool(path / "ceph.conf", "velocity", "vm", namespace)
        shutil.copy(cluster.conf, path / "ceph.conf")
        self._path = path

        def opened(records: str) -> DirectoryStorage:
            good = Places(1, "good", path / records / "good", path / records)
            return open_directories([good, rbd_places(2, "usb", path / records, self._rados)], None, RBD_AGAIN)

        self._place = ByTwo(lambda: (opened("records"), opened("records-of-b")), RBD_AGAIN)

    def go_away(self) -> None:
        self._rados.conf.rename(self._path / "aside")

    def come_back(self) -> None:
        (self._path / "aside").rename(self._rados.conf)

    def hang(self) -> None:
        self._cluster.freeze()

    def wake(self) -> None:
        self._cluster.thaw()

    def block(self, one: MediaRef) -> None:
        """Something has the name already."""
        self._rados_object("create", one)

    def unblock(self, one: MediaRef) -> None:
        self._rados_object("rm", one)

    def _rados_object(self, verb: str, one: MediaRef) -> None:
        place = ("--pool=vm", f"--namespace={self._rados.namespace}")
        self._cluster.admin("rados", *place, verb, f"rbd_id.{file_name(one)}")


KINDS: dict[str, Callable[[Path], Subject]] = {
    "fake": lambda path: FakeSubject(Local),
    "fake remote": lambda path: FakeSubject(partial(Remote, notes=path)),
    "fake shared": lambda path: FakeSharedSubject(),
    "directory": lambda path: DirectorySubject(path, Local),
    "directory remote": lambda path: DirectorySubject(path, partial(Remote, notes=path)),
    "directory shared": SharedSubject,
}
