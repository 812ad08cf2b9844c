"""The websocket of route 19: a ticket becomes a stream, for as long as the authkey and the right last."""

from __future__ import annotations

import asyncio
import contextlib

from starlette.websockets import WebSocket, WebSocketDisconnect

from velocity.api import errors
from velocity.api.handlers.base import Services
from velocity.contract.permissions import Permission
from velocity.hypervisor.port import ByteStream
from velocity.machines.consoles import Ticket

LOOK = 1.0
"""Seconds between two looks at whether the authkey and the right still hold."""
FORBIDDEN, ENDED = 4403, 4410
"""Close codes of ours: the authkey or the right has ended; the VM has ended."""


async def console(websocket: WebSocket, services: Services) -> None:
    """Serve one console."""
    ticket = services.desk.redeem(websocket.path_params["ticket"])
    if ticket is None:
        await _deny(websocket, 404, "this ticket is unknown, used, or older than 30 seconds: ask for a new one")
        return
    if not _may(services, ticket):
        await _deny(websocket, 403, "the authkey or the permission has ended")
        return
    stream = await services.desk.open(ticket)
    if stream is None:
        await _deny(websocket, 410, "the VM has ended: start it, then ask for a new ticket")
        return
    offered = websocket.scope.get("subprotocols") or []
    await websocket.accept(subprotocol="binary" if "binary" in offered else None)
    try:
        code, reason = await _carry(websocket, stream, services, ticket)
    finally:
        await stream.close()
    with contextlib.suppress(RuntimeError, WebSocketDisconnect):  # it may be gone already
        await websocket.close(code, reason)


async def _deny(websocket: WebSocket, status: int, message: str) -> None:
    """Refuse the handshake, with the contract's shape of an error."""
    await websocket.send_denial_response(errors.plain(status, message))


async def _carry(websocket: WebSocket, stream: ByteStream, services: Services, ticket: Ticket) -> tuple[int, str]:
    """Bytes both ways until one side ends or the right does; why is returned as a close code."""
    tasks = {
        asyncio.create_task(_out(websocket, stream)): (ENDED, "the VM has ended"),
        asyncio.create_task(_in(websocket, stream)): (1000, ""),
        asyncio.create_task(_watch(services, ticket)): (FORBIDDEN, "the authkey or the permission has ended"),
    }
    done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
    for task in done:
        task.exception()  # a broken connection is an ordinary end
    return tasks[done.pop()]


async def _out(websocket: WebSocket, stream: ByteStream) -> None:
    while data := await stream.read():
        await websocket.send_bytes(data)


async def _in(websocket: WebSocket, stream: ByteStream) -> None:
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            data = message.get("bytes") or (message.get("text") or "").encode()
            await stream.write(data)


async def _watch(services: Services, ticket: Ticket) -> None:
    while _may(services, ticket):  # noqa: ASYNC110 - rights end by time as well, which no event tells
        await asyncio.sleep(LOOK)


def _may(services: Services, ticket: Ticket) -> bool:
    access = services.access
    return access.sessions.still_signed_in(ticket.caller) and access.holds(
        ticket.caller.uid, Permission.VM_INTERACT, ticket.gid
    )
