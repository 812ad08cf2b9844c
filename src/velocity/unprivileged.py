"""Programs that read untrusted files: each without privileges and, as root, under a uid of its own, without a network,
and seeing only /usr (`velocity.sandbox`). setpriv(1), prlimit(1)
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from msgspec import Struct

from velocity import sandbox
from velocity.uninterrupted import ended, in_thread

UIDS = 30
"""How many such programs run at a time, each under a uid of its own, which follow the worker's."""
MEMORY = 1 << 30
"""Bytes of address space for each."""
PROCESSES = 128
"""Processes and threads for each, if it has a uid of its own, by which they are counted."""
WORDS = 8192
"""Bytes of its standard error that are kept."""
_taken: set[int] = set()
_hanging: set[int] = set()
"""The uids of killed programs that have not ended."""


class Bounds(Struct, frozen=True):
    """What a program may use: bytes in a file that it writes, seconds of CPU (None: any number), memory.

    After a kill its end is awaited for `give_up` seconds: on a disk that does not respond, it may come much later.
    """

    file: int = 0
    seconds: int | None = None
    memory: int = MEMORY
    give_up: float = 5.0


class Running(Struct, frozen=True):
    """A program that was started."""

    stdout: asyncio.StreamReader
    _complaints: asyncio.Task[str]
    _over: asyncio.Future[int]

    async def wait(self) -> int:
        """The exit status; negative: the signal that ended it."""
        return await asyncio.shield(self._over)

    async def complaints(self) -> str:
        """The end of its standard error, once that is closed."""
        return await asyncio.shield(self._complaints)


@contextlib.contextmanager
def own_uid(worker: int | None) -> Iterator[int | None]:
    """A uid that no other such program has meanwhile; its group is the worker's. None: the server's own, as it is not
    root.

    Raises `OSError` if too many run.
    """
    if worker is None:
        yield None
        return
    uid = next((one for one in range(worker + 1, worker + 1 + UIDS) if one not in _taken | _hanging), None)
    if uid is None:
        raise OSError("too many programs that read untrusted files are running")
    _taken.add(uid)
    try:
        yield uid
    finally:
        _taken.discard(uid)


@contextlib.asynccontextmanager
async def running(
    worker: int | None,
    uid: int | None,
    words: Sequence[str],
    bounds: Bounds,
    *,
    stdin: int | None = None,
    files: tuple[int, ...] = (),
    **environment: str,
) -> AsyncIterator[Running]:
    """Run a program within; what is left of it at the end is killed. Raises `OSError`, as if it does not exist.

    `worker` is the group for a `uid` of `own_uid`; None as an ordinary user. `files` keep their numbers; without
    `stdin`, the input is empty.
    """
    if shutil.which(words[0]) is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), words[0])
    with contextlib.ExitStack() as left:
        with contextlib.ExitStack() as theirs:
            (stdout, said), (stderr, complained) = _pipe(left, theirs), _pipe(left, theirs)
            if stdin is None:
                stdin = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
                theirs.callback(os.close, stdin)
            pid = await _begun(
                worker, uid, [*_limits(bounds, uid), *words], stdin=stdin, stdout=said, stderr=complained,
                files=files, env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", **environment},
            )  # fmt: skip
            over = await _end(pid)
        complaints: asyncio.Task[str] | None = None
        try:
            complaints = asyncio.create_task(_last(await _reader(stderr, left)))
            yield Running(await _reader(stdout, left), complaints, over)
        finally:
            if not over.done():
                os.kill(pid, signal.SIGKILL)
            try:
                await asyncio.wait({over}, timeout=bounds.give_up)
            finally:
                if complaints is not None:
                    complaints.cancel()
                if uid is not None and not over.done():
                    _hanging.add(uid)
                    over.add_done_callback(lambda _: _hanging.discard(uid))


def _pipe(ours: contextlib.ExitStack, theirs: contextlib.ExitStack) -> tuple[int, int]:
    """A pipe's ends, each closed with its stack."""
    read, write = os.pipe()
    ours.callback(os.close, read)
    theirs.callback(os.close, write)
    return read, write


async def _begun(*what: Any, **how: Any) -> int:
    """Start it in a thread. If the caller is cancelled meanwhile, it is killed."""
    beginning = asyncio.ensure_future(asyncio.to_thread(_begin, *what, **how))
    try:
        return await ended(beginning)
    except asyncio.CancelledError:
        if beginning.exception() is None:
            os.kill(beginning.result(), signal.SIGKILL)
            await asyncio.to_thread(os.waitpid, beginning.result(), 0)
        raise


def _begin(worker: int | None, uid: int | None, words: list[str], **how: Any) -> int:
    if uid is None or sandbox.missing() is not None:
        pid = sandbox.spawn(None, [*_drop(worker, uid), *words], **how)
    else:
        # it may open its descriptors by /proc/self/fd; this /proc is the namespace's, with no other processes
        inside = ["unshare", "--mount-proc=/proc", "--", *_drop(worker, uid), *words]
        pid = sandbox.spawn(sandbox.View(), inside, **how)
    sandbox.end_sooner(pid)
    return pid


def _drop(worker: int | None, uid: int | None) -> list[str]:
    drop = [f"--reuid={uid}", f"--regid={worker}", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"]
    return ["setpriv", *(drop if uid is not None else []), "--no-new-privs", "--"]


def _limits(bounds: Bounds, uid: int | None) -> list[str]:
    more = [] if bounds.seconds is None else [f"--cpu={bounds.seconds}"]
    more += [] if uid is None else [f"--nproc={PROCESSES}"]
    return ["prlimit", f"--as={bounds.memory}", "--core=0", f"--fsize={bounds.file}", *more, "--"]


async def _end(pid: int) -> asyncio.Future[int]:
    """Done when it has ended. Raises `OSError` if that cannot be observed; it has been killed then. pidfd_open(2)"""
    loop = asyncio.get_running_loop()
    over: asyncio.Future[int] = loop.create_future()
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        os.kill(pid, signal.SIGKILL)
        await in_thread(os.waitpid, pid, 0)
        raise

    def gone() -> None:
        loop.remove_reader(descriptor)
        os.close(descriptor)
        over.set_result(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

    loop.add_reader(descriptor, gone)
    return over


async def _reader(pipe: int, left: contextlib.ExitStack) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    file = os.fdopen(os.dup(pipe), "rb", 0)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), file
    )
    left.callback(transport.close)
    return reader


async def _last(stream: asyncio.StreamReader) -> str:
    said = b""
    while piece := await stream.read(4096):
        said = (said + piece)[-WORDS:]
    return said.decode(errors="replace")
