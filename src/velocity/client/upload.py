"""A resumable upload: tus 1.0. https://tus.io/protocols/resumable-upload"""

from __future__ import annotations

import base64
import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import unquote
from uuid import UUID

import httpx
import msgspec
from msgspec import UNSET

from velocity.client.errors import ApiError, ClientError, Unreachable
from velocity.contract import media

Progress = Callable[[int, int], None]
PIECE = 1 << 20
VERSION = {"tus-resumable": "1.0.0"}
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 5.0
"""Seconds before the first new attempt, and at most before each further one."""
GONE, WRONG_OFFSET = (404, 9219), (409, 9224)
"""Statuses and codes that are no failures: the upload is gone; the offset is wrong."""
UNKNOWN_AUTHKEY, UNAVAILABLE = 401, 503


def size_of(file: Path) -> int:
    """The size of a regular file or a block device, in bytes. Raises `ClientError` for what has none, such as pipes."""
    facts = file.stat()
    if stat.S_ISBLK(facts.st_mode):
        with file.open("rb") as device:
            return device.seek(0, os.SEEK_END)
    if not stat.S_ISREG(facts.st_mode):
        kind = "a pipe" if stat.S_ISFIFO(facts.st_mode) else "neither a file nor a block device"
        raise ClientError(f"{file} is {kind}, and its size is not known: write it into a file, and upload that")
    return facts.st_size


class Exchange(Protocol):
    """Sends one request; returns the response. Raises `ApiError`, `Unreachable`."""

    def __call__(
        self, method: str, path: str, content: bytes | Iterator[bytes], headers: dict[str, str]
    ) -> httpx.Response: ...


class Upload:
    """The upload of one file."""

    def __init__(self, exchange: Exchange, file: Path, progress: Progress, patience: float) -> None:
        self._exchange = exchange
        self._file = file
        self._progress = progress
        self._patience = patience
        self._size = size_of(file)
        self._as_begun = _state(file.stat())
        self._arrived = 0
        self._begun = False
        self._last = time.monotonic()

    def run(self, fields: Mapping[str, object]) -> media.MediumCreated:
        """Raises `ApiError` if the server refuses, and `Unreachable` after `patience` seconds without progress."""
        place: str | None = None
        pause = FIRST_PAUSE
        self._progress(0, self._size)
        while True:
            try:
                place = place or self._begin(fields)
                answer = self._go_on(place)
            except (Unreachable, ApiError) as error:
                if isinstance(error, Unreachable) or error.status == UNAVAILABLE:
                    if not self._begun or time.monotonic() - self._last > self._patience:
                        raise  # there may be no server at all
                    time.sleep(pause)
                    pause = min(LONGEST_PAUSE, pause * 2)
                    continue
                told = error.status, error.code
                if told == GONE:
                    place = None  # start over
                elif told != WRONG_OFFSET:
                    raise
                if time.monotonic() - self._last > self._patience:
                    raise
            else:
                if answer is not None:
                    return _created(answer.headers, self._size)

    def _begin(self, fields: Mapping[str, object]) -> str:
        fields = {**fields, "fingerprint": self._fingerprint()}
        pairs = (f"{key} {base64.b64encode(str(value).encode()).decode()}" for key, value in fields.items())
        headers = {**VERSION, "upload-length": str(self._size), "upload-metadata": ",".join(pairs)}
        place = str(self._exchange("POST", media.RESUMABLE.path, b"", headers).headers["location"])
        self._begun = True
        return place

    def _fingerprint(self) -> str:
        """Identifies this very file, so that another process can continue its upload."""
        facts = self._file.stat()
        about = f"{self._file.resolve()} {facts.st_dev} {facts.st_ino} {self._size} {facts.st_mtime_ns}"
        return hashlib.sha256(about.encode("utf-8", "surrogateescape")).hexdigest()

    def _go_on(self, place: str) -> httpx.Response | None:
        """The response to the last byte; None if it has to be tried again, as the authkey was renewed meanwhile."""
        offset = int(self._exchange("HEAD", place, b"", dict(VERSION)).headers["upload-offset"])
        if offset > self._arrived:
            self._arrived, self._last = offset, time.monotonic()
        headers = {
            **VERSION,
            "content-type": "application/offset+octet-stream",
            "content-length": str(self._size - offset),
            "upload-offset": str(offset),
        }
        with self._file.open("rb") as source:
            source.seek(offset)
            try:
                return self._exchange("PATCH", place, self._pieces(source, self._size - offset), headers)
            except ApiError as error:
                if error.status != UNKNOWN_AUTHKEY or time.monotonic() - self._last > self._patience:
                    raise
                return None  # HEAD, in the next attempt, finds out

    def _pieces(self, source: BinaryIO, left: int) -> Iterator[bytes]:
        """Raises `ClientError` before the last piece if the file has changed: a mixture would become a medium."""
        while left:
            piece = source.read(min(PIECE, left))
            left -= len(piece)
            if not piece or (not left and _state(os.fstat(source.fileno())) != self._as_begun):
                raise ClientError(
                    f"{self._file} has changed while it was uploaded: upload it again when it is complete"
                )
            yield piece
            self._progress(source.tell(), self._size)


def _state(facts: os.stat_result) -> tuple[int, int] | None:
    """What changes with the content of a file; None for a device."""
    return (facts.st_size, facts.st_mtime_ns) if stat.S_ISREG(facts.st_mode) else None


def _created(headers: httpx.Headers, size: int) -> media.MediumCreated:
    return media.MediumCreated(
        mid=UUID(headers["x-velocity-mid"]),
        size=int(headers.get("x-velocity-size", size)),
        content=msgspec.json.decode(unquote(headers["x-velocity-content"]), type=media.Content),
        unwrapped="x-velocity-unwrapped" in headers or UNSET,
    )
