"""What guests report, and what is done inside them, through their agents.

https://www.qemu.org/docs/master/interop/qemu-ga-ref.html
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
from msgspec import UNSET

from velocity import plan
from velocity.access.bounds import BOUNDS, Waiting
from velocity.access.lasting import check_admitted
from velocity.contract.guests import (
    PIECE,
    AddGuestKeys,
    Execute,
    Executed,
    GuestFilePiece,
    GuestInfo,
    GuestNic,
    ReadGuestFile,
    SetGuestPassword,
    WriteGuestFile,
)
from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.port import MOST_ENCODED
from velocity.machines.guest.agents import Agents, Done
from velocity.machines.guest.guest_words import Described, Version, described
from velocity.machines.run.keeper import Keeper

FIRST_LOOK, LAST_LOOK = 0.02, 1.0
"""Seconds between checks of a running program: the first pause and the longest."""
OUTPUTS = 2 * MOST_ENCODED + 4096
"""Bytes of JSON of the longest answer: both outputs of a program."""


class _Program(msgspec.Struct):
    pid: int


class _Status(msgspec.Struct, rename="kebab"):
    exited: bool
    exitcode: int | None = None
    signal: int | None = None
    out_data: bytes = b""
    err_data: bytes = b""
    out_truncated: bool = False
    err_truncated: bool = False


class _Piece(msgspec.Struct, rename="kebab"):
    eof: bool
    buf_b64: bytes = b""


class _Written(msgspec.Struct):
    count: int


class VmGuests:
    """Requests to the guests of all VMs."""

    def __init__(
        self, agents: Agents, heard: Callable[[Keeper, list[GuestNic]], None], own: int = BOUNDS.user_guest_requests
    ) -> None:
        """`heard` is called with the NICs that a guest reports; one user may wait for `own` requests at a time."""
        self._heard = heard
        self.waiting = Waiting(own, "requests to guest agents under way", "user_guest_requests")
        self._agents = agents

    async def info(self, keeper: Keeper) -> GuestInfo:
        """What the guest reports; or why it does not."""
        vmid, who = keeper.machine.vmid, keeper.who
        try:
            version = await self._agents.ask(keeper, "guest-info", Version)
        except Refused as refused:
            return GuestInfo(vmid=vmid, why=refused.message)
        told = Described(vmid, version)
        for command, kind, put in described(told):
            try:
                put(await self._agents.ask(keeper, command, kind))
            except Refused as refused:
                if refused.problem is not Problem.AGENT_REFUSED:
                    break  # it has ended, or no longer answers
        if told.info.nics is not UNSET and keeper.who == who:
            self._heard(keeper, told.info.nics)
        return told.info

    async def execute(self, keeper: Keeper, request: Execute) -> Executed:
        """Run a program, and wait for its end as long as allowed. Raises `Refused`."""
        _plan(keeper, "command")
        loop = asyncio.get_running_loop()
        until = loop.time() + request.timeout
        path, *arguments = request.command
        given: dict[str, Any] = {} if request.input is UNSET else {"input_data": request.input}
        program = await self._agents.ask(
            keeper, "guest-exec", _Program, path=path, arg=arguments, capture_output=True, **given
        )
        pause = FIRST_LOOK
        while True:
            check_admitted()
            status = await self._agents.ask(keeper, "guest-exec-status", _Status, longest=OUTPUTS, pid=program.pid)
            left = until - loop.time()
            if status.exited or left <= 0:
                return _executed(keeper, status)
            await asyncio.sleep(min(pause, left))
            pause = min(2 * pause, LAST_LOOK)

    async def set_password(self, keeper: Keeper, request: SetGuestPassword) -> None:
        """Raises `Refused`."""
        _plan(keeper, "password")
        password = base64.b64encode(request.password.encode()).decode()
        await self._agents.ask(
            keeper, "guest-set-user-password", Done, username=request.user, password=password, crypted=False
        )

    async def add_keys(self, keeper: Keeper, request: AddGuestKeys) -> None:
        """Raises `Refused`."""
        _plan(keeper, "keys")
        await self._agents.ask(keeper, "guest-ssh-add-authorized-keys", Done, username=request.user, keys=request.keys)

    async def read(self, keeper: Keeper, request: ReadGuestFile) -> GuestFilePiece:
        """Raises `Refused`."""
        async with self._opened(keeper, request.path, "rb", request.offset) as handle:
            piece = await self._agents.ask(
                keeper, "guest-file-read", _Piece, longest=OUTPUTS, handle=handle, count=request.length
            )
        content = piece.buf_b64[: request.length]
        return GuestFilePiece(vmid=keeper.machine.vmid, content=content, end=piece.eof or not content)

    async def write(self, keeper: Keeper, request: WriteGuestFile) -> None:
        """Raises `Refused`: a part may have been written."""
        _plan(keeper, "file")
        async with self._opened(keeper, request.path, "r+b" if request.offset else "wb", request.offset) as handle:
            left = request.content
            while left:
                written = await self._agents.ask(keeper, "guest-file-write", _Written, handle=handle, buf_b64=left)
                if written.count < 1:
                    raise Refused(Problem.AGENT_REFUSED, f"{keeper.called}: its guest agent writes no more")
                left = left[written.count :]
            await self._agents.ask(keeper, "guest-file-flush", Done, handle=handle)

    @contextlib.asynccontextmanager
    async def _opened(self, keeper: Keeper, path: str, mode: str, offset: int) -> AsyncIterator[int]:
        """A handle of a file in the guest, positioned there."""
        handle = await self._agents.ask(keeper, "guest-file-open", int, path=path, mode=mode)
        try:
            if offset:
                await self._agents.ask(keeper, "guest-file-seek", Done, handle=handle, offset=offset, whence="set")
            yield handle
        finally:
            with contextlib.suppress(Refused):  # it was flushed already
                await self._agents.ask(keeper, "guest-file-close", Done, handle=handle)


def _plan(keeper: Keeper, what: str) -> None:
    """Report to the plan, without showing what is done inside."""
    machine = keeper.machine
    plan.step("change", "vm", machine.name, id=machine.vmid, gid=machine.gid, changes={what: None})
    plan.stop_here()


def _executed(keeper: Keeper, status: _Status) -> Executed:
    return Executed(
        vmid=keeper.machine.vmid,
        running=not status.exited,
        exit_status=UNSET if status.exitcode is None else status.exitcode,
        signal=UNSET if status.signal is None else status.signal,
        stdout=status.out_data[:PIECE],
        stdout_truncated=status.out_truncated or len(status.out_data) > PIECE,
        stderr=status.err_data[:PIECE],
        stderr_truncated=status.err_truncated or len(status.err_data) > PIECE,
    )
