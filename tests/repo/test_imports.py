"""No modules import one another in a circle, what only the type checker reads included."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "src"


def modules() -> dict[str, str]:
    names = {file: ".".join(file.relative_to(ROOT).with_suffix("").parts) for file in (ROOT / "velocity").rglob("*.py")}
    return {name.removesuffix(".__init__"): file.read_text() for file, name in names.items()}


def imported(tree: ast.Module, ours: Collection[str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names if one.name in ours)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            for one in node.names:
                name = f"{node.module}.{one.name}"
                yield from (found for found in (name if name in ours else node.module,) if found in ours)


def imports(texts: Mapping[str, str]) -> dict[str, set[str]]:
    """Of each module, those of ours that it imports, at whatever place."""
    return {name: set(imported(ast.parse(text), texts)) for name, text in texts.items()}


def test_nothing_is_imported_in_a_circle() -> None:
    found = imports(modules())
    assert len(found) > 200
    try:
        TopologicalSorter(found).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(reversed(error.args[1])))


def test_what_only_the_type_checker_reads_is_an_import_too() -> None:
    texts = {
        "a": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from b import One",
        "b": "def late():\n    import a",
    }
    with pytest.raises(CycleError):
        TopologicalSorter(imports(texts)).prepare()
