"""The promises of SPECIFICATION.md and the tests that hold them, each read from its own file.

A promise is a line `- **VM-3** what is promised (`tests/...::test`)`, in the area of its heading: `## Guests (VM)`.
Its tests cite it: `@pytest.mark.holds("VM-3")`. A number is never given twice: a promise that is none any more stays as
`- **VM-3** withdrawn`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FILE = "SPECIFICATION.md"
CURE = "run scripts/promises: it numbers new lines and marks their tests"
AREA = re.compile(r"## .*\(([A-Z]+)\)$")
LINE = re.compile(r"- (?:\*\*([A-Z]+-\d+)\*\* )?(.*)")
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
WITHDRAWN = "withdrawn"


@dataclass(frozen=True)
class Promise:
    """A line; without an id it is new."""

    number: int
    area: str
    id: str | None
    text: str

    @property
    def tests(self) -> list[str]:
        return [f"{path}::{test}" for path, test in TEST.findall(self.text)]


def promises(root: Path) -> Iterator[Promise]:
    area = ""
    for number, line in enumerate((root / FILE).read_text().splitlines(), start=1):
        if line.startswith("## "):
            found = AREA.match(line)
            area = found[1] if found else ""
        elif line.startswith("- ") and (one := LINE.match(line)):
            yield Promise(number, area, one[1], one[2])


def functions(file: Path) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    """The tests of a file."""
    body = ast.parse(file.read_text()).body
    found = [one for one in body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {one.name: one for one in found if one.name.startswith("test_")}


def cited(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """The ids in its `@pytest.mark.holds(...)`."""
    marks = [one for one in function.decorator_list if isinstance(one, ast.Call)]
    marks = [one for one in marks if ast.unparse(one.func) == "pytest.mark.holds"]
    return [str(ast.literal_eval(one)) for mark in marks for one in mark.args]


def citations(root: Path) -> dict[str, list[str]]:
    """Test -> the ids that it cites."""
    files = sorted((root / "tests").rglob("test_*.py"))
    return {
        f"{file.relative_to(root)}::{name}": cited(function)
        for file in files
        for name, function in functions(file).items()
    }


def problems(root: Path) -> list[str]:
    """What is wrong, in words that say the cure."""
    every, cites = list(promises(root)), citations(root)
    found = [problem for one in every for problem in _of_line(one, cites)]
    found += _of_numbers([one.id for one in every if one.id])
    held = {one.id: one.tests for one in every}
    for test, ids in cites.items():
        for id in ids:
            if id not in held:
                found.append(f"{test} cites {id}, and {FILE} has no such promise")
            elif test not in held[id]:
                found.append(f"{test} cites {id}, whose line does not name it: add it there, or take the mark out")
    return found


def _of_line(one: Promise, cites: dict[str, list[str]]) -> Iterator[str]:
    where = f"{FILE}:{one.number}"
    if not one.area:
        yield f"{where}: its heading names no area: write it as `## Heading (AREA)`"
    elif one.id is None:
        yield f"{where}: no id: {CURE}"
    elif one.id.split("-")[0] != one.area:
        yield f"{where}: {one.id} is not of the area {one.area}"
    if not one.tests and one.text != WITHDRAWN:
        yield f"{where}: it names no test: add (`tests/...::test_...`), or take the line out"
    for test in one.tests:
        if test not in cites:
            yield f"{where}: there is no test {test}"
        elif one.id and one.id not in cites[test]:
            yield f'{where}: {test} does not cite it: add @pytest.mark.holds("{one.id}"), or {CURE}'


def _of_numbers(ids: list[str]) -> Iterator[str]:
    for area in dict.fromkeys(id.split("-")[0] for id in ids):
        given = sorted(int(id.split("-")[1]) for id in ids if id.split("-")[0] == area)
        if given != list(range(1, len(given) + 1)):
            yield f"{FILE}: the ids of {area} are not 1 to {len(given)}, each once: {given}"
