"""The firmware variables of a machine, such as its boot entries: an object of the host's own pool."""

from __future__ import annotations

from uuid import UUID

from velocity.machines.rules import CALL_DEADLINE
from velocity.storage.port import HOST_POOL, Belongs, Storage, variables

PIECE = 1 << 20


async def copy_variables(storage: Storage, of: UUID, to: UUID) -> None:
    """Give a machine those of another one that does not run; none where that one has never run.

    They are in place at once: of a machine that does not come to be they are to be forgotten, as after a crash.
    """
    await storage.pools.open(HOST_POOL, (), (), (), deadline=CALL_DEADLINE)
    (found,) = await storage.blobs.stat(HOST_POOL, (variables(of),), deadline=CALL_DEADLINE)
    if found is None:
        return
    source = await storage.blobs.get(variables(of), deadline=CALL_DEADLINE)
    try:
        target = await storage.blobs.put(variables(to), deadline=CALL_DEADLINE)
        try:
            at = 0
            while piece := await source.read(at, PIECE):
                await target.write(piece)
                at += len(piece)
            await target.finish()
        finally:
            await target.close()
    finally:
        await source.close()
    await storage.trash.settle(variables(to), Belongs.KEPT, deadline=CALL_DEADLINE)


async def drop_variables(storage: Storage, of: UUID) -> None:
    """Of a machine that has not come to be."""
    await storage.trash.lift(variables(of), deadline=CALL_DEADLINE)
    await storage.trash.settle(variables(of), Belongs.NOWHERE, deadline=CALL_DEADLINE)
