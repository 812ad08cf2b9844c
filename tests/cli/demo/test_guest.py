"""The builder of the demo guest: its pure parts. That it boots is shown by the journeys."""

from __future__ import annotations

from pathlib import Path

import pytest

from velocity.cli.demo.command import CONTROL, LONGEST, QUIET, Waiting
from velocity.cli.demo.guest import Guest, build
from velocity.cli.demo.uki import addresses, entry, ordered


def test_a_cpio_member_is_read_back() -> None:
    data = entry("bin/x", b"hello", mode=0o100755)
    assert data[:6] == b"070701"
    fields = [int(data[6 + 8 * index : 14 + 8 * index], 16) for index in range(13)]
    assert (fields[1], fields[6], fields[11]) == (0o100755, 5, len("bin/x") + 1)
    assert data[110:116] == b"bin/x\0"
    assert len(data) % 4 == 0
    assert data[116:121] == b"hello"


def test_modules_come_after_what_they_depend_on() -> None:
    there = {
        "a": lambda: b"\0license=x\0depends=b,c-d\0",
        "b": lambda: b"\0depends=\0",
        "c_d": lambda: b"\0depends=b\0",
    }
    assert list(ordered(("a", "built_in", "b"), there)) == ["b.ko", "c_d.ko", "a.ko"]


def test_sections_lie_behind_the_stub_and_each_other() -> None:
    headers = """
  0 .text         00009c00  0000000140001000  0000000140001000  00000400  2**4
  6 .sbat         00000100  0000000140030000  0000000140030000  00010000  2**2
"""
    assert list(addresses(headers, [10, 0x2001, 5])) == [0x140031000, 0x140032000, 0x140035000]


def test_the_cache_answers_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no apt-get here: whatever needs it would fail
    from velocity.cli.demo.guest import recipe
    from velocity.cli.demo.uki import CannotBuild

    with pytest.raises(CannotBuild, match="--iso"):
        build(tmp_path)
    (tmp_path / f"guest-{recipe()}.iso").write_bytes(b"x")
    (tmp_path / f"guest-{recipe()}.json").write_text('{"kernel": "6.1"}')
    assert build(tmp_path) == Guest(tmp_path / f"guest-{recipe()}.iso", "6.1")
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".draft")] == []


def test_the_firmwares_escape_sequences_are_left_out() -> None:
    assert CONTROL.sub(b"", b"\x1b[2J\x1b[01;01H\x1b[=3hBdsDxe") == b"BdsDxe"


def test_a_slow_guest_is_waited_for_as_long_as_it_says_something() -> None:
    now = [0.0]
    waiting = Waiting(QUIET, LONGEST, lambda: now[0])
    for _ in range(10):  # many times what a fast host needs
        now[0] += QUIET - 1
        assert not waiting.is_over()
        waiting.heard()
    now[0] += QUIET + 1
    assert waiting.is_over(), "it says nothing any more"
    waiting.heard()
    assert not waiting.is_over()
    now[0] = LONGEST + 1
    waiting.heard()
    assert waiting.is_over(), "it says something for ever, and is never ready"
