"""The firmware variables of a machine, such as its boot entries: an object of the host's own pool."""

from __future__ import annotations

from uuid import UUID

from velocity.machines.rules import CALL_DEADLINE
from velocity.storage.port import HOST_POOL, Belongs, Storage, variables

PIECE = 1 << 20


async def copy_variables(source: Storage, of: UUID, target: Storage, to: UUID) -> None:
    """Give a machine those of another one that does not run; none where that one has never run.

    They are in place at once: of a machine that does not come to be they are to be forgotten, as after a crash.
    """
    for one in (source, target):
        await one.pools.open(HOST_POOL, (), (), (), deadline=CALL_DEADLINE)
    (found,) = await source.blobs.stat(HOST_POOL, (variables(of),), deadline=CALL_DEADLINE)
    if found is None:
        return
    outgoing = await source.blobs.get(variables(of), deadline=CALL_DEADLINE)
    try:
        incoming = await target.blobs.put(variables(to), deadline=CALL_DEADLINE)
        try:
            at = 0
            while piece := await outgoing.read(at, PIECE):
                await incoming.write(piece)
                at += len(piece)
            await incoming.finish()
        finally:
            await incoming.close()
    finally:
        await outgoing.close()
    await target.trash.settle(variables(to), Belongs.KEPT, deadline=CALL_DEADLINE)


async def drop_variables(storage: Storage, of: UUID) -> None:
    """Of a machine that has not come to be."""
    await storage.trash.lift(variables(of), deadline=CALL_DEADLINE)
    await storage.trash.settle(variables(of), Belongs.NOWHERE, deadline=CALL_DEADLINE)
