"""How full the pools of the host are, whoever fills them."""

from __future__ import annotations

from dataclasses import dataclass

from velocity.media.rules import Pool
from velocity.media.service import Library
from velocity.storage.port import PoolState


@dataclass(frozen=True)
class Occupancy:
    """In bytes. `size` and `free` are those of what the pool lies on, 0 while it is away.

    `declared` is what the media may grow to, those under way included, `allocated` what they take on the disk.
    """

    pool: Pool
    now: PoolState
    size: int
    free: int
    declared: int
    allocated: int


async def occupancies(library: Library) -> list[Occupancy]:
    """Of every declared pool."""
    pools, media = library.pools.all(), library.all()
    allocated = await library.allocated(media)
    spaces = await library.pools.states.spaces([pool.mpid for pool in pools])
    return [
        Occupancy(
            pool,
            now,
            space.size,
            space.free,
            library.pools.declared(pool.mpid),
            sum(allocated[medium.mid] for medium in media if medium.mpid == pool.mpid),
        )
        for pool in pools
        for now, space in [spaces[pool.mpid]]
    ]
