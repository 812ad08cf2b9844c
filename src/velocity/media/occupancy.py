"""How full the pools of the host are, whoever fills them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from velocity.media.rules import Pool
from velocity.media.service import Library
from velocity.storage.directory.presence import PoolState


@dataclass(frozen=True)
class Occupancy:
    """In bytes. `size` and `free` are the file system's, 0 while the pool is away.

    `declared` is what the media may grow to, those under way included, `allocated` what they take on the disk.
    """

    pool: Pool
    now: PoolState
    size: int
    free: int
    declared: int
    allocated: int


async def occupancies(library: Library) -> list[Occupancy]:
    """Of every declared pool. The file systems are asked in a thread."""
    pools, media = library.pools.all(), library.all()
    allocated = await library.allocated(media)
    spaces = await asyncio.to_thread(lambda: [presence.space() for _, presence in pools])
    return [
        Occupancy(
            pool,
            space.now,
            space.size,
            space.free,
            library.pools.declared(pool.mpid),
            sum(allocated[medium.mid] for medium in media if medium.mpid == pool.mpid),
        )
        for (pool, _), space in zip(pools, spaces, strict=True)
    ]
