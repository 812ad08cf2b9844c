"""Fence agents: programs that power a machine off, and report whether it is off. FenceAgentAPI(7)"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from velocity.contract.problems import Problem, Refused
from velocity.hosts.fence_options import hidden
from velocity.hosts.members import Fence

DIRECTORIES = (Path("/usr/sbin"), Path("/usr/bin"))
"""Where distributions have them."""
OFF_DEADLINE, STATUS_DEADLINE = 60.0, 15.0
LOOKS = 3
"""How often it is asked whether the machine is off, as some hear of it late; a second lies between."""
ON, ERROR, OFF = 0, 1, 2
"""What an agent ends with that was asked for the status. Of a deed, 0 is that it is done."""
WORDS, MOST, PIPE = 4096, 200, 65536
"""Bytes that are kept of what it says, and characters that are shown; bytes that a pipe holds."""
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}


class NotFenced(Exception):
    """It is not proven that the machine is off; the message is for people."""


@dataclass(frozen=True)
class Said:
    """How an agent has ended, and the last that it said."""

    status: int
    words: str


class FenceAgents:
    """Runs them, from these `directories` besides those of the distribution."""

    def __init__(self, directories: Sequence[Path] = (), pause: float = 1.0, deadline: float = OFF_DEADLINE) -> None:
        """`pause` and `deadline` in seconds: between two looks, and of a deed."""
        self.directories = [*directories, *DIRECTORIES]
        self._pause = pause
        self._deadline = deadline

    def find(self, agent: str) -> Path:
        """The program. Raises `Refused(FENCE_AGENT)`: it is not there, or may not be run from there."""
        given = Path(os.path.normpath(agent))
        if given.is_absolute() and given.parent not in self.directories:
            raise Refused(
                Problem.FENCE_AGENT,
                f"fence agents are not run from {given.parent}: add that directory to the setting `fence_agents`, or "
                "name one that the distribution has, such as fence_ipmilan",
                field="agent",
            )
        places = [given] if given.is_absolute() else [directory / given for directory in self.directories]
        found = next((one for one in places if one.is_file() and os.access(one, os.X_OK)), None)
        if found is None:
            raise Refused(
                Problem.FENCE_AGENT,
                f"the fence agent {given.name} is not installed on the server's host: apt install fence-agents (or dnf "
                "install fence-agents-all), or correct its name",
                field="agent",
            )
        return found

    async def is_on(self, fence: Fence) -> bool:
        """Whether the machine is on. Raises `NotFenced`: it does not say."""
        said = await self._run(fence, "status", STATUS_DEADLINE)
        if said.status not in (ON, OFF):
            raise NotFenced(f"{fence.agent} does not say whether the machine is on{_quoted(said)}")
        return said.status == ON

    async def power_off(self, fence: Fence) -> None:
        """When this returns, the machine is off: the agent has done it, and then said so. Raises `NotFenced`."""
        said = await self._run(fence, "off", self._deadline)
        if said.status != 0:
            raise NotFenced(f"{fence.agent} has not powered the machine off{_quoted(said)}")
        for look in range(LOOKS):
            if not await self.is_on(fence):
                return
            if look < LOOKS - 1:
                await asyncio.sleep(self._pause)
        raise NotFenced(f"{fence.agent} says that it has powered the machine off, and that the machine is on")

    async def _run(self, fence: Fence, action: str, deadline: float) -> Said:
        try:
            program = self.find(fence.agent)
        except Refused as refused:
            raise NotFenced(refused.message) from None
        with _Complaints() as complaints:
            try:
                process = await asyncio.create_subprocess_exec(
                    program, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
                    stderr=complaints.end, env=ENVIRONMENT, cwd="/", start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                raise NotFenced(f"{fence.agent} cannot be run: {error.strerror}") from None
            try:
                async with asyncio.timeout(deadline):
                    await _ask(process, fence, action)
                    status = await process.wait()
            except TimeoutError:
                raise NotFenced(f"{fence.agent} has not ended within {deadline:.0f} seconds ({action})") from None
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # and what it began
                await process.wait()
            return Said(status, _words(complaints.last(), fence))


class _Complaints:
    """The last that a program writes to its standard error; who else has that open keeps nobody waiting."""

    def __enter__(self) -> _Complaints:
        self._from, self.end = os.pipe()
        os.set_blocking(self._from, False)
        self._said = b""
        asyncio.get_running_loop().add_reader(self._from, self._read)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._from)
        os.close(self._from)
        os.close(self.end)

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._said = (self._said + os.read(self._from, WORDS))[-WORDS:]

    def last(self) -> bytes:
        """Of what has come by now: no more than a pipe holds is left."""
        for _ in range(PIPE // WORDS):
            self._read()
        return self._said


async def _ask(process: asyncio.subprocess.Process, fence: Fence, action: str) -> None:
    """By standard input, as arguments are for everybody on the host to see."""
    assert process.stdin is not None
    lines = [f"action={action}", *(f"{name}={value}" for name, value in fence.options.items())]
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write("".join(f"{line}\n" for line in lines).encode())
        await process.stdin.drain()
    process.stdin.close()


def _words(said: bytes, fence: Fence) -> str:
    text = hidden(said.decode(errors="replace"), fence.options)
    lines = ["".join(one if one.isprintable() else " " for one in line).strip() for line in text.splitlines()]
    return next((line[:MOST] for line in reversed(lines) if line), "")


def _quoted(said: Said) -> str:
    return f": {said.words!r}" if said.words else f" (it ended with {said.status})"
