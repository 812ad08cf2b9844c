"""What a node holds for its controller as long as a stream is open: both ends, and what is said between them.

The first answer says that it is open. Then a console's bytes go in both directions; what reads an object sends an
offset and a length for each answer; what writes one sends a name and bytes, and each name but `write` is answered.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractContextManager
from typing import Any, Protocol, cast

import grpc.aio
import msgspec

from velocity.contract.media import Content
from velocity.hypervisor.port import ByteStream
from velocity.node import wire
from velocity.storage.port import Incoming, Outgoing, Stat

LAST = 5.0
"""Seconds that a node has to give up what it does for its controller."""
Lost = Callable[[str], Exception]
Context = grpc.aio.ServicerContext[bytes, bytes]
Requests = AsyncIterator[bytes]


class Raising(Protocol):
    """A connection."""

    def raising(self, lost: Lost) -> AbstractContextManager[None]:
        """Translates gRPC errors inside into the port's exceptions."""


# At the controller


class Held:
    """A bidirectional stream for something that the node holds for this controller."""

    def __init__(self, to: Raising, rpc: Any, lost: Lost) -> None:
        self._to = to
        self._rpc = rpc
        self._lost = lost

    async def write(self, message: bytes) -> None:
        try:
            with self._to.raising(self._lost):
                await self._rpc.write(message)
        except asyncio.InvalidStateError:  # it has ended: its result says why
            await self.read()
            raise self._lost("the host has ended this stream") from None

    async def read(self) -> bytes | None:
        """None: it has ended well."""
        with self._to.raising(self._lost):
            message = await self._rpc.read()
        return None if message is grpc.aio.EOF else cast(bytes, message)

    async def ask(self, message: bytes) -> bytes:
        await self.write(message)
        answer = await self.read()
        if answer is None:
            raise self._lost("the host has ended this stream")
        return answer

    async def end(self, last: bytes) -> None:
        """Return when the node has released it, too; or after a moment, if it does not answer."""
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError, TimeoutError):
            async with asyncio.timeout(LAST):
                await self._rpc.write(last)
                await self._rpc.done_writing()
                while await self._rpc.read() is not grpc.aio.EOF:
                    pass
        self.cancel()

    def cancel(self) -> None:
        self._rpc.cancel()


class RemoteStream:
    """Implements `velocity.hypervisor.port.ByteStream`."""

    def __init__(self, held: Held, _opened: bytes | None) -> None:
        self._held = held

    async def read(self) -> bytes:
        return await self._held.read() or b""

    async def write(self, data: bytes) -> None:
        await self._held.write(data)

    async def close(self) -> None:
        self._held.cancel()


class RemoteIncoming:
    """Implements `velocity.storage.port.Incoming`. The error of a `write` is raised by a later call.

    What comes is gathered: a message costs both ends more than its bytes do.
    """

    def __init__(self, held: Held, _opened: bytes | None) -> None:
        self._held = held
        self._pieces: list[bytes] = []
        self._gathered = 0

    async def write(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._gathered += len(piece)
        if self._gathered >= wire.PIECE:
            await self._send()

    async def _send(self) -> None:
        pieces, size, self._pieces, self._gathered = self._pieces, self._gathered, [], 0
        if pieces:
            await self._held.write(b"".join((wire.WRITE, size.to_bytes(4), *pieces)))

    async def flush(self) -> None:
        await self._ask("flush")

    async def sync(self) -> None:
        await self._ask("sync")

    async def finish(self) -> Content:
        return msgspec.msgpack.decode(await self._ask("finish"), type=Content)

    async def leave(self) -> None:
        await self._ask("leave")

    async def close(self) -> None:
        await self._held.end(msgspec.msgpack.encode(("close", b"")))

    async def _ask(self, name: str) -> bytes:
        await self._send()
        return await self._held.ask(msgspec.msgpack.encode((name, b"")))


class RemoteOutgoing:
    """Implements `velocity.storage.port.Outgoing`."""

    def __init__(self, held: Held, stat: bytes | None) -> None:
        self._held = held
        self.stat = msgspec.msgpack.decode(stat or b"", type=Stat)

    async def read(self, offset: int, length: int) -> bytes:
        return await self._held.ask(msgspec.msgpack.encode((offset, length)))

    async def close(self) -> None:
        self._held.cancel()


REMOTE: dict[Any, Callable[[Held, bytes | None], Any]] = {
    ByteStream: RemoteStream,
    Incoming: RemoteIncoming,
    Outgoing: RemoteOutgoing,
}
"""How each kind of held object is used, by what its stream has answered first."""

# At the node


class Abandoned(Exception):
    """The connection was lost before the leader was done."""

    def __init__(self) -> None:
        super().__init__("the connection was lost")


async def _console(stream: ByteStream, requests: Requests, context: Context) -> None:
    """The first answer is empty and says that it is open; then bytes in both directions."""
    await context.write(b"")

    async def typed() -> None:
        async for data in requests:
            await stream.write(data)

    typing = asyncio.create_task(typed())
    try:
        while data := await stream.read():
            await context.write(data)
    finally:
        typing.cancel()
        await asyncio.wait({typing})


async def _incoming(into: Incoming, requests: Requests, context: Context) -> None:
    """The first answer is empty and says that it is open; then each request has a name and bytes.

    Each except `write` is answered. The last is `close`: requests that end without it were interrupted. Raises
    `Abandoned`.
    """
    await context.write(b"")
    async for request in requests:
        name, piece = msgspec.msgpack.decode(request, type=tuple[str, bytes])
        match name:
            case "write":
                await into.write(piece)
                continue
            case "close":
                return
        answer = await {"flush": into.flush, "sync": into.sync, "finish": into.finish, "leave": into.leave}[name]()
        await context.write(msgspec.msgpack.encode(answer))
    raise Abandoned


async def _outgoing(out: Outgoing, requests: Requests, context: Context) -> None:
    """The first answer is its `Stat`; then each request is an offset and a length, and each answer those bytes."""
    await context.write(msgspec.msgpack.encode(out.stat))
    async for request in requests:
        offset, length = msgspec.msgpack.decode(request, type=tuple[int, int])
        await context.write(await out.read(offset, length))


SERVE: dict[Any, Callable[[Any, Requests, Context], Coroutine[Any, Any, None]]] = {
    ByteStream: _console,
    Incoming: _incoming,
    Outgoing: _outgoing,
}
"""How each kind of held object is served."""
