"""The page on teams, as it stands: each of its commands works, and what it promises holds."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.people import member
from tests.host import Host, hosting
from velocity.config import PoolSetting, Settings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tenants.md").read_text()
PASSWORD, OWN = "a first password", "nobody else knows"
TYPED = {
    ("user", "create"): f"{PASSWORD}\n{PASSWORD}\n",
    ("user", "passwd"): f"{PASSWORD}\n{OWN}\n{OWN}\n",
    ("login", "anna"): f"{PASSWORD}\n",
}


def blocks() -> list[list[list[str]]]:
    """The commands of the page, block by block."""
    found = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    return [[shlex.split(line)[1:] for line in block.splitlines()] for block in found]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """With the pools that the page declares, each in a directory of the test's own."""
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    declared = tomllib.loads(text)["pools"]
    (first,) = Settings(data_dir=Path("/var/lib/velocity")).media_pools
    assert declared[0] == {"mpid": first.mpid, "name": first.name, "path": str(first.path)}
    pools = [PoolSetting(mpid=one["mpid"], name=one["name"], path=tmp_path / one["name"]) for one in declared]
    with hosting(tmp_path / "data", pools=pools) as made:
        yield made


def test_the_page_counts_its_commands_right() -> None:
    teams, people = blocks()[:2]
    assert len(teams) + len(people) == 12
    assert "Twelve commands set up two teams" in PAGE
    assert "(docs/tenants.md), in twelve commands." in (ROOT / "README.md").read_text()


def test_two_teams_by_the_page_alone(host: Host, tmp_path: Path) -> None:
    without = {name: value for name, value in host.environment.items() if name != "VELOCITY_AUTHKEY"}
    own = {"XDG_CONFIG_HOME": str(tmp_path / "anna"), "VELOCITY_DATA_DIR": str(tmp_path / "anna")}
    anna = replace(host, environment=without | own)
    said = {}
    for block in blocks():
        who = anna if block[0][0] == "login" else host
        for words in block:
            called = [word.replace("https://HOST:8090", host.url) for word in words]
            said[" ".join(words)] = who.ok(*called, typed=TYPED.get((words[0], words[1])))
    assert said["why vm.create --user anna --group web"].startswith("yes")
    assert said["why vm.create --user ben --group web"].startswith("no")
    assert said["why set_quota --user anna --group web"].startswith("no")
    assert "ask: root" in said["why set_quota --user anna --group web"]
    assert "16.0 GiB" in said["group quota web"]
    assert "site" in said["vm list"]
    assert re.search(r"default +yes +yes +200 GiB +20.0 GiB +180 GiB", said["pool list"])
    pools = {one["name"]: one for one in json.loads(host.ok("pool", "list", "--group", "web", "--json"))["pools"]}
    assert pools["fast"]["assigned"] == {"quota": 100 << 30, "write": True, "manage": True}
    kept = json.loads(host.ok("pool", "list", "--group", "lab", "--json"))["pools"][0]["assigned"]
    assert kept == {"quota": 80 << 30, "write": True, "manage": True}, "what is not named stays"
    limits = json.loads(host.ok("group", "quota", "lab", "--json"))["limits"]
    assert limits == {"cpus": 4, "vms": 5}, "and none lifts a limit"
    assert "ben" in anna.ok("user", "list")
    assert anna.run("user", "show", "ben").exit_code == 3, "his name, and not what he holds"
    anna.ok("media", "create", "quick", "--size", "1M", "--pool", "fast")
    assert (tmp_path / "fast").is_dir()
    host.ok("login", "ben", "--password-stdin", typed=PASSWORD + "\n")
    host.environment = {name: value for name, value in host.environment.items() if name != "VELOCITY_AUTHKEY"}
    assert "lab" in host.ok("group", "list")
    assert "web" not in host.ok("group", "list"), "a team does not see the other one"
    refused = host.run("vm", "list", "--group", "1")
    assert refused.exit_code == 3
    assert "velocity why" in str(refused.exception)
    assert host.run("vm", "create", "big", "--group", "lab", "--cpus", "5").exit_code == 1
    host.ok("vm", "create", "small", "--group", "lab", "--memory", "64M")
    host.ok("media", "create", "disk", "--group", "lab", "--size", "1M")
    host.ok("group", "create", "attic", "--parent", "lab")
    host.ok("user", "grant", "cleo", "viewer", "--group", "lab/attic")
    assert "small" in host.ok("vm", "list", "--all", "--state", "stopped", "--sort", "name", "--match", "lab")
    assert "small" not in host.ok("vm", "list", "--all", "--match", "nothing of the kind")
    host.ok("vm", "set", "small", "--group", "lab", "--cpus", "2", "--display", "640x480", "--media", "disk:block")
    shown = json.loads(host.ok("vm", "show", "small", "--group", "lab", "--json"))
    assert (shown["cpus"], len(shown["displays"]), len(shown["media"])) == (2, 1, 1)
    host.ok("vm", "set", "small", "--group", "lab", "--media", "none")
    assert json.loads(host.ok("vm", "show", "small", "--group", "lab", "--json"))["media"] == []
    assert "1" in host.ok("group", "quota", "lab/attic", "--vms", "1")
    assert host.run("group", "quota", "lab/attic", "--vms", "9").exit_code == 1
    assert "-" in host.ok("group", "quota", "lab/attic", "--vms", "none")
    assert host.run("user", "set", "cleo", "--group", "lab").exit_code == 3, "ben may not in web"
    host.ok("user", "revoke", "cleo", "vm.view", "--group", "attic")
    host.ok("user", "revoke", "cleo", "--group", "attic")
    assert "nobody" in host.run("group", "show", "attic").stderr
    host.ok("pool", "assign", "1", "attic", "--quota", "1G")
    assert "1.0 GiB" in host.ok("pool", "list", "--group", "attic")
    host.ok("pool", "revoke", "1", "attic")
    host.ok("group", "rm", "attic", "--yes")
    assert host.run("group", "show", "attic").exit_code == 4
    assert "attic" in host.ok("trash", "list")
    host.ok("trash", "restore", "attic")
    host.ok("group", "show", "attic")
    host.ok("group", "rm", "attic", "--yes")
    host.ok("trash", "rm", "attic")
    assert host.run("trash", "restore", "attic").exit_code == 4
    host.ok("vm", "rm", "small", "--group", "lab")
    host.ok("trash", "empty", "--yes")
    assert "refused 12220" in host.ok("history", "--group", "lab", "--refused")
    assert "create_vm" in host.ok("history", "--group", "lab", "--match", "VM small")
    host.ok("user", "passwd", "--password-stdin", typed=f"{PASSWORD}\nanother password\n")
    assert "ben" in host.ok("whoami"), "the session here goes on"


