"""Verifies signatures of checksum files, with gpgv(1) in a confined process.

gpgv is small, and on every host with apt; it uses one file of keys, and trusts all of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from velocity.contract.problems import Problem, Refused
from velocity.media import checksums
from velocity.unprivileged import Bounds, own_uid, running

PROGRAM = "gpgv"
SECONDS = 20
"""Seconds for one check."""
INLINE = b"-----BEGIN PGP SIGNED MESSAGE-----"
GOOD = re.compile(r"^\[GNUPG:\] VALIDSIG ", re.MULTILINE)
BAD = re.compile(r"^\[GNUPG:\] BADSIG ", re.MULTILINE)


class Signatures:
    """`worker` is the uid for gpgv; None if the server cannot change it."""

    def __init__(self, worker: int | None) -> None:
        self._worker = worker

    async def signed(self, text: bytes, signature: bytes | None, keys: Path, host: str) -> bytes:
        """The text that one of the keys has signed, with a separate signature or one inside the text.

        One good signature suffices, as others may be from unknown keys; a bad one fails. Raises `Refused`.
        """
        if signature is None and not text.startswith(INLINE):
            raise _refused(host, keys, "they have no signature")
        try:
            ring = await asyncio.to_thread(keys.read_bytes)
        except OSError as error:
            raise _refused(host, keys, f"that file cannot be read ({error.strerror})") from None
        with _memory(text) as read, _memory(ring) as known, _memory(signature or b"") as beside:
            words = [PROGRAM, "--homedir", "/nonexistent", "--status-fd", "2", "--keyring", f"/proc/self/fd/{known}"]
            words += ["--output", "-", "-"] if signature is None else [f"/proc/self/fd/{beside}", "-"]
            said, told = await self._run(words, read, (known, beside))
        if BAD.search(told) or not GOOD.search(told):
            raise _refused(host, keys, "the signature is not of these bytes" if BAD.search(told) else "of none of them")
        return said if signature is None else text

    async def _run(self, words: list[str], read: int, files: tuple[int, ...]) -> tuple[bytes, str]:
        """Run gpgv; returns its output, and its status messages."""
        try:
            with own_uid(self._worker) as uid:
                async with (
                    asyncio.timeout(SECONDS),
                    running(self._worker, uid, words, Bounds(seconds=SECONDS), stdin=read, files=files) as program,
                ):
                    said = b""
                    while (piece := await program.stdout.read(1 << 16)) and len(said) <= checksums.LARGEST:
                        said += piece
                    return said, await program.complaints()
        except FileNotFoundError:
            words_ = "signatures are checked by `gpgv`, which is missing: install it on the server (package gpgv)"
            raise Refused(Problem.UNAVAILABLE, words_, field="image") from None
        except TimeoutError:
            raise Refused(Problem.UNAVAILABLE, "the signature could not be checked in time", field="image") from None


@contextlib.contextmanager
def _memory(content: bytes) -> Iterator[int]:
    """A file in memory, positioned at its beginning."""
    file = os.memfd_create("signed", os.MFD_CLOEXEC)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(file, view) :]
        os.lseek(file, 0, os.SEEK_SET)
        yield file
    finally:
        os.close(file)


def _refused(host: str, keys: Path, why: str) -> Refused:
    words = (
        f"the checksums of {host} are not signed by a key of {keys.name}: {why}; tell the maintainer of the catalogue"
    )
    return Refused(Problem.WRONG_CHECKSUM, words, field="image")
