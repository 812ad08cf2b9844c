"""Rules about the repository itself."""

from __future__ import annotations

import re
import shutil
import subprocess
import zipfile
from pathlib import Path

from hatchling.builders.wheel import WheelBuilder

from velocity.api.page import STATIC

ROOT = Path(__file__).resolve().parents[2]


def tracked(*patterns: str) -> list[Path]:
    done = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in done.stdout.splitlines() if (ROOT / name).is_file()]


def test_every_module_opens_with_what_it_owns() -> None:
    for file in tracked("src/*.py"):
        assert file.read_text().startswith('"""'), file


def test_files_have_one_subject() -> None:
    for file in tracked("src/*.py"):
        assert len(file.read_text().splitlines()) <= 400 or file.name.endswith("methods.py"), file
        assert not re.search(r"(utils?|helpers?|common|manager)\.py$", file.name), file


def test_lock_files_name_no_host() -> None:
    for file in tracked("requirements/*.txt"):
        text = file.read_text()
        assert "://" not in text, file
        assert "--index-url" not in text, file
        assert all("==" in line for line in text.splitlines() if re.match(r"\w", line)), file


LINK = re.compile(r"""(?:\]\(|src=["]|srcset=["])([^)#\s"]+)""")


def test_links_in_the_documents_lead_somewhere() -> None:
    linked = set()
    for file in tracked("*.md"):
        for target in LINK.findall(file.read_text()):
            if "://" not in target:
                assert (file.parent / target).exists(), f"{file.name}: {target}"
                linked.add((file.parent / target).resolve())
    assert set(tracked("docs/pictures/*")) <= linked, "a picture that no document shows"


def test_the_tests_that_documents_name_are_there() -> None:
    for file in tracked("*.md"):
        for path, test in re.findall(r"(tests/[\w/]+\.py)(?:::(\w+))?", file.read_text()):
            assert (ROOT / path).is_file(), f"{file.name}: {path}"
            assert not test or f"def {test}(" in (ROOT / path).read_text(), f"{file.name}: {path}::{test}"


def test_the_wheel_has_the_built_page(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore", "src/velocity/__init__.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    asset = tmp_path / STATIC.relative_to(ROOT) / "assets" / "main-1a2b.js"
    asset.parent.mkdir(parents=True)
    asset.write_text("page")
    wheel = next(WheelBuilder(str(tmp_path)).build(directory=str(tmp_path / "dist"), versions=["standard"]))
    assert "velocity/api/static/assets/main-1a2b.js" in zipfile.ZipFile(wheel).namelist()


def test_make_lists_every_command_in_80_columns() -> None:
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    lines = shown.stdout.splitlines()
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
    assert [line.split()[1] for line in lines] == targets and len(targets) > 20
    assert [line for line in lines if len(line) > 80] == []
