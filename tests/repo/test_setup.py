"""What `scripts/setup` does where the web page cannot be built, as without its registry."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.patience import PATIENCE

ROOT = Path(__file__).parents[2]


def a_checkout(place: Path) -> Path:
    """Of which all is there but the page; what would build it finds no network."""
    for one in ("scripts", "requirements", "web", "docs/reference", "src/velocity/api/static", ".venv/bin"):
        (place / one).mkdir(parents=True)
    shutil.copy(ROOT / "scripts/setup", place / "scripts")
    (place / "scripts/node").write_text(f"#!/bin/sh\necho tried >>{place / 'tries'}\necho no network\nexit 1\n")
    (place / "scripts/node").chmod(0o755)
    for one in ("requirements/run.txt", "pyproject.toml", ".venv/.velocity-run", "docs/reference/openapi.json"):
        (place / one).write_text("")
    (place / "web/package-lock.json").write_text("{}")
    (place / ".venv/bin/python").symlink_to(ROOT / ".venv/bin/python")
    return place


def setup(checkout: Path, what: str) -> subprocess.CompletedProcess[str]:
    words = ["bash", str(checkout / "scripts/setup"), what]
    return subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False, timeout=60)


@pytest.mark.holds("CLI-46")
@pytest.mark.parametrize(("what", "status"), [("demo", 0), ("web", 1)])
def test_the_demo_does_without_a_page_that_cannot_be_built(tmp_path: Path, what: str, status: int) -> None:
    if shutil.which("mmdebstrap") is None:
        pytest.skip("needs mmdebstrap: run scripts/setup dev")
    done = setup(a_checkout(tmp_path), what)
    assert done.returncode == status, done.stderr
    assert "no network" in done.stderr
    assert ("the command line only" in done.stdout) is (status == 0)


@pytest.mark.holds("CLI-47")
def test_a_page_that_could_not_be_built_is_tried_again_when_asked_for_or_changed(tmp_path: Path) -> None:
    checkout = a_checkout(tmp_path)

    def tries(what: str) -> int:
        said = setup(checkout, what).stdout
        assert what == "web" or "`make web`" in said
        return len((checkout / "tries").read_text().splitlines())

    assert [tries("run"), tries("run")] == [1, 1]
    assert [tries("web"), tries("run")] == [2, 2]
    (checkout / "web/index.html").write_text("another version")
    assert [tries("run"), tries("run")] == [3, 3]


@pytest.mark.holds("CLI-67")
def test_a_step_that_takes_long_shows_on_a_terminal_that_it_is_still_running(tmp_path: Path) -> None:
    checkout, programs, ends = a_checkout(tmp_path / "checkout"), tmp_path / "programs", tmp_path / "ends"
    programs.mkdir()
    (programs / "sleep").write_text(f"#!/bin/sh\nexec {shutil.which('sleep')} 0.01\n")
    (programs / "sleep").chmod(0o755)
    (checkout / "scripts/node").write_text(f"#!/bin/sh\nread -r _ <{ends}\nexit 1\n")
    os.mkfifo(ends)
    controller, terminal = pty.openpty()
    words, path = ["bash", str(checkout / "scripts/setup"), "web"], f"{programs}:{os.environ['PATH']}"
    step, told, shown = os.open(ends, os.O_RDWR), tmp_path / "told", b""  # does not wait for who reads: fifo(7)
    with told.open("wb") as errors:
        running = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=terminal, stderr=errors, env={**os.environ, "PATH": path}
        )
    os.close(terminal)
    try:
        end = time.monotonic() + PATIENCE
        with contextlib.suppress(OSError):  # nobody is left who could write there
            while not shown.endswith(b"\n....") and time.monotonic() < end:
                if select.select([controller], [], [], 1)[0]:
                    shown += os.read(controller, 1).replace(b"\r", b"")
        assert shown.endswith(b"\n...."), (shown, told.read_text())
    finally:
        os.write(step, b"the step ends\n")
        try:
            status = running.wait(PATIENCE)
        finally:
            running.kill()
            os.close(step)
            os.close(controller)
    assert status == 1, "what the step ended with is what counts"
