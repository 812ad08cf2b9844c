"""The short forms of random tests have the same examples wherever they run."""

from __future__ import annotations

import importlib.util
import random
import sys
from pathlib import Path

from hypothesis import Phase, given, seed, settings
from hypothesis import strategies as st


def sample() -> list[tuple[int, str]]:
    drawn: list[tuple[int, str]] = []

    @seed(1)
    @settings(max_examples=200, database=None, phases=[Phase.generate])
    @given(st.integers(), st.text())
    def draw(number: int, text: str) -> None:
        drawn.append((number, text))

    draw()
    return drawn


def test_a_sample_is_the_same_whatever_was_imported(tmp_path: Path) -> None:
    before = sample()
    file = tmp_path / "constants_of_ours.py"
    file.write_text("\n".join(f"a{one} = {random.getrandbits(40)}, 'word {one}'" for one in range(500)))
    spec = importlib.util.spec_from_file_location("constants_of_ours", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["constants_of_ours"] = module
    spec.loader.exec_module(module)
    try:
        assert sample() == before
    finally:
        sys.modules.pop("constants_of_ours")
