"""What the command line says to whoever may not do something: where, and what would help."""

from __future__ import annotations

import pytest

from tests.cli.people import member
from tests.host import Host


def test_a_refusal_names_the_group_and_the_option_that_helps(teams: Host, capsys: pytest.CaptureFixture[str]) -> None:
    rosa = member(teams, "rosa", "red", holds="viewer")
    assert rosa.run("vm", "list", "--group", "/").exit_code == 3
    said = capsys.readouterr().err
    assert "you need velocity.vm.view on /, and hold it on red" in said
    assert "choose your group with --group red" in said
    assert rosa.run("media", "create", "disk", "--size", "1M").exit_code == 3
    said = capsys.readouterr().err
    assert "you need velocity.media.create on red: ask someone" in said
    assert "--group" not in said, "no other group would do"
    teams.ok("user", "grant", "rosa", "vm.view", "--group", "blue")
    rosa.run("vm", "list", "--group", "/")
    assert "choose one of your groups with --group: blue, red" in capsys.readouterr().err


def test_a_name_that_a_shell_would_take_apart_is_quoted(teams: Host, capsys: pytest.CaptureFixture[str]) -> None:
    teams.ok("group", "create", "night shift")
    rosa = member(teams, "rosa", "night shift", holds="viewer")
    assert rosa.run("vm", "list", "--group", "/").exit_code == 3
    assert "with --group 'night shift'" in capsys.readouterr().err
