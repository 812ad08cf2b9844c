"""The process that has an image of RBD as a file, played by a program that any host has."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.patience import at_last
from velocity.storage.rbd import opened
from velocity.storage.rbd.rados_pool import RadosPool

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mount namespaces are root's")


def test_one_that_complains_without_end_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody reads it, and a pipe holds 64 KiB: whoever writes to a full one waits."""
    said = tmp_path / "said"

    def complaining(*_what: Any, **_how: Any) -> Sequence[str]:
        return ("sh", "-c", f"echo hello; head -c 1000000 /dev/zero >&2; touch {said}; exec sleep 600")

    monkeypatch.setattr(opened, "words", complaining)
    daemon = opened.Daemon(RadosPool(Path("conf"), "user", "pool"), "image", tmp_path / "files" / "one", readonly=True)
    try:
        os.close(daemon.open())
        at_last(said.exists, "that it has said all")
    finally:
        daemon.end()
        daemon.wait()
    assert not list((tmp_path / "files").iterdir())
