"""The channel to one guest's agent: one command at a time, and answers within bounds.

Whatever the guest sends costs at most its connection, and the server a few MiB. The protocol:
https://www.qemu.org/docs/master/interop/qemu-ga-ref.html
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec

from velocity.hypervisor.port import MOST_ENCODED, HypervisorError, NoAgent, NotRunning, Unknown
from velocity.hypervisor.qemu.command import AGENT
from velocity.hypervisor.qemu.connecting import connected
from velocity.hypervisor.qemu.event_interpreter import plain
from velocity.hypervisor.qemu.watched_run import WatchedRun

SYNC = 5.0
"""Seconds in which an agent has to answer guest-sync."""
KEPT = 4 << 20
"""Bytes of a line that are kept: more than both outputs of a command, and far more than any description of a guest."""
RECEIVED = 64 << 20
"""Bytes received before an answer: qemu-ga itself keeps at most 16 MiB of each output of a command."""
PIECE = 64 << 10
"""Bytes that are read at a time."""
RUN = re.compile(rb"[A-Za-z0-9+/=]*")
BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
MARK = b"\xff"
"""A byte that occurs in no JSON: the reader discards everything before it."""
ABSENT = "no guest agent runs in it: install and start qemu-guest-agent in the guest"
NO_ANSWER = "its guest agent does not answer"
BUSY = "its guest agent is busy with another request: try again later"


class _Fault(msgspec.Struct):
    desc: str = ""


class _Answer(msgspec.Struct):
    result: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="return")
    error: _Fault | None = None


class Nonsense(Exception):
    """What the guest sent is not an answer."""


class Lines:
    """Splits what arrives into lines. Of base64 output, it keeps the first `MOST_ENCODED` bytes."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self._run = 0
        self._received = 0

    def begin(self) -> None:
        """Start counting received bytes anew."""
        self._received = 0

    def put(self, piece: bytes) -> None:
        """Raises `Nonsense` if there is too much."""
        self._received += len(piece)
        run = RUN.match(piece)
        assert run is not None
        goes_on = run.end()
        taken = max(0, min(goes_on, MOST_ENCODED - self._run))
        self._kept += piece[:taken] + piece[goes_on:]
        tail = len(piece) - len(piece.rstrip(BASE64))
        self._run = self._run + goes_on if goes_on == len(piece) else tail
        if len(self._kept) > KEPT or self._received > RECEIVED:
            raise Nonsense("its answer is too long")

    def next(self) -> bytes | None:
        """The first complete line; None: there is none yet."""
        line, newline, rest = self._kept.partition(b"\n")
        if not newline:
            return None
        self._kept = rest
        return bytes(line)


class AgentChannel:
    """The channel of one machine. `opened` tells whether a program in the guest has the port open."""

    def __init__(self, path: Path, opened: Callable[[], Awaitable[bool]]) -> None:
        self._path = path
        self._opened = opened
        self._turn = asyncio.Lock()
        self._writer: asyncio.StreamWriter | None = None
        self._reader = asyncio.StreamReader()
        self._lines = Lines()

    async def ask(self, command: str, arguments: bytes, deadline: float) -> bytes:
        """Implements `velocity.hypervisor.port.Guests`."""
        until = asyncio.get_running_loop().time() + deadline
        async with _until(until, NoAgent(BUSY)):
            await self._turn.acquire()
        try:
            async with _until(until, NoAgent(NO_ANSWER)):
                await self._reach()
            async with _until(until, Unknown(f"{NO_ANSWER} to {command}")):
                answer = await self._exchange(b'{"execute":"%s","arguments":%s}\n' % (command.encode(), arguments))
        except BaseException:
            self.close()  # nobody waits for its answer any more
            raise
        finally:
            self._turn.release()
        if answer.error is not None:
            raise HypervisorError(plain(answer.error.desc) or "the guest agent refused, and does not say why")
        return bytes(answer.result)

    def close(self) -> None:
        """Close the connection."""
        if self._writer is not None:
            self._writer.transport.abort()
            self._writer = None

    async def _reach(self) -> None:
        """Connect to an agent that answers. Raises `NoAgent`, `NotRunning`."""
        try:
            if not await self._opened():
                raise NoAgent(ABSENT)
            if self._writer is None:
                self._lines = Lines()
                self._reader, self._writer = await connected(str(self._path))
                async with asyncio.timeout(SYNC):
                    await self._sync()
        except NotRunning:
            raise
        except HypervisorError as error:
            raise error if isinstance(error, NoAgent) else NoAgent(str(error)) from None
        except FileNotFoundError:
            raise NoAgent("it has no channel to a guest agent") from None
        except (OSError, Nonsense):
            raise NoAgent(NO_ANSWER) from None

    async def _sync(self) -> None:
        """Skip answers to earlier commands (guest-sync-delimited). Raises `Nonsense`, `OSError`."""
        number = secrets.randbits(31)
        await self._send(MARK + b'{"execute":"guest-sync-delimited","arguments":{"id":%d}}\n' % number)
        while (await self._line()).rpartition(MARK)[2].strip() != b'{"return": %d}' % number:
            pass

    async def _exchange(self, line: bytes) -> _Answer:
        """Raises `Unknown`."""
        try:
            await self._send(line)
            answer = msgspec.json.decode((await self._line()).rpartition(MARK)[2], type=_Answer)
            if answer.error is None and not bytes(answer.result):
                raise Nonsense("its answer has neither a result nor an error")
        except (OSError, Nonsense, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise Unknown(f"{NO_ANSWER} in a valid form: {plain(error)}") from None
        return answer

    async def _send(self, line: bytes) -> None:
        assert self._writer is not None
        self._lines.begin()
        self._writer.write(line)
        await self._writer.drain()

    async def _line(self) -> bytes:
        while (line := self._lines.next()) is None:
            piece = await self._reader.read(PIECE)
            if not piece:
                raise Nonsense("the connection broke")
            self._lines.put(piece)
        return line


@contextlib.asynccontextmanager
async def _until(end: float, late: HypervisorError) -> AsyncIterator[None]:
    """Raise `late` at that time of the loop."""
    try:
        async with asyncio.timeout_at(end):
            yield
    except TimeoutError:
        raise late from None


def channel(qemu: WatchedRun, path: Path) -> AgentChannel:
    """The channel of a run."""

    async def opened() -> bool:
        known = await qemu.execute("query-chardev", deadline=SYNC)
        return any(one["label"] == AGENT and one["frontend-open"] for one in known)

    return AgentChannel(path, opened)
