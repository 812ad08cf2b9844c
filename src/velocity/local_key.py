"""The key by which this machine's own commands speak to the server."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from velocity.durable import sync


def local_key(file: Path) -> str:
    """The key that stands for `root` to whoever may read the file; made at the first start."""
    try:
        return file.read_text().strip()
    except FileNotFoundError:
        key = secrets.token_urlsafe(32)
        draft = file.with_suffix(".draft")
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w") as out:
            out.write(key + "\n")
            out.flush()
            os.fsync(out.fileno())
        draft.rename(file)
        sync(file.parent)
        return key
