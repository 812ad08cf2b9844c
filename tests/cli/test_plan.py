"""`--plan` of the verbs that change something: what they say, and that nothing is done."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from tests.host import Host
from velocity.cli.main import velocity
from velocity.storage.directory.places import MARK

AREAS = ("user", "group", "vm", "media", "pool", "trash", "task")
READING = {"list", "show", "wait", "console", "download", "screen", "log", "find", "metrics", "command", "uploads"} | {
    "guest"
}


def planned(host: Host, *words: str, typed: str | None = None) -> list[str]:
    """What the verb would do, line by line."""
    result = host.run(*words, "--plan", typed=typed)
    assert result.exit_code == 0, (result.output, result.exception)
    said = result.stdout.splitlines()
    assert result.stderr.splitlines()[-1] == ("nothing was changed" if said else "nothing would change")
    return said


def test_every_verb_that_changes_something_has_it() -> None:
    context = click.Context(velocity)
    for area in AREAS:
        verbs = velocity.get_command(context, area)
        assert isinstance(verbs, click.Group)
        with_plan = {name for name, verb in verbs.commands.items() if any(one.name == "plan" for one in verb.params)}
        assert with_plan == set(verbs.commands) - READING, area


def test_vms(host: Host) -> None:
    host.ok("media", "create", "system", "--size", "2M")
    words = ("vm", "create", "web", "--cpus", "2", "--memory", "64M", "--media", "system:block")
    assert planned(host, *words) == ["would create vm web in /", "would take 2 CPUs, 64.0 MiB, 1 VM in /"]
    assert json.loads(host.ok("vm", "list", "--json")) == {"vms": []}
    host.ok(*words)
    assert planned(host, "vm", "set", "web", "--cpus", "1", "--autostart", "--memory", "1G") == [
        "would change vm web (1) in /: cpus 2 -> 1, memory 64.0 MiB -> 1.0 GiB, autostart no -> yes",
        "would take 960 MiB and give back 1 CPU in /",
    ]
    assert planned(host, "vm", "start", "web") == ["would start vm web (1) in /"]
    assert planned(host, "vm", "stop", "web") == []
    assert host.run("vm", "rm", "nobody", "--plan").exit_code == 4, "what refuses the verb refuses its plan"
    assert host.run(*words, "--plan").exit_code == 1
    host.ok("vm", "start", "web")
    assert host.run("vm", "rm", "web", "--plan").exit_code == 1, "it runs"
    plan = json.loads(host.ok("vm", "stop", "web", "--force", "--plan", "--json"))
    assert plan["steps"] == [{"do": "kill", "kind": "vm", "name": "web", "id": 1, "gid": 0}]
    assert "RUNNING" in host.ok("vm", "list")


def test_what_can_only_follow_is_said(host: Host, tmp_path: Path) -> None:
    host.ok("vm", "create", "web", "--memory", "64M")
    assert planned(host, "vm", "rm", "web", "--force")[0] == "would delete vm web (1) in /"
    host.ok("vm", "start", "web")
    result = host.run("vm", "rm", "web", "--force", "--plan")
    assert result.stdout.splitlines() == ["would kill vm web (1) in /"]
    assert "web would be removed after it has stopped" in result.stderr
    assert "RUNNING" in host.ok("vm", "list")
    image = tmp_path / "disk.vmdk"
    image.write_bytes(b"x" * 4096)
    imported = host.run("media", "import", str(image), "--plan")
    assert imported.stdout.startswith("would create medium import of disk.vmdk")
    assert "after the upload" in imported.stderr
    assert json.loads(host.ok("media", "list", "--json")) == {"media": []}


def test_media(host: Host, tmp_path: Path) -> None:
    image = tmp_path / "Häuser.iso"
    image.write_bytes(b"x" * 4096)
    assert planned(host, "media", "upload", str(image)) == [
        "would create medium Häuser.iso in /",
        "would take 4.0 KiB of pool default in /",
    ]
    result = host.run("media", "upload", str(image), "--plan")
    assert result.stderr == "nothing was changed\n", "no progress of what does not happen"
    assert not [file for file in (host.data / "media").rglob("*") if file.is_file() and file.name != MARK.name]
    host.ok("media", "upload", str(image))
    assert host.run("media", "upload", str(image), "--plan").exit_code == 1, "the name is taken"
    assert planned(host, "media", "clone", "Häuser.iso", "copy")[0] == "would create medium copy in /"
    host.ok("media", "rm", "Häuser.iso")
    assert planned(host, "trash", "restore", "Häuser.iso")[1] == "would take 4.0 KiB of pool default in /"
    assert planned(host, "trash", "empty")[0].startswith("would purge medium Häuser.iso (")
    assert "Häuser.iso" in host.ok("trash", "list")


@pytest.mark.holds("CLI-48")
def test_teams(host: Host) -> None:
    assert planned(host, "group", "create", "team") == ["would create group team in /"]
    host.ok("group", "create", "team")
    host.ok("user", "create", "bob", "--password-stdin", typed="a password\n")
    assert planned(host, "user", "grant", "bob", "vm.view", "vm.state", "--group", "team") == [
        "would grant vm.view to user bob (1) on team",
        "would grant vm.state to user bob (1) on team",
    ]
    host.ok("user", "grant", "bob", "vm.view", "vm.state", "--group", "team")
    assert planned(host, "user", "grant", "bob", "vm.view", "--group", "team") == []
    assert planned(host, "user", "revoke", "bob", "--group", "team") == [
        "would revoke vm.view, vm.state from user bob (1) on team"
    ]
    assert planned(host, "user", "passwd", "bob", "--password-stdin", typed="another one\n") == [
        "would change user bob (1): password"
    ]
    host.ok("group", "quota", "team", "--memory", "4G")
    assert planned(host, "group", "quota", "team", "--memory", "none", "--vms", "3") == [
        "would change group team (1): memory 4.0 GiB -> none, vms 3"
    ]
    assert planned(host, "group", "quota", "team") == [], "it only shows"
    assert planned(host, "pool", "assign", "1", "team", "--quota", "5G", "--write") == [
        "would assign pool default (1) to team: quota 5.0 GiB, write yes, manage no"
    ]
    host.ok("pool", "assign", "1", "team")
    assert planned(host, "pool", "revoke", "1", "team") == ["would revoke pool default (1) from team"]
    assert planned(host, "group", "rm", "team") == ["would delete group team (1)"], "and nobody is asked"
    assert "team" in host.ok("group", "list")
