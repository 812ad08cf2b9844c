"""The pools that this host's settings declare."""

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
    """The pools of the settings."""
    records = settings.data_dir / "pools"
    places = [places_of(pool, records) for pool in settings.media_pools]
    return open_directories([host_places(settings.data_dir), *places], image_uid(settings))


def places_of(pool: PoolSetting, records: Path) -> Places:
    """`records` is where the data directory keeps what each pool's mark has to be."""
    if pool.kind == "rbd":
        return rbd_places(pool.mpid, pool.name, records, rados_of(pool))
    return Places(pool.mpid, pool.name, pool.path, records, pool.shared)


def rados_of(pool: PoolSetting) -> RadosPool:
    return RadosPool(pool.conf, pool.user, pool.rados_pool, pool.namespace)


def of_host(settings: Settings, mpid: int, name: str) -> Settings:
    """Where none are declared, a host's one pool bears the number and name that it was given as it joined."""
    if settings.pools or not mpid:
        return settings
    return replace(settings, pools=[PoolSetting(mpid, name, settings.data_dir / "media")])


def image_uid(settings: Settings) -> int | None:
    """What programs run under that read what others made, where the server may change it."""
    return settings.image_uid if os.geteuid() == 0 else None
