"""The pools declared in this host's settings."""

from __future__ import annotations

import os
from pathlib import Path

from msgspec.structs import replace

from velocity.config import PoolSetting, Settings
from velocity.storage.directory.places import Places, host_places
from velocity.storage.directory.storage import DirectoryStorage, open_directories
from velocity.storage.rbd.places import rbd_places
from velocity.storage.rbd.rados_pool import RadosPool


def directories(settings: Settings) -> DirectoryStorage:
    """The pools in the settings."""
    records = settings.data_dir / "pools"
    places = [places_of(pool, records) for pool in settings.media_pools]
    return open_directories([host_places(settings.data_dir), *places], image_uid(settings))


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
