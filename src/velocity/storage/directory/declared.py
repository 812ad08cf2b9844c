"""The pools that this host's settings declare, as directories."""

from __future__ import annotations

import os

from msgspec.structs import replace

from velocity.config import PoolSetting, Settings
from velocity.storage.directory.places import Places, host_places
from velocity.storage.directory.storage import DirectoryStorage, open_directories


def directories(settings: Settings) -> DirectoryStorage:
    """The pools of the settings."""
    records = settings.data_dir / "pools"
    places = [Places(pool.mpid, pool.name, pool.path, records, pool.shared) for pool in settings.media_pools]
    return open_directories([host_places(settings.data_dir), *places], image_uid(settings))


def of_host(settings: Settings, mpid: int, name: str) -> Settings:
    """Where none are declared, a host's one pool bears the number and name that it was given as it joined."""
    if settings.pools or not mpid:
        return settings
    return replace(settings, pools=[PoolSetting(mpid, name, settings.data_dir / "media")])


def image_uid(settings: Settings) -> int | None:
    """What programs run under that read what others made, where the server may change it."""
    return settings.image_uid if os.geteuid() == 0 else None
