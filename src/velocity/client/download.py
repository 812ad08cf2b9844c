"""A download that continues after interruptions, by ranges. RFC 9110, 14"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Protocol
from uuid import UUID

import httpx

from velocity.client.errors import ApiError, ClientError, api_error, no_answer
from velocity.client.upload import FIRST_PAUSE, LONGEST_PAUSE, Progress

PARTIAL = 206


@contextlib.contextmanager
def new_file(file: Path) -> Iterator[BinaryIO]:
    """A file that gets its name when all of it is on the disk: what is cut short is never taken for a whole one.

    Raises `ClientError` if the name is taken, and `OSError` with the name.
    """
    part = file.with_name(f".velocity-{secrets.token_hex(4)}.part")
    try:
        if os.path.lexists(file):
            raise FileExistsError
        with part.open("xb") as target:
            yield target
            target.flush()
            os.fsync(target.fileno())
        _name(part, file)
    except FileExistsError:
        raise ClientError(f"{file} already exists: choose another name, or remove it") from None
    except OSError as error:
        error.filename = str(file)
        raise
    finally:
        part.unlink(missing_ok=True)


def _name(part: Path, file: Path) -> None:
    """Raises `FileExistsError`: a rename would replace a file that came to be meanwhile."""
    try:
        os.link(part, file)
    except FileExistsError:
        raise
    except OSError:  # this file system has no hard links
        if os.path.lexists(file):
            raise FileExistsError from None
        part.rename(file)


class Server(Protocol):
    """What a download needs of a client."""

    server: str
    authkey: str | None

    def stream(self, path: str, headers: dict[str, str]) -> AbstractContextManager[httpx.Response]: ...

    def may_ask_again(self, used: str | None, error: ApiError) -> bool: ...


class Download:
    """The download of one medium into an empty file."""

    def __init__(self, server: Server, mid: UUID, target: BinaryIO, progress: Progress, patience: float) -> None:
        self._server = server
        self._path = f"/m/media/content/{mid}"
        self._target = target
        self._progress = progress
        self._patience = patience
        self._state: str | None = None
        """The ETag of the content so far."""
        self._total = 0
        self._last = time.monotonic()

    def run(self) -> None:
        """Raises `ApiError` if the server refuses or cuts it (with the reason), and `Unreachable`, `Untrusted`."""
        pause = FIRST_PAUSE
        while True:
            used = self._server.authkey
            try:
                self._go_on()
            except httpx.HTTPError as error:
                if self._state is None or time.monotonic() - self._last > self._patience:
                    words = f"the connection to {self._server.server} was lost: {error or type(error).__name__}"
                    raise no_answer(self._server.server, error, words) from None
                time.sleep(pause)
                pause = min(LONGEST_PAUSE, pause * 2)
            except ApiError as error:
                if not self._server.may_ask_again(used, error):
                    raise
            else:
                return

    def _go_on(self) -> None:
        at = self._target.tell()
        if self._state is not None and at == self._total:
            return
        headers = {} if self._state is None else {"range": f"bytes={at}-", "if-range": self._state}
        with self._server.stream(self._path, headers) as response:
            if not response.is_success:
                response.read()
                raise api_error(response)
            if response.status_code != PARTIAL:  # the medium has changed: start over
                at = 0
                self._target.seek(0)
                self._target.truncate()
            self._state = response.headers.get("etag")
            self._total = at + int(response.headers.get("content-length", "0"))
            for piece in response.iter_raw():
                self._target.write(piece)
                self._last = time.monotonic()
                self._progress(self._target.tell(), self._total)
