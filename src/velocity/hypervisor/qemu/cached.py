"""Caches what is expensive to find out about the host, in a file with a key of everything that it depends on."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from velocity import durable

log = logging.getLogger(__name__)

T = TypeVar("T")


def load(file: Path, key: dict[str, Any], kind: type[T]) -> T | None:
    """What was stored under exactly this key, or None."""
    try:
        kept = durable.read(file, dict[str, Any])
        return msgspec.convert(kept["value"], kind) if kept["key"] == msgspec.to_builtins(key) else None
    except (OSError, KeyError, TypeError, msgspec.MsgspecError):
        return None


def store(file: Path, key: dict[str, Any], value: Any) -> None:
    """Store it, with mode 0600 and atomically. What cannot be stored is found out again by the next start."""
    draft = file.with_suffix(f".{os.getpid()}")
    try:
        descriptor = os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(msgspec.json.encode({"key": key, "value": value}))
        draft.rename(file)
    except OSError as error:
        log.warning("facts about this host cannot be cached in %s: %s", file, error.strerror)
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


def program_key(binary: str) -> dict[str, Any]:
    """A key that changes whenever the program does."""
    path = shutil.which(binary) or binary
    try:
        status = os.stat(path)  # noqa: PTH116 - `path` may be a name that is not there
    except OSError:
        return {"binary": path}
    return {"binary": path, "size": status.st_size, "mtime": status.st_mtime_ns}
