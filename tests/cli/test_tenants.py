"""The page on teams, as it stands: each of its commands works, and what it promises holds."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

from tests.host import Host

PAGE = Path(__file__).parents[2] / "docs" / "tenants.md"
PASSWORD = "a first password"


def commands() -> list[list[str]]:
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return [shlex.split(line)[1:] for block in blocks for line in block.splitlines()]


def test_two_teams_by_the_page_alone(host: Host) -> None:
    assert len(commands()) < 20
    said = {}
    for words in commands():
        typed = f"{PASSWORD}\n{PASSWORD}\n" if words[:2] == ["user", "create"] else None
        said[" ".join(words)] = host.ok(*words, typed=typed)
    assert said["why vm.create --user anna --group web"].startswith("yes")
    assert said["why vm.create --user ben --group web"].startswith("no")
    assert said["why set_quota --user anna --group web"].startswith("no")
    assert "16.0 GiB" in said["group quota web"]
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
    assert "create_vm" in host.ok("history", "--group", "lab", "--match", "name=small")
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
