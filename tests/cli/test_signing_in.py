"""Signing in, and passwords."""

from __future__ import annotations

import pytest

from tests.cli.people import PASSWORD, member
from tests.host import Host

NEW = "another password"


def test_the_server_may_be_named_behind_login(teams: Host) -> None:
    rosa = member(teams, "rosa", "red")
    rosa.ok("logout")
    elsewhere = "http://127.0.0.1:9"
    del rosa.environment["VELOCITY_SERVER"]
    assert rosa.run("login", "rosa", "--server", elsewhere, "--password-stdin", typed=PASSWORD).exit_code == 5
    signed = rosa.run("login", "rosa", "--server", teams.url, "--password-stdin", typed=PASSWORD)
    assert signed.stderr == f"signed in to {teams.url} as rosa\n"
    assert rosa.ok("whoami").startswith("rosa"), "and it is the server from here on"
    assert rosa.run("whoami", "--server", elsewhere).exit_code == 5
    rosa.ok("logout", "--server", teams.url)


def test_a_password_that_is_too_short_is_not_typed_twice(host: Host) -> None:
    made = host.run("user", "create", "rolf", typed=f"1234567\n{PASSWORD}\nsomething else\n{PASSWORD}\n{PASSWORD}\n")
    assert made.exit_code == 0
    first, second, third = (
        "Error: a password has at least 8 characters", "Repeat for confirmation", "do not match",
    )  # fmt: skip
    assert made.stderr.index(first) < made.stderr.index(second) < made.stderr.index(third)
    assert made.stdout == "1\n"
    for word, wrong in (("short", "at least 8 characters"), ("x" * 1025, "at most 1,024 characters")):
        refused = host.run("user", "create", "otto", "--password-stdin", typed=word)
        assert refused.exit_code == 1
        assert wrong in refused.stderr


def test_whoever_changes_the_own_password_stays_signed_in(teams: Host) -> None:
    rosa = member(teams, "rosa", "red")
    other = member(teams, "otto", "red")
    kept = rosa.environment
    rosa.environment = {**kept, "XDG_CONFIG_HOME": kept["XDG_CONFIG_HOME"] + "/elsewhere"}
    rosa.ok("login", "rosa", "--password-stdin", typed=PASSWORD)
    elsewhere, rosa.environment = rosa.environment, kept
    changed = rosa.run("user", "passwd", "--password-stdin", typed=f"{PASSWORD}\n{NEW}\n")
    assert changed.stderr == "the password is set; your other sessions have ended\n"
    assert rosa.ok("whoami").startswith("rosa")
    assert rosa.run("login", "rosa", "--password-stdin", typed=PASSWORD).exit_code == 3
    rosa.ok("user", "passwd", "rosa", typed=f"{NEW}\n{PASSWORD}\n{PASSWORD}\n")
    assert rosa.ok("whoami").startswith("rosa"), "by name as well, and typed"
    rosa.environment = elsewhere
    assert rosa.run("whoami").exit_code == 3
    assert other.ok("whoami").startswith("otto")
    assert rosa.run("user", "passwd", "--plan", "--password-stdin", typed=f"{NEW}\n{NEW}\n").exit_code == 3


def test_whose_session_is_not_kept_signs_in_again(host: Host) -> None:
    changed = host.run("user", "passwd", "--password-stdin", typed=f"correct horse\n{NEW}\n")
    assert "sign in again with `velocity login`" in changed.stderr, "the authkey is the environment's"
    assert host.run("whoami").exit_code == 3


@pytest.mark.parametrize("user", [(), ("root",)])
def test_the_key_file_stays(host: Host, user: tuple[str, ...]) -> None:
    for name in ("VELOCITY_AUTHKEY", "VELOCITY_SERVER"):
        del host.environment[name]
    host.environment["VELOCITY_LISTEN"] = host.url.removeprefix("http://")
    changed = host.run("user", "passwd", *user, "--password-stdin", typed=f"correct horse\n{NEW}\n")
    assert "the key file is still valid" in changed.stderr
    assert host.ok("whoami").startswith("root")