def test_users_by_name_or_uid(host: Host) -> None:
    host.ok("user", "create", "bob", "--password-stdin", typed="a password\n")
    assert "bob" in host.ok("user", "list")
    assert "uid 1" in host.ok("user", "show", "bob")
    host.ok("user", "passwd", "bob", "--password-stdin", typed="another one\n")
    assert host.run("user", "grant", "bob", "--group", "/").exit_code == 2, "what to grant must be said"
    assert host.run("user", "grant", "bob", "fly", "--group", "/").exit_code == 4
    host.ok("user", "rm", "1", "--yes")
    assert host.run("user", "show", "bob").exit_code == 4


@pytest.mark.holds("CLI-48")
def test_a_user_is_at_home_in_a_group(teams: Host, tmp_path: Path) -> None:
    """The one that is named; else the one group of whoever makes the user."""
    anna, typed = member(teams, "anna", "red"), "a password\n"
    anna.ok("user", "create", "dora", "--password-stdin", typed=typed)
    teams.ok("user", "create", "emil", "--group", "blue", "--password-stdin", typed=typed)
    names = [row.split()[1] for row in teams.ok("user", "list").splitlines()[1:]]
    homes = {name: teams.ok("user", "show", name).splitlines()[0].rpartition(" home group ")[2] for name in names}
    assert homes == {"root": "/", "anna": "/", "dora": "red", "emil": "blue"}
    assert "emil" in anna.ok("user", "list")
    assert "blue" not in anna.ok("user", "list")
    assert "home group red" in teams.ok("user", "show", "dora")
    assert anna.run("user", "set", "emil", "--group", "red").exit_code == 3
    planned = teams.ok("user", "set", "emil", "--group", "red", "--plan")
    assert "would change user emil (3): home blue -> red" in planned
    new = ("user", "create", "max", "--password-stdin")
    assert "would create user max in blue" in teams.ok(*new, "--group", "blue", "--plan", typed=typed)
    teams.ok("user", "set", "emil", "--group", "red")
    anna.ok("user", "passwd", "emil", "--password-stdin", typed="another password\n")
    assert teams.run(*new, "--group", "green", typed=typed).exit_code == 4
    file = tmp_path / "site.toml"
    file.write_text('[[users]]\nname = "emil"\ngroup = "blue"\n[[users]]\nname = "max"\ngroup = "red"\n')
    planned = teams.ok("apply", str(file), "--plan")
    assert "move user emil to blue" in planned
    assert "create user max in red" in planned
    teams.ok("apply", str(file), "--yes")
    assert "nothing to do" in teams.ok("apply", str(file), "--yes")
    assert "home group blue" in teams.ok("user", "show", "emil")
    anna.ok("user", "rm", "max", "--yes")
