"""`velocity pool show`: a pool on each of its hosts, and what a group may do there and by whom."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.people import member
from tests.host import Host, hosting
from tests.hosts.sharing import MPID, Shared
from tests.hosts.together import attaching


@pytest.mark.holds("MANY-195")
def test_a_pool_of_one_host_and_by_whom_a_group_has_it(host: Host) -> None:
    host.ok("group", "create", "team")
    host.ok("group", "create", "web", "--parent", "team")
    host.ok("pool", "assign", "default", "team", "--quota", "1G", "--write", "--manage")
    host.ok("media", "create", "disk", "--size", "64M", "--group", "web")
    shown = host.ok("pool", "show", "default", "--group", "web")
    said = {line[:14].strip(): line[14:] for line in shown.splitlines()}
    assert said["name"] == "default (id:1)"
    assert said["state"] == "online"
    assert " free of " in said["space"]
    assert said["media"] == "1 of team/web, 64.0 MiB with those of the groups below"
    assert said["rights"] == "write and manage, given by team"
    assert said["quota"] == "1.0 GiB, 960 MiB of it left"
    assert said["page"].startswith(f"{host.url}/groups/")
    host.ok("pool", "revoke", "default", "team")
    gone = host.run("pool", "show", "default", "--group", "web")
    assert (gone.exit_code, "is not available to team/web" in gone.stderr) == (4, True)


@pytest.mark.holds("MANY-195")
def test_who_may_see_no_hosts_is_shown_what_they_may(host: Host) -> None:
    host.ok("group", "create", "team")
    host.ok("pool", "assign", "default", "team", "--write")
    rosa = member(host, "rosa", "team", holds="pool.list group.view")
    shown = json.loads(rosa.ok("pool", "show", "default", "--json"))
    assert (shown["pool"]["name"], shown["hosts"], shown["given_by"]) == ("default", [], "team")
    assert "media" not in shown


@pytest.mark.holds("MANY-196")
def test_a_shared_pool_is_shown_on_each_host_with_the_cure(tmp_path: Path) -> None:
    shared = Shared(tmp_path, "b", "c")
    shared.others[1].mounted.unmount()
    with hosting(tmp_path / "data", attach=attaching(*shared.others), pools=shared.pools()) as host:
        host.ok("media", "create", "disk", "--size", "1M", "--pool", f"id:{MPID}")
        shown = host.run("pool", "show", f"id:{MPID}")
        lines = [line.split() for line in shown.stdout.splitlines()]
        rows = {words[0]: words[1] for words in lines if words and words[0] in ("b", "c")}
        assert rows == {"b": "online", "c": "away"}
        assert "shared by hosts" in shown.stdout
        assert "does not reach the storage of the shared pool 7 ('shared')" in shown.stderr
