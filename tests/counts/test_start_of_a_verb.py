"""What a verb of the command line imports before it asks the server: each module is time that every call pays."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {"rich", "asyncio", "websockets", "pygments", "sqlalchemy", "alembic", "starlette", "uvicorn", "qemu"}
OTHERS = {
    "velocity.contract.registry", "velocity.contract.plan", "velocity.cli.vm_settings", "velocity.client.console",
    "velocity.client.download", "velocity.client.events", "precis_i18n", "tomllib", "difflib",
}  # fmt: skip
"""What other verbs need."""
MOST = 330
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
    modules = set(json.loads(ran.stdout))
    assert not HEAVY & {one.partition(".")[0] for one in modules}
    assert not OTHERS & modules
    assert len(modules) <= MOST


@pytest.mark.holds("MANY-43")
@pytest.mark.parametrize(
    ("process", "without"),
    [
        ("velocity.cli.serve", {"grpc", "cryptography"}),
        ("velocity.cli.node_serve", {"sqlalchemy", "alembic", "starlette", "uvicorn", "httpx", "cryptography", "rich"}),
    ],
)
def test_a_server_of_one_machine_speaks_no_grpc_and_a_node_has_no_database(process: str, without: set[str]) -> None:
    says = f"import json, sys, {process}; print(json.dumps(sorted(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", says], capture_output=True, text=True, check=True)
    assert not without & {one.partition(".")[0] for one in json.loads(ran.stdout)}


DATACLASSES = 100
"""Dataclasses of ours that a server loads. Python compiles the methods of each, which takes half a millisecond; a
`Struct` has its methods in C.
"""
COUNTS = """
import inspect, sys
import velocity.cli.serve
ours = [module for name, module in sys.modules.items() if name.partition(".")[0] == "velocity"]
classes = {one for module in ours for one in vars(module).values() if inspect.isclass(one)}
print(sum(one.__module__.startswith("velocity.") and "__dataclass_fields__" in vars(one) for one in classes))
"""


def test_a_server_compiles_few_classes_as_it_starts() -> None:
    ran = subprocess.run([sys.executable, "-c", COUNTS], capture_output=True, text=True, check=True)
    assert 0 < int(ran.stdout) <= DATACLASSES
