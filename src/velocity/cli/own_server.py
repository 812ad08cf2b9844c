"""How the command line finds the server of its own machine and account: by notes in the data directory.

So it is found whatever `listen` is and whoever signed its certificate. The socket is a way and no more: who comes by it
signs in as anybody does, or with the key file. unix(7)
"""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
from collections.abc import Iterator
from pathlib import Path

from velocity.cli.words import called
from velocity.config import Settings, default_data_dir

SOCKET, ADDRESS = "api.sock", "address"
LONGEST = 107
"""Bytes of a path that fit into the address of a socket."""


def address(settings: Settings) -> str:
    """As the server noted it; before it did, as the settings have it."""
    try:
        return (settings.data_dir / ADDRESS).read_text().strip() or settings.base_url
    except (OSError, ValueError):
        return settings.base_url


@contextlib.contextmanager
def way(settings: Settings) -> Iterator[Path | None]:
    """The socket. None: there is none, or it is another account's."""
    file = settings.data_dir / SOCKET
    if os.access(file, os.R_OK | os.W_OK):
        with _short(file) as path:
            yield path
    else:
        yield None


def command(settings: Settings) -> str:
    """The command line for this server, as it can be typed from where the user stands, in a terminal that has none of
    our variables."""
    word = called()
    with contextlib.suppress(ValueError):
        word = str(Path(word).absolute().relative_to(Path.cwd()))
    if settings.data_dir == default_data_dir():
        return word
    return f"VELOCITY_DATA_DIR={shlex.quote(str(settings.data_dir))} {word}"


def listen(settings: Settings) -> socket.socket:
    """A socket for this account alone, and the address noted. Raises `OSError`. To be called by who has the data."""
    file = settings.data_dir / SOCKET
    file.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(listener.fileno(), 0o600)  # before it is bound: so is the file from its first moment
        with _short(file) as path:
            listener.bind(str(path))
        listener.listen(2048)
        draft = settings.data_dir / f"{ADDRESS}.draft"
        draft.write_text(settings.base_url + "\n")
        draft.rename(settings.data_dir / ADDRESS)
    except BaseException:
        listener.close()
        raise
    return listener


def withdraw(settings: Settings) -> None:
    """Nobody is to come any more."""
    for name in (SOCKET, ADDRESS):
        with contextlib.suppress(OSError):
            (settings.data_dir / name).unlink()


@contextlib.contextmanager
def _short(file: Path) -> Iterator[Path]:
    """The same file by a path that fits: of a long one, by the descriptor of its directory. proc(5)"""
    if len(os.fsencode(file)) <= LONGEST:
        yield file
        return
    directory = os.open(file.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield Path(f"/proc/self/fd/{directory}") / file.name
    finally:
        os.close(directory)
