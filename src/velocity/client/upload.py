"""An upload that goes on where it broke off: tus 1.0. https://tus.io/protocols/resumable-upload"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import unquote
from uuid import UUID

import httpx
import msgspec

from velocity.client.errors import ApiError, Unreachable
from velocity.contract import media

Progress = Callable[[int, int], None]
PIECE = 1 << 20
VERSION = {"tus-resumable": "1.0.0"}
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 5.0
GONE, ELSEWHERE = 404, 409


class Exchange(Protocol):
    """One request with its headers, and the answer to it. Raises `ApiError`, `Unreachable`."""

    def __call__(
        self, method: str, path: str, content: bytes | Iterator[bytes], headers: dict[str, str]
    ) -> httpx.Response: ...


class Upload:
    """One file on its way."""

    def __init__(self, exchange: Exchange, file: Path, progress: Progress, patience: float) -> None:
        self._exchange = exchange
        self._file = file
        self._progress = progress
        self._patience = patience
        self._size = file.stat().st_size
        self._arrived = 0
        self._begun = False
        self._last = time.monotonic()

    def run(self, fields: Mapping[str, object]) -> media.MediumCreated:
        """Raises `ApiError` when it is refused, and `Unreachable` when patience has ended."""
        place: str | None = None
        pause = FIRST_PAUSE
        self._progress(0, self._size)
        while True:
            try:
                place = place or self._begin(fields)
                answer = self._go_on(place)
            except Unreachable:
                if not self._begun:
                    raise  # there is no server at all
                if time.monotonic() - self._last > self._patience:
                    raise
                time.sleep(pause)
                pause = min(LONGEST_PAUSE, pause * 2)
            except ApiError as error:
                if error.status == GONE and error.code == 9219:
                    place = None  # the server was restarted: from the beginning
                elif error.status != ELSEWHERE or error.code != 9224:
                    raise
                if time.monotonic() - self._last > self._patience:
                    raise
            else:
                return media.MediumCreated(
                    mid=UUID(answer.headers["x-velocity-mid"]),
                    size=self._size,
                    content=msgspec.json.decode(unquote(answer.headers["x-velocity-content"]), type=media.Content),
                )

    def _begin(self, fields: Mapping[str, object]) -> str:
        pairs = (f"{key} {base64.b64encode(str(value).encode()).decode()}" for key, value in fields.items())
        headers = {**VERSION, "upload-length": str(self._size), "upload-metadata": ",".join(pairs)}
        place = str(self._exchange("POST", media.RESUMABLE.path, b"", headers).headers["location"])
        self._begun = True
        return place

    def _go_on(self, place: str) -> httpx.Response:
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
            return self._exchange("PATCH", place, self._pieces(source), headers)

    def _pieces(self, source: BinaryIO) -> Iterator[bytes]:
        while piece := source.read(PIECE):
            yield piece
            self._progress(source.tell(), self._size)
