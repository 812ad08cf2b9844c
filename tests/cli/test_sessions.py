"""`velocity session`: where one is signed in."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.api.world import PASSWORD
from tests.cli.test_plain import VELOCITY
from tests.host import Host
from tests.patience import PATIENCE, at_last
from velocity.cli.connection import SavedSession
from velocity.client import Client, HeldSession


def test_sessions_are_listed_and_ended(host: Host) -> None:
    with Client(host.url) as other:
        other.authkey = other.sign_in(name="root", password=PASSWORD).authkey
        (current,) = [one.sid for one in other.list_sessions().sessions if one.current]
        listed = host.ok("session", "list")
        assert "this one" in listed
        assert current in listed
        assert "velocity/" in listed, "the programs are named"
        found = json.loads(host.ok("session", "list", "--json"))["sessions"]
        assert len(found) == 2
        assert "would delete session" in host.ok("session", "end", current, "--plan")
        assert other.show_user().uid == 0
        assert "ended 1 session" in host.run("session", "end", current).stderr
        assert host.run("session", "end", current).exit_code == 4
        other.authkey = other.sign_in(name="root", password=PASSWORD).authkey
        host.ok("session", "end", "--others")
        assert len(json.loads(host.ok("session", "list", "--json"))["sessions"]) == 1
    assert host.run("session", "end").exit_code == 2
    assert host.run("session", "end", "x", "--others").exit_code == 2
    own = next(one["sid"] for one in found if one["current"])
    host.ok("session", "end", own)
    assert host.run("whoami").exit_code == 3


def is_at_the_lock(pid: int) -> bool:
    """Whether it has opened the lock, for which it waits then."""
    opened: list[str] = []
    for one in Path(f"/proc/{pid}/fd").glob("*"):
        with contextlib.suppress(OSError):
            opened.append(one.readlink().name)
    return "session.lock" in opened


@pytest.mark.holds("CLI-55")
def test_of_two_commands_that_save_a_session_at_once_none_takes_the_others_away(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One renews its session while somebody signs in to another server, and signs out of it."""
    monkeypatch.setenv("XDG_CONFIG_HOME", host.environment["XDG_CONFIG_HOME"])
    host.ok("login", "root", "--password-stdin", typed=PASSWORD)
    first, other = SavedSession(host.url), f"http://localhost:{host.url.rpartition(':')[2]}"
    environment = {k: v for k, v in (os.environ | host.environment).items() if k != "VELOCITY_AUTHKEY"}

    def beside(*words: str) -> None:
        """Begun while it is the turn of the renewal, which reads before and writes after that."""
        with first.turn():
            held = first.read()
            assert held is not None
            begun = subprocess.Popen(
                [VELOCITY, "--server", other, *words], stdin=subprocess.PIPE, env=environment, text=True
            )
            assert begun.stdin is not None
            begun.stdin.write(PASSWORD + "\n")
            begun.stdin.close()
            at_last(lambda: begun.poll() is not None or is_at_the_lock(begun.pid), "the command to have asked")
            first.write(HeldSession(f"of {words[0]}", held.issued, held.expires))
        assert begun.wait(PATIENCE) == 0

    beside("login", "root", "--password-stdin")
    kept = first.read()
    assert kept is not None and kept.authkey == "of login"
    assert SavedSession(other).read() is not None, "and the other one is kept, too"
    beside("logout")
    kept = first.read()
    assert kept is not None and kept.authkey == "of logout"
    assert SavedSession(other).read() is None


def test_saved_sessions_that_cannot_be_read_are_none(host: Host, tmp_path: Path) -> None:
    file = Path(host.environment["XDG_CONFIG_HOME"]) / "velocity" / "session.json"
    file.parent.mkdir(parents=True)
    for content in (b"", b"\xff\xfe", b"[]"):
        file.write_bytes(content)
        host.ok("whoami")
    host.ok("login", "root", "--password-stdin", typed=PASSWORD)
    assert json.loads(file.read_bytes())["names"] == {host.url: "root"}
    assert sorted(one.name for one in file.parent.iterdir()) == ["session.json", "session.lock"]


@pytest.mark.holds("CLI-62")
def test_an_authkey_that_cannot_be_one_is_told_as_that_and_not_as_a_lost_connection(host: Host) -> None:
    assert host.run("whoami", VELOCITY_AUTHKEY=f"{host.key}\r\n").exit_code == 0
    for wrong in ("a\nb", "schlüssel"):
        refused = host.run("whoami", VELOCITY_AUTHKEY=wrong)
        assert refused.exit_code == 1 and "VELOCITY_AUTHKEY has characters that are in no authkey" in refused.stderr
