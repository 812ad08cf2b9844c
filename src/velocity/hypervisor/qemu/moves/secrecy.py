"""The pre-shared key of one migration, in a file that only QEMU's uid can read, as long as the migration lasts.

The guest's process may write to the directory: links there are not followed, and nothing is overwritten.
https://www.qemu.org/docs/master/system/tls.html (TLS-PSK)
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import Any

USER = "migration"
OBJECT = "move"
"""The id of QEMU's object."""
PRIORITY = "NORMAL:-CHACHA20-POLY1305"
"""Without it, a cipher is negotiated that costs several times as much CPU time."""
PREFIX, FILE, GROUP_FILE = "key-", "keys.psk", "dh-params.pem"
GROUP = """-----BEGIN DH PARAMETERS-----
MIIBCAKCAQEA//////////+t+FRYortKmq/cViAnPTzx2LnFg84tNpWp4TZBFGQz
+8yTnc4kmz75fS/jY2MMddj2gbICrsRhetPfHtXV/WVhJDP1H18GbtCFY2VVPe0a
87VXE15/V8k1mE8McODmi3fipona8+/och3xWKE2rec1MKzKT0g6eXq8CrGCsyT7
YdEIqUuyyOP7uWrat2DX9GgdT0Kj3jlN9K5W7edjcrsZCwenyO4KbXCeAvzhzffi
7MA0BM0oNC9hkXL+nOmFg/+OTxIy7vKBg8P+OxtMb61zO7X8vC7CIAXFjvGDfRaD
ssbzSibBsu/6iGtCOGEoXJf//////////wIBAg==
-----END DH PARAMETERS-----
"""
"""The group ffdhe2048 of RFC 7919. Without it QEMU computes one for each move, for up to seconds."""
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def new_key() -> str:
    return secrets.token_hex(32)


def put(own: Path, uid: int, key: str) -> Path:
    """Write it; returns its directory, for QEMU. Raises `OSError`."""
    name = f"{PREFIX}{secrets.token_hex(8)}"
    above = os.open(own, DIRECTORY)
    try:
        os.mkdir(name, 0o700, dir_fd=above)
        inside = os.open(name, DIRECTORY, dir_fd=above)
    finally:
        os.close(above)
    try:
        if os.fstat(inside).st_uid != os.geteuid():
            raise OSError("the directory of the key was replaced by another")
        for file_name, words in ((FILE, f"{USER}:{key}\n"), (GROUP_FILE, GROUP)):
            file = os.open(file_name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o400, dir_fd=inside)
            with os.fdopen(file, "w") as into:
                into.write(words)
                os.fchown(file, uid, -1)
        os.fchown(inside, uid, -1)
    finally:
        os.close(inside)
    return own / name


def remove(own: Path) -> None:
    """Remove all keys. What cannot be removed is removed with the run."""
    with contextlib.suppress(OSError):
        above = os.open(own, DIRECTORY)
        try:
            for name in [one for one in os.listdir(above) if one.startswith(PREFIX)]:  # noqa: PTH208 (of a descriptor)
                with contextlib.suppress(OSError):
                    _remove(name, above)
        finally:
            os.close(above)


def _remove(name: str, above: int) -> None:
    inside = os.open(name, DIRECTORY, dir_fd=above)
    try:
        for name_inside in (FILE, GROUP_FILE):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name_inside, dir_fd=inside)
    finally:
        os.close(inside)
    os.rmdir(name, dir_fd=above)


def credentials(directory: Path, *, server: bool) -> dict[str, Any]:
    """The arguments of `object-add`."""
    about = {"qom-type": "tls-creds-psk", "id": OBJECT, "dir": str(directory), "priority": PRIORITY}
    return about | ({"endpoint": "server"} if server else {"endpoint": "client", "username": USER})
