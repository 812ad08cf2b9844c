"""The server's place before its guests."""

from __future__ import annotations

import subprocess
import sys

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
    done = subprocess.run(
        [sys.executable, "-S", "-c", LOADED], capture_output=True, text=True, check=False, env={"PYTHONPATH": "src"}
    )
    assert done.stderr.strip() == "", "what was loaded by then"
