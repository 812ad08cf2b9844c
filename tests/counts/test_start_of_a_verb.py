"""What a verb of the command line imports before it asks the server: each module is time that every call pays."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {"rich", "asyncio", "websockets", "pygments", "sqlalchemy", "alembic", "starlette", "uvicorn", "qemu"}
MOST = 380
"""Modules of Python, of libraries and of ours, together."""
ASKS = """
import json, sys
sys.argv = ["velocity", "--server", "http://127.0.0.1:9", *sys.argv[1:]]
from velocity.cli.main import main
try:
    main()
except SystemExit:
    print(json.dumps(sorted(sys.modules)))
"""


@pytest.mark.holds("CLI-23")
@pytest.mark.parametrize(
    "words",
    [("vm", "list"), ("media", "list"), ("group", "list"), ("vm", "start", "web"), ("task", "list"), ("history",)],
    ids=" ".join,
)
def test_a_verb_imports_only_what_it_needs(words: tuple[str, ...]) -> None:
    ran = subprocess.run([sys.executable, "-c", ASKS, *words], capture_output=True, text=True, check=True)
    assert "no server responds" in ran.stderr, "it got as far as asking"
    modules = json.loads(ran.stdout)
    assert not HEAVY & {one.partition(".")[0] for one in modules}
    assert len(modules) <= MOST
