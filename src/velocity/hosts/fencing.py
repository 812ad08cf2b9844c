"""Fence agents: programs that power a machine off and report its power state. FenceAgentAPI(7)"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from velocity.contract.problems import Problem, Refused
from velocity.hosts.fence_options import hidden
from velocity.hosts.members import Fence

DIRECTORIES = (Path("/usr/sbin"), Path("/usr/bin"))
"""Where distributions install them."""
OFF_DEADLINE, STATUS_DEADLINE = 60.0, 15.0
"""Seconds for a fence agent to power a machine off, and to report its state."""
LOOKS = 3
"""How often the state is asked for after powering off, as some devices report it late."""
ON, ERROR, OFF = 0, 1, 2
"""The exit statuses of an agent for the action `status`. For other actions, 0 is success."""
WORDS, MOST, PIPE = 4096, 200, 65536
"""Bytes of an agent's error output that are kept, characters of it that are shown, and bytes that a pipe holds."""
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}


class NotFenced(Exception):
    """It is not proven that the machine is off. The message is for users."""


@dataclass(frozen=True)
class Said:
    """How an agent ended: its exit status and the last line of its error output."""

    status: int
    words: str


class FenceAgents:
    """Runs agents from these `directories`, or else from those of the distribution."""

    def __init__(self, directories: Sequence[Path] = (), pause: float = 1.0, deadline: float = OFF_DEADLINE) -> None:
        """`pause`: seconds between two questions for the state. `deadline`: seconds that powering off may take."""
        self.directories = [*directories, *DIRECTORIES]
        self._pause = pause
        self._deadline = deadline

    def find(self, agent: str) -> Path:
        """The path of this agent. Raises `Refused(FENCE_AGENT)`: it is not installed, or in no allowed directory."""
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
        """Whether the machine is on. Raises `NotFenced` if the agent does not say."""
        said = await self._run(fence, "status", STATUS_DEADLINE)
        if said.status not in (ON, OFF):
            raise NotFenced(f"{fence.agent} does not say whether the machine is on{_quoted(said)}")
        return said.status == ON

    async def power_off(self, fence: Fence) -> None:
        """Power the machine off, and return once the agent also reports that it is off. Raises `NotFenced` if not."""
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
                process = _started(program, fence, action, complaints.end)
            except OSError as error:
                raise NotFenced(f"{fence.agent} cannot be run: {error.strerror}") from None
            try:
                async with asyncio.timeout(deadline):
                    await _end_of(process.pid)
            except TimeoutError:
                raise NotFenced(f"{fence.agent} has not ended within {deadline:.0f} seconds ({action})") from None
            finally:
                # And the processes that it started. As nobody has waited for it yet, the id cannot be another's.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await _end_of(process.pid)
                status = process.wait()
            return Said(status, _words(complaints.last(), fence))


class _Complaints:
    """The end of what a program writes to its standard error. Others that hold the pipe open are not awaited."""

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
        """The last of what was written so far: reads at most what a pipe holds."""
        for _ in range(PIPE // WORDS):
            self._read()
        return self._said


def _started(program: Path, fence: Fence, action: str, complaints: int) -> subprocess.Popen[bytes]:
    """Raises `OSError`. The program leads a session, and so a group with all that it starts."""
    with _asked(fence, action) as stdin:
        return subprocess.Popen(
            [program], stdin=stdin, stdout=subprocess.DEVNULL, stderr=complaints, env=ENVIRONMENT, cwd="/",
            start_new_session=True,
        )  # fmt: skip


@contextlib.contextmanager
def _asked(fence: Fence, action: str) -> Iterator[int]:
    """A standard input with the action and the options, as arguments are visible to everybody on the host.

    It is in memory only, and nobody has to wait until it is read.
    """
    lines = [f"action={action}", *(f"{name}={value}" for name, value in fence.options.items())]
    with os.fdopen(os.memfd_create("options"), "r+b") as file:
        file.write("".join(f"{line}\n" for line in lines).encode())
        file.seek(0)
        yield file.fileno()


async def _end_of(pid: int) -> None:
    """Returns when the process, a child of ours, has ended. pidfd_open(2)"""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    pidfd = os.pidfd_open(pid)
    loop.add_reader(pidfd, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)


def _words(said: bytes, fence: Fence) -> str:
    text = hidden(said.decode(errors="replace"), fence.options)
    lines = ["".join(one if one.isprintable() else " " for one in line).strip() for line in text.splitlines()]
    return next((line[:MOST] for line in reversed(lines) if line), "")


def _quoted(said: Said) -> str:
    return f": {said.words!r}" if said.words else f" (it ended with {said.status})"
