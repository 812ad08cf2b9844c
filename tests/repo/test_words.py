"""Names that explain nothing to a stranger stay away: docs/glossary.md has the words."""

from __future__ import annotations

import ast
import importlib
import re
import tomllib
from pathlib import Path

import velocity

ROOT = Path(__file__).resolve().parents[2]
CODE = ("src/velocity", "web/src", "tests", "bench")
VANISHED = (
    "House", "Letter", "Errand", "Desk", "Sight", "Telling", "Marks", "Paper", "Way", "Asking", "BREATH", "REST",
)  # fmt: skip
FILES = ("letters", "forms", "making", "lacking", "guesses", "counted", "withdrawn", "doing")
KINDS, NAMES = "class|def|function|interface|type|const", "|".join(VANISHED)
DEFINED = re.compile(rf"^\s*(?:export )?(?:{KINDS}) (?:{NAMES})\b|^(?:{NAMES}) =")


def sources() -> list[Path]:
    return [
        file
        for place in CODE
        for kind in ("*.py", "*.ts", "*.tsx")
        for file in (ROOT / place).rglob(kind)
        if "static" not in file.parts
    ]


def test_no_private_metaphor_is_a_name() -> None:
    files = sources()
    assert len(files) > 700
    found = {
        f"{file.relative_to(ROOT)}: {line.strip()}"
        for file in files
        for line in file.read_text().splitlines()
        if DEFINED.match(line)
    }
    assert found == set()
    assert {str(file.relative_to(ROOT)) for file in files if file.stem in FILES} == set()


def test_what_is_looked_for_would_be_found() -> None:
    for line in ("class House:", "    def Paper(self) -> None:", "BREATH = 0.05", "export function Way() {"):
        assert DEFINED.match(line), line


REFERENCE = re.compile(r"`(velocity(?:\.\w+)+)`")
SUBPROTOCOL = "velocity.serial"


def is_there(reference: str) -> bool:
    """Whether a module, or something in it, has that name."""
    found: object = velocity
    name = "velocity"
    for part in reference.split(".")[1:]:
        name = f"{name}.{part}"
        if hasattr(found, part):
            found = getattr(found, part)
        elif part not in getattr(found, "__annotations__", {}):
            try:
                found = importlib.import_module(name)
            except ImportError:
                return False
    return True


def test_what_docstrings_refer_to_is_there() -> None:
    """A name that was changed is changed where it is spoken of, too."""
    told = {one for file in sources() if file.suffix == ".py" for one in REFERENCE.findall(file.read_text())}
    assert len(told) > 20
    assert {one for one in told - {SUBPROTOCOL} if not is_there(one)} == set()
    assert not is_there("velocity.changes.NoSuchName")


FILE = re.compile(r"`(?:[\w./]*/)?(\w+\.(?:py|tsx?))(?:[: ][^`]*)?`")


def test_files_that_the_documents_name_are_there() -> None:
    """A file that was moved is called otherwise where it is spoken of, too."""
    root = Path(velocity.__file__).parents[2]
    documents = [*root.glob("*.md"), *root.glob("docs/**/*.md")]
    named = {one for file in documents if file.name != "CHANGELOG.md" for one in FILE.findall(file.read_text())}
    there = {
        file.name for place in ("src", "tests", "scripts", "bench", "web/src") for file in root.glob(f"{place}/**/*")
    }
    assert len(named) > 60
    assert named - there == set()


TOLD = re.compile(r"\bVM \{")
UNKNOWN = "there is no VM {"


def plain(text: ast.JoinedStr) -> str:
    """With { for each value."""
    return "".join(str(one.value) if isinstance(one, ast.Constant) else "{" for one in text.values)


def test_no_message_of_the_server_calls_a_vm_by_its_id_or_by_a_name_that_is_not_asked_for() -> None:
    """`Keeper.called` is its name, as far as who reads the message may view it."""
    root = Path(velocity.__file__).parent
    found = {
        f"{file.relative_to(root)}: {ast.unparse(text)}"
        for file in root.rglob("*.py")
        if file.relative_to(root).parts[0] not in ("cli", "client", "contract")
        for text in ast.walk(ast.parse(file.read_text()))  # which has joined what goes over several lines
        if isinstance(text, ast.JoinedStr) and TOLD.search(plain(text).replace(UNKNOWN, ""))
    }
    assert found == {"machines/run/life.py: f'VM {machine.name!r}'"}
    two_lines = ast.parse('("on " f"VM " f"{vmid}")', mode="eval").body
    assert isinstance(two_lines, ast.JoinedStr) and TOLD.search(plain(two_lines))


DEFINITION = re.compile(r"\b(?:def|class|function|const) (\w+)")
CALLED = re.compile(r"`(?:(\w+)\.)?(\w+)\(\)`|(\w+)\.py: (\w+)")


def called(text: str) -> set[tuple[str, str]]:
    """Of `foo()`, `module.foo()` and `file.py: Name` in a document: the module, if any, and the name."""
    return {(one[0] or one[2], one[1] or one[3]) for one in CALLED.findall(text)}


def test_what_the_documents_call_is_there() -> None:
    root = Path(velocity.__file__).parents[2]
    defined: dict[str, set[str]] = {"": set()}
    for file in sources():
        here = set(DEFINITION.findall(file.read_text()))
        defined.setdefault(file.stem, set()).update(here)
        defined[""] |= here

    def missing(text: str) -> set[tuple[str, str]]:
        return {(module, name) for module, name in called(text) if name not in defined.get(module, defined[""])}

    documents = [file for file in (*root.glob("*.md"), *root.glob("docs/**/*.md")) if file.name != "CHANGELOG.md"]
    assert sum(len(called(file.read_text())) for file in documents) > 10
    assert {file.name: found for file in documents if (found := missing(file.read_text()))} == {}
    assert missing("`plan.stop_here()`, `plan.ends()` and `access/lasting.py: NoSuchClass`") == {
        ("plan", "ends"), ("lasting", "NoSuchClass"),
    }  # fmt: skip


def test_every_room_has_its_place_in_the_architecture() -> None:
    root = Path(velocity.__file__).parent
    text = (root.parents[1] / "docs" / "architecture.md").read_text().partition("## The rooms")[2]
    listed = [one for row in re.findall(r"^\| (`.*?) \|", text, re.M) for one in re.findall(r"`([\w.]+)`", row)]
    rooms = {file.name for file in root.iterdir() if file.is_dir() or file.suffix == ".py"}
    assert sorted(listed) == sorted(rooms - {"__init__.py", "__main__.py", "__pycache__"})


def test_the_rooms_of_machines_are_listed_in_the_order_of_their_imports() -> None:
    root = Path(velocity.__file__).parents[2]
    text = (root / "docs" / "architecture.md").read_text().partition("## The rooms")[2]
    listed = [re.findall(r"`(\w+)(?:\.py)?`", one) for one in re.findall(r"^\d+\. (`.*?`): ", text, re.M)]
    contracts = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(one["layers"] for one in contracts if one.get("containers") == ["velocity.machines"])
    assert listed == [layer.split(" | ") for layer in layers]
