"""The builder of the cloud image: what needs no packages. That it boots is shown by the journey."""

from __future__ import annotations

from pathlib import Path

import pytest

from velocity.cli.demo.image import build, recipe
from velocity.cli.demo.uki import CannotBuild, run


def test_the_cache_answers_without_any_program_and_else_what_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotBuild, match=r"scripts/setup demo|catalogue"):
        build(tmp_path)
    assert list(tmp_path.iterdir()) == [], "nothing is left of it"
    image = tmp_path / f"cloud-{recipe()}.qcow2"
    image.write_bytes(b"x")
    assert build(tmp_path) == image


def test_what_apt_calls_an_error_is_told_rather_than_what_comes_last(tmp_path: Path) -> None:
    with pytest.raises(CannotBuild, match=r"it failed \(E: no such mirror\)"):
        run(["sh", "-c", "echo 'E: no such mirror' >&2; echo 'gave up' >&2; exit 1"], tmp_path, "it failed")
