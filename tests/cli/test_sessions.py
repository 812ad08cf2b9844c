"""`velocity session`: where one is signed in."""

from __future__ import annotations

import json

from tests.api.world import PASSWORD
from tests.host import Host
from velocity.client import Client


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
