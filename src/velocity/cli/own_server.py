"""How the command line finds the server of its own machine and account: by files in the data directory.

That works for any `listen`, and whoever has signed its certificate. The socket does not authenticate: callers sign in
as usual, or with the key file. unix(7)
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
"""The longest path in the address of a socket, in bytes."""


def address(settings: Settings) -> str:
    """The server's URL as it has noted it, or as the settings have it."""
    try:
        return (settings.data_dir / ADDRESS).read_text().strip() or settings.base_url
    except (OSError, ValueError):
        return settings.base_url


@contextlib.contextmanager
def way(settings: Settings) -> Iterator[Path | None]:
    """The socket's path; None if there is none, or it belongs to another account."""
    file = settings.data_dir / SOCKET
    if os.access(file, os.R_OK | os.W_OK):
        with _short(file) as path:
            yield path
    else:
        yield None


def command(settings: Settings) -> str:
    """The command line for this server, as it can be typed in a new terminal without our environment variables."""
    word = called()
    with contextlib.suppress(ValueError, OSError):  # that directory may be gone
        word = str(Path(word).absolute().relative_to(Path.cwd()))
    if settings.data_dir == default_data_dir():
        return word
    return f"VELOCITY_DATA_DIR={shlex.quote(str(settings.data_dir))} {word}"


def listen(settings: Settings) -> socket.socket:
    """Open a socket for this account only, and note the URL. Raises `OSError`. For the holder of the data directory."""
    from velocity import durable  # which verbs do not need

    file = settings.data_dir / SOCKET
    file.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(listener.fileno(), 0o600)  # before it is bound, so that the file is never accessible to others
        with _short(file) as path:
            listener.bind(str(path))
        listener.listen(2048)
        durable.write(settings.data_dir / ADDRESS, f"{settings.base_url}\n".encode(), mode=0o644, lasting=False)
    except BaseException:
        listener.close()
        raise
    return listener


def withdraw(settings: Settings) -> None:
    """Remove the socket and the note."""
    for name in (SOCKET, ADDRESS):
        with contextlib.suppress(OSError):
            (settings.data_dir / name).unlink()


@contextlib.contextmanager
def _short(file: Path) -> Iterator[Path]:
    """A path to the same file that is short enough: through a descriptor of its directory. proc(5)"""
    if len(os.fsencode(file)) <= LONGEST:
        yield file
        return
    directory = os.open(file.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield Path(f"/proc/self/fd/{directory}") / file.name
    finally:
        os.close(directory)
