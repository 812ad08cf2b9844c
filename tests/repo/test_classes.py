"""A class is about one thing: it has at most fourteen public methods."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "src" / "velocity"
MOST = 14
GENERATED = {"client/methods.py", "client/async_methods.py"}


def public_methods(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Each class with its count; a property that can also be set is one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            functions = (one for one in node.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef))
            yield node.name, len({one.name for one in functions if not one.name.startswith("_")})


def large() -> dict[str, int]:
    """The classes over the limit. Of several with one name, the largest counts."""
    found: dict[str, int] = {}
    for file in sorted(SOURCE.rglob("*.py")):
        if str(file.relative_to(SOURCE)) not in GENERATED:
            for name, count in public_methods(ast.parse(file.read_text())):
                found[name] = max(count, found.get(name, 0))
    return {name: count for name, count in found.items() if count > MOST}


def test_no_class_has_over_fourteen_public_methods() -> None:
    assert large() == {}


def test_properties_and_private_methods_are_counted_once_and_not_at_all() -> None:
    text = """
class A:
    @property
    def a(self): ...
    @a.setter
    def a(self, value): ...
    def _b(self): ...
    async def c(self): ...
"""
    assert list(public_methods(ast.parse(text))) == [("A", 2)]
