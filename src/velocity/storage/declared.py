"""The storage of this host: the pools that its settings declare, each of its kind."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from velocity.config import PoolSetting, Settings
from velocity.storage.directory.files import PoolFiles
from velocity.storage.directory.host_pool import HostFiles
from velocity.storage.directory.identity import HostIdentity, Identity, SharedIdentity
from velocity.storage.directory.places import HostPlaces, Places, host_places
from velocity.storage.directory.pool import AGAIN, PoolDirectory
from velocity.storage.directory.presence import Presence
from velocity.storage.directory.storage import DirectoryStorage, storage_of
from velocity.storage.rbd.files import RbdFiles
from velocity.storage.rbd.identity import RbdIdentity
from velocity.storage.rbd.places import RbdPlaces, rbd_places
from velocity.storage.rbd.presence import RbdPresence
from velocity.storage.rbd.rados_pool import RadosPool


def directories(settings: Settings) -> DirectoryStorage:
    """The pools in the settings."""
    records = settings.data_dir / "pools"
    places = [places_of(pool, records) for pool in settings.media_pools]
    return open_directories([host_places(settings.data_dir), *places], image_uid(settings))


def open_directories(places: Sequence[Places], worker: int | None, again: float = AGAIN) -> DirectoryStorage:
    """The pools at these places. `worker` is the uid for programs that read images, `again` as in `PoolDirectory`."""
    return storage_of([pool_at(one, again) for one in places], worker)


def pool_at(places: Places, again: float = AGAIN) -> PoolDirectory:
    """The pool, by the kind of its places."""
    if isinstance(places, RbdPlaces):
        rbd = RbdIdentity(places)
        images = RbdFiles(places, rbd)
        return PoolDirectory(places, images, RbdPresence(places, rbd, images), again)
    if isinstance(places, HostPlaces):
        host = HostIdentity(places)
        own = HostFiles(places, host)
        return PoolDirectory(places, own, Presence(places, host, own), again)
    identity = SharedIdentity(places) if places.shared else Identity(places)
    files = PoolFiles(places, identity)
    return PoolDirectory(places, files, Presence(places, identity, files), again)


def places_of(pool: PoolSetting, records: Path) -> Places:
    """`records` is the part of the data directory that stores which mark each pool must have."""
    if pool.kind == "rbd":
        return rbd_places(pool.mpid, pool.name, records, rados_of(pool))
    return Places(pool.mpid, pool.name, pool.path, records, pool.shared)


def rados_of(pool: PoolSetting) -> RadosPool:
    return RadosPool(pool.conf, pool.user, pool.rados_pool, pool.namespace)


def of_host(settings: Settings, mpid: int, name: str) -> Settings:
    """The settings; a host that declares no pools gets the id and name for its default pool from its membership."""
    if settings.pools or not mpid:
        return settings
    return replace(settings, pools=[PoolSetting(mpid, name, settings.data_dir / "media")])


def image_uid(settings: Settings) -> int | None:
    """The uid for programs that read untrusted files; None if the server cannot change it."""
    return settings.image_uid if os.geteuid() == 0 else None
