"""The firmware variables of a machine, such as boot entries: an object of the host's own pool."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from uuid import UUID

from velocity.machines.rules import CALL_DEADLINE
from velocity.storage.port import HOST_POOL, Belongs, Outgoing, Stat, Storage, variables

PIECE = 1 << 20
"""Bytes that are copied at a time."""


async def copy_variables(source: Storage, of: UUID, target: Storage, to: UUID) -> None:
    """Give a machine those of another one that does not run; none if that one has never run.

    They are in place at once; if the machine does not come to exist, they have to be dropped, as after a crash. Raises
    `Unknown`: call it again.
    """
    (found,) = await look_at_variables(source, (of,))
    if found is None:
        return
    outgoing = await source.blobs.get(variables(of), deadline=CALL_DEADLINE)
    try:
        await put_variables(target, to, _pieces(outgoing))
    finally:
        await outgoing.close()


async def look_at_variables(storage: Storage, machines: tuple[UUID, ...]) -> tuple[Stat | None, ...]:
    """The stat of each, in order; None if a machine has none there."""
    await storage.pools.open(HOST_POOL, (), (), (), deadline=CALL_DEADLINE)
    return await storage.blobs.stat(HOST_POOL, tuple(map(variables, machines)), deadline=CALL_DEADLINE)


async def read_variables(storage: Storage, of: UUID, size: int) -> bytes:
    """So many bytes of them, or fewer if they have become shorter."""
    outgoing = await storage.blobs.get(variables(of), deadline=CALL_DEADLINE)
    try:
        found = bytearray()
        while len(found) < size and (piece := await outgoing.read(len(found), min(PIECE, size - len(found)))):
            found += piece
        return bytes(found)
    finally:
        await outgoing.close()


async def put_variables(target: Storage, to: UUID, pieces: AsyncIterable[bytes]) -> None:
    """Replace those that it may have there."""
    await target.pools.open(HOST_POOL, (), (), (), deadline=CALL_DEADLINE)
    await target.trash.settle(variables(to), Belongs.NOWHERE, deadline=CALL_DEADLINE)  # what an attempt has left
    incoming = await target.blobs.put(variables(to), deadline=CALL_DEADLINE)
    try:
        async for piece in pieces:
            await incoming.write(piece)
        await incoming.finish()
    finally:
        await incoming.close()
    await target.trash.settle(variables(to), Belongs.KEPT, deadline=CALL_DEADLINE)


async def drop_variables(storage: Storage, of: UUID) -> None:
    """Drop those of a machine that has not come to exist."""
    await storage.trash.lift(variables(of), deadline=CALL_DEADLINE)
    await storage.trash.settle(variables(of), Belongs.NOWHERE, deadline=CALL_DEADLINE)


async def _pieces(outgoing: Outgoing) -> AsyncIterator[bytes]:
    at = 0
    while piece := await outgoing.read(at, PIECE):
        yield piece
        at += len(piece)
