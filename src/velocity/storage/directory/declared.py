"""The pools that this host's settings declare, as directories."""

from __future__ import annotations

import os

from velocity.config import Settings
from velocity.storage.directory.places import Places, host_places
from velocity.storage.directory.storage import DirectoryStorage, open_directories


def directories(settings: Settings) -> DirectoryStorage:
    """The pools of the settings."""
    records = settings.data_dir / "pools"
    places = [Places(pool.mpid, pool.name, pool.path, records) for pool in settings.media_pools]
    return open_directories([host_places(settings.data_dir), *places], image_uid(settings))


def image_uid(settings: Settings) -> int | None:
    """What programs run under that read what others made, where the server may change it."""
    return settings.image_uid if os.geteuid() == 0 else None
