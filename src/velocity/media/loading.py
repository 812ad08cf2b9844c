"""What is kept of media, into memory, at the server's start; and what storage is told of it."""

from __future__ import annotations

from velocity.media.assignments import Assignments
from velocity.media.library import Library
from velocity.media.port import MediaStore
from velocity.media.reservations import Reservations
from velocity.media.states import Known, PoolStates
from velocity.storage.port import MediaRef


def known_objects(store: MediaStore, library: Library) -> Known:
    """Those that are kept in a pool, and those of its trash."""

    def known(mpid: int) -> tuple[tuple[MediaRef, ...], tuple[MediaRef, ...]]:
        kept, discarded = library.all(), store.load_discarded()
        return (tuple(one.ref for one in kept if one.mpid == mpid),
                tuple(one.ref for one in discarded if one.mpid == mpid))  # fmt: skip

    return known


async def load(
    store: MediaStore, assignments: Assignments, library: Library, reservations: Reservations, states: PoolStates
) -> None:
    """The groups are loaded already. A pool that is away then is put in order when it comes."""
    assignments.load()
    for medium in store.load():
        library.add(medium)
        reservations.load(medium)
    await states.open()
