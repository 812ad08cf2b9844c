"""A connection that is passed on to another port, for servers of tests that stand between two others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

Carry = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""One direction, until its reader ends."""


async def pass_on(
    near: asyncio.StreamReader,
    back: asyncio.StreamWriter,
    to: tuple[str, int],
    ends: set[asyncio.StreamWriter],
    carry: Carry,
) -> None:
    """Returns when both connections are closed, and not before: what is left open is closed by nobody.

    `ends` has their writers until then; when these are aborted, it ends.
    """

    async def one_way(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            await carry(reader, writer)
        writer.close()

    own = {back}
    ends |= own
    try:
        with suppress(OSError):
            far, forth = await asyncio.open_connection(*to)
            own.add(forth)
            ends.add(forth)
            await asyncio.gather(one_way(near, forth), one_way(far, back))
    finally:
        for end in own:
            end.close()
        for end in own:
            with suppress(OSError):
                await end.wait_closed()
        ends -= own
