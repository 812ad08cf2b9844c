"""Reads the text in a picture with `tesseract`, in a confined process.

https://tesseract-ocr.github.io/tessdoc/Command-Line-Usage.html
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil

from velocity.contract.problems import Problem, Refused
from velocity.fair import FairGate
from velocity.machines.consoles.pictures import prepared
from velocity.unprivileged import Bounds, own_uid, running

log = logging.getLogger(__name__)

PROGRAM = "tesseract"
AT_ONCE = 1
WAITING, OWN = 256, 64
"""Pictures that may wait, in total and for one user; more are refused."""
SECONDS = 20.0
"""Seconds for one picture."""


class Ocr:
    """`worker` is the uid for programs that read pictures; None if the server cannot change it."""

    def __init__(self, worker: int | None, *, seconds: float = SECONDS, waiting: int = WAITING) -> None:
        self._worker = worker
        self._seconds = seconds
        self._most = waiting
        self._gate = FairGate(AT_ONCE)

    def check(self) -> None:
        """Raises `Refused(NO_READER)` while the program is not installed."""
        if shutil.which(PROGRAM) is None:
            raise Refused(
                Problem.NO_READER,
                "reading text on screens needs `tesseract`: install it on the server (package tesseract-ocr)",
                field="text",
            )

    async def read(self, png: bytes, uid: int) -> str:
        """The lines of text, possibly none. `uid` is the user who waits. Raises `Refused`."""
        self.check()
        if self._gate.count(uid) >= OWN:
            raise Refused(
                Problem.TOO_MANY_ATTEMPTS,
                f"{OWN} screens are waiting to be read for you, as many as one user may have: try again in a minute",
            )
        if self._gate.waiting >= self._most:
            raise Refused(
                Problem.TOO_MANY_ATTEMPTS, "too many screens are waiting to be read: try again in a few seconds"
            )
        async with self._gate.place(uid):
            return tidy(await self._run(await asyncio.to_thread(prepared, png)))

    async def _run(self, picture: bytes) -> str:
        file = os.memfd_create("picture", os.MFD_CLOEXEC)
        try:
            os.write(file, picture)
            os.lseek(file, 0, os.SEEK_SET)
            return await self._say(file)
        finally:
            os.close(file)

    async def _say(self, picture: int) -> str:
        words = [PROGRAM, "stdin", "stdout", "--psm", "6"]
        bounds = Bounds(seconds=round(SECONDS))
        try:
            with own_uid(self._worker) as uid:
                async with (
                    asyncio.timeout(self._seconds),
                    running(self._worker, uid, words, bounds, stdin=picture, OMP_THREAD_LIMIT="1") as program,
                ):
                    said = await program.stdout.read()
                    status, complaints = await program.wait(), await program.complaints()
        except TimeoutError:
            raise Refused(
                Problem.TOO_MANY_ATTEMPTS,
                "the screen could not be read in time: try again when the server is less busy",
            ) from None
        if status:
            log.warning("tesseract exited with status %d: %s", status, tidy(complaints)[-500:])
            raise Refused(Problem.NO_READER, "tesseract failed on the server: see the server's log", field="text")
        return said.decode(errors="replace")


def tidy(text: str) -> str:
    """Lines without characters that cannot be shown, and without empty lines."""
    lines = ("".join(one for one in line if one.isprintable()).strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line)
