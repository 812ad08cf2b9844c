"""The server's place before its guests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import velocity
from velocity import priority

LOADED = """
import sys
from velocity import priority
priority.raise_session = lambda: None
priority.raise_thread = lambda: sys.exit(" ".join(sorted({"click", "sqlalchemy", "pathlib"} & set(sys.modules))))
sys.argv = ["velocity", "serve"]
from velocity.__main__ import main
main()
"""


def test_it_goes_before_them_from_its_first_imports_on() -> None:
    """Among fifty busy guests, each tenth of a second that it computes before that takes some seconds."""
    ours = {"PYTHONPATH": str(Path(velocity.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-S", "-c", LOADED], capture_output=True, text=True, check=False, env=ours)
    assert done.stderr.strip() == "", "what was loaded by then"


@pytest.mark.parametrize(
    ("told", "then"), [("/autogroup-7 nice -15\n", "-5"), ("/autogroup-7 nice 3\n", None), ("", None), (None, None)]
)
def test_a_session_that_was_raised_is_lowered(
    told: str | None, then: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another niceness was somebody's wish; some kernels tell nothing, or have no such file."""
    file = tmp_path / "autogroup"
    if told is not None:
        file.write_text(told)
    monkeypatch.setattr(priority, "AUTOGROUP", str(file))
    priority.lower_session()
    assert (file.read_text() if file.exists() else None) == (then or told)
