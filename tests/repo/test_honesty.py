"""Rules about the tests: each looks at something, from outside, and each promise has those that hold it."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.repo.promises import functions, problems
from tests.repo.test_repository import ROOT, tracked

CHECKS = {"expect", "raises", "warns", "fail", "run_state_machine_as_test", "validate"}
"""Names of other libraries whose call can fail a test."""
DRIVER = {
    "tests/hypervisor/qemu/test_screen.py": {"_read"},
    "tests/hypervisor/qemu/test_serial.py": {"_follower"},
    "tests/hypervisor/qemu/test_monitor.py": {"_writer"},
}
"""What the tests of the QEMU driver still reach for. Nothing is to be added."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
Named = ast.Attribute | ast.Name


def test_every_promise_has_its_tests_and_they_cite_it() -> None:
    assert problems(ROOT) == []


# Nothing of the product's own


def private(file: Path) -> Iterator[tuple[int, str]]:
    """Names with an underscore that are read or written of anything but oneself, or imported."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, one.name) for one in node.names if hidden(one.name))
        elif isinstance(node, ast.Attribute) and hidden(node.attr):
            if not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")):
                yield node.lineno, node.attr
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("setattr", "getattr"):
            if ast.unparse(node.args[0]) == "self":
                continue
            words = (one.value for one in node.args if isinstance(one, ast.Constant))
            yield from ((node.lineno, word) for word in words if isinstance(word, str) and hidden(word.split(".")[-1]))


def hidden(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def test_tests_reach_into_nothing_private() -> None:
    """What only the inside shows is not promised to anybody: tests use what is public, or make it so."""
    found = [
        f"{name}:{line}: {word}"
        for name, file in ((str(file.relative_to(ROOT)), file) for file in tracked("tests/*.py"))
        for line, word in private(file)
        if word not in DRIVER.get(name, ())
    ]
    assert found == [], "use what is public, or give the product a public name for it"


def test_what_is_private_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "test_x.py"
    file.write_text(
        "from a import _b\nself._fine\nc._d\ne._f = 1\ng.__version__\n"
        'monkeypatch.setattr(h, "_i", 1)\nmonkeypatch.setattr("j._k", 1)\n'
    )
    assert sorted(word for _, word in private(file)) == ["_b", "_d", "_f", "_i", "j._k"]


# Each test can fail


def called(function: Function) -> set[str]:
    """The last name of each call in it."""
    calls = (node.func for node in ast.walk(function) if isinstance(node, ast.Call))
    return {one.attr if isinstance(one, ast.Attribute) else one.id for one in calls if isinstance(one, Named)}


def asserts(function: Function) -> bool:
    return any(isinstance(node, ast.Assert | ast.Raise) for node in ast.walk(function))


def checking(files: list[Path]) -> set[str]:
    """The names whose call can fail a test: of every function and method of that name in the tests."""
    calls: dict[str, list[set[str]]] = {}
    """What each calls that asserts nothing itself."""
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, Function):
                calls.setdefault(node.name, []).extend([] if asserts(node) else [called(node)])
    names = set(CHECKS)
    while True:
        more = {name for name, those in calls.items() if name not in names and all(one & names for one in those)}
        if not more:
            return names
        names |= more


def empty(files: list[Path]) -> list[str]:
    """The tests that assert nothing, and call nothing that does."""
    names = checking(files)
    return [
        f"{file}::{name}"
        for file in files
        if file.name.startswith("test_")
        for name, function in functions(file).items()
        if not asserts(function) and not called(function) & names
    ]


def test_every_test_asserts_something() -> None:
    assert empty(tracked("tests/*.py")) == []


@pytest.mark.parametrize(
    ("text", "is_empty"),
    [
        ("def test_x():\n    print(1)\n", True),
        ("def look():\n    print(1)\n\ndef test_x():\n    look()\n", True),
        ("def test_x():\n    assert 1\n", False),
        ("def test_x():\n    with pytest.raises(ValueError):\n        int('x')\n", False),
        ("def look():\n    assert 1\n\ndef more():\n    look()\n\nasync def test_x():\n    more()\n", False),
    ],
)
def test_a_test_that_asserts_nothing_is_seen(tmp_path: Path, text: str, is_empty: bool) -> None:
    file = tmp_path / "test_x.py"
    file.write_text(text)
    assert bool(empty([file])) is is_empty


def test_the_tests_that_documents_name_are_there() -> None:
    there = functools.cache(functions)  # a file of tests is named many times
    for document in tracked("docs/*.md"):
        for path, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", document.read_text()):
            assert name in there(ROOT / path), f"{document.name} names {path}::{name}"


def test_servers_in_threads_end_with_their_test() -> None:
    """`tests.serving` ends them also where a test fails; one of a file that is served to all lasts with its process."""
    own = {"tests/serving.py", "tests/api/origin.py", "tests/repo/test_honesty.py"}
    found = {str(file.relative_to(ROOT)) for file in tracked("tests/*.py") if ".serve_forever" in file.read_text()}
    assert found == own
