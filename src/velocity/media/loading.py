"""Loads media at the start of the server, and tells storage about them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from velocity.media.assignments import Assignments
from velocity.media.creation import uploaded
from velocity.media.library import Library
from velocity.media.port import MediaStore, UploadStore
from velocity.media.reservations import Reservations
from velocity.media.rules import Medium
from velocity.media.states import Known, KnownObjects, PoolStates
from velocity.storage.port import MediaRef


def known_objects(
    store: MediaStore, uploads: UploadStore, library: Library, arriving: Callable[[], Collection[MediaRef]]
) -> Known:
    """The objects of a pool: kept ones, those in the trash, and those being received: uploads, and `arriving` ones."""

    def known(mpid: int) -> KnownObjects:
        coming = [uploaded(one.mid, one.request) for one in uploads.load_uploads()]

        def refs(media: Iterable[Medium]) -> tuple[MediaRef, ...]:
            return tuple(one.ref for one in media if one.mpid == mpid)

        come = tuple(one for one in arriving() if one.pool == mpid)
        return refs(library.all()), refs(store.load_discarded()), refs(coming) + come

    return known


async def load(
    store: MediaStore, assignments: Assignments, library: Library, reservations: Reservations, states: PoolStates
) -> None:
    """Groups are loaded already. A pool that is away is opened when it comes."""
    assignments.load()
    for medium in store.load():
        library.add(medium)
        reservations.load(medium)
    await states.open()
