"""The websocket of route 19: serves a console to the holder of a ticket, while authkey and permission are valid."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Coroutine
from functools import partial
from typing import Any

import msgspec
from msgspec import Struct
from starlette.websockets import WebSocket, WebSocketDisconnect

from velocity.access.lasting import WhileAllowed
from velocity.api import errors
from velocity.api.browser import is_foreign, why_foreign
from velocity.api.handlers.base import Services
from velocity.api.websocket import GONE
from velocity.contract.consoles import SUBPROTOCOL, KeyboardMove
from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.port import ByteStream, Unknown
from velocity.machines.consoles.consoles import Ticket, has_moved
from velocity.machines.consoles.keyboard import Seat

LOOK = 1.0
"""Seconds between two checks whether a request for the keyboard has waited long enough."""
NOT_SENSE, FORBIDDEN, ENDED, MOVED, LOST = 4400, 4403, 4410, 4411, 4412
"""Our close codes: not a control message; authkey or permission has ended; the VM has stopped; it has moved; its host
does not respond.
"""
SILENT = "the VM's host does not respond: request a new ticket when it does"


async def console(websocket: WebSocket, services: Services, origins: Collection[str]) -> None:
    """Serve one console. `origins` are the other sites whose pages may open it."""
    if is_foreign(websocket) and websocket.headers["origin"] not in origins:
        told = f"{why_foreign(websocket)}; a trusted site of others is named in `cors_origins`"
        await _deny(websocket, 403, told)
        return
    ticket = services.consoles.redeem(websocket.path_params["ticket"])
    if ticket is None:
        await _deny(websocket, 404, "this ticket is unknown, already used, or older than 30 seconds: request a new one")
        return
    if not _may(services, ticket):
        await _deny(websocket, 403, "the authkey or the permission is no longer valid")
        return
    try:
        with services.consoles.opened.of(ticket.caller.uid):
            await _serve(websocket, services, ticket)
    except Refused as refused:
        await _deny(websocket, 429, refused.message)


async def _serve(websocket: WebSocket, services: Services, ticket: Ticket) -> None:
    name = services.directory.user(ticket.caller.uid).name
    try:
        stream = await services.consoles.open(ticket, services.fleet.find)
    except Unknown:
        await _deny(websocket, 503, SILENT)
        return
    if stream is None:
        await _deny(websocket, 410, "the VM has stopped: start it, then request a new ticket")
        return
    seat = services.consoles.sit(ticket, name, services.fleet.find(ticket.vmid))
    line = ConsoleConnection(websocket, stream, seat, control=seat is not None and SUBPROTOCOL in _offered(websocket))
    try:
        await websocket.accept(subprotocol=_chosen(websocket, line))
        async with WhileAllowed(partial(_check_right, services, ticket)):
            code, reason = await _carry(line)
        if code in (ENDED, LOST) and has_moved(ticket, services.fleet.find(ticket.vmid)):
            code, reason = MOVED, "the VM continues on another host: open its display again"
    except Refused as refused:
        code, reason = FORBIDDEN, refused.message
    finally:
        if seat is not None:
            services.consoles.rise(seat)
        await stream.close()
    with contextlib.suppress(RuntimeError, WebSocketDisconnect):  # it may be closed already
        await websocket.close(code, reason)


class ConsoleConnection(Struct, frozen=True):
    """One open console. Displays have no seat; with `control`, text frames are about the keyboard."""

    websocket: WebSocket
    stream: ByteStream
    seat: Seat | None
    control: bool


def _offered(websocket: WebSocket) -> list[str]:
    return list(websocket.scope.get("subprotocols") or [])


def _chosen(websocket: WebSocket, line: ConsoleConnection) -> str | None:
    if line.control:
        return SUBPROTOCOL
    return "binary" if "binary" in _offered(websocket) else None


async def _deny(websocket: WebSocket, status: int, message: str) -> None:
    """Refuse the handshake, with the contract's shape of an error."""
    await websocket.send_denial_response(errors.plain(status, message))


async def _carry(line: ConsoleConnection) -> tuple[int, str]:
    """Copies bytes both ways until one side ends; returns the close code and its reason."""
    works: list[tuple[Coroutine[Any, Any, object], tuple[int, str]]] = [
        (_out(line), (ENDED, "the VM has stopped")),
        (_in(line), (1000, "")),
        (line.websocket.scope["state"][GONE].wait(), (1000, "")),  # even while input waits for the guest
    ]
    if line.seat is not None:
        works.append((_look_after(line.seat), (1000, "")))
        if line.control:
            works.append((_tell(line.websocket, line.seat), (1000, "")))
    tasks = {asyncio.create_task(work): end for work, end in works}
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    failures = [task.exception() for task in done]  # a viewer whose connection breaks is no failure
    if any(isinstance(failure, Unknown) for failure in failures):
        return LOST, SILENT
    if any(isinstance(failure, msgspec.DecodeError) for failure in failures):
        return NOT_SENSE, "not a control message: text frames carry JSON, keyboard input is sent in binary frames"
    return tasks[done.pop()]


async def _out(line: ConsoleConnection) -> None:
    while data := await line.stream.read():
        await line.websocket.send_bytes(data)


async def _in(line: ConsoleConnection) -> None:
    """Raises `msgspec.DecodeError` for text that is not a control message."""
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            message = await line.websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            data, text = message.get("bytes"), message.get("text")
            if data is None and text is not None:
                if line.control and line.seat is not None:
                    line.seat.keyboard.move(line.seat, msgspec.json.decode(text, type=KeyboardMove).keyboard)
                    continue
                data = text.encode()
            if data and (line.seat is None or line.seat.keyboard.types(line.seat)):
                await line.stream.write(data)


async def _tell(websocket: WebSocket, seat: Seat) -> None:
    while True:
        await seat.news.wait()
        for told in seat.fetch():
            await websocket.send_text(msgspec.json.encode(told).decode())


async def _look_after(seat: Seat) -> None:
    while True:
        seat.keyboard.look()
        await asyncio.sleep(LOOK)


def _check_right(services: Services, ticket: Ticket) -> None:
    if not _may(services, ticket):
        raise Refused(Problem.NO_PERMISSION, "the authkey or the permission is no longer valid")


def _may(services: Services, ticket: Ticket) -> bool:
    keeper = services.fleet.find(ticket.vmid)  # its group may have changed
    return services.access.sessions.still_signed_in(ticket.caller) and services.directory.holds(
        ticket.caller.uid, Permission.VM_INTERACT, ticket.gid if keeper is None else keeper.gid
    )
