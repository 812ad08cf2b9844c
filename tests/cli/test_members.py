"""What a member of a team types: the group goes without saying where there is one only."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from tests.cli.people import member, signed_in
from tests.host import Host
from velocity.cli.main import velocity
from velocity.client import Client


def requests(host: Host) -> dict[str, int]:
    """How many there were of each operation."""
    with Client(host.url, host.key) as client:
        text = client.send("GET", "/metrics").decode()
    found: dict[str, int] = {}
    for name, count in re.findall(r'velocity_requests_total\{operation="(\w+)",[^}]*\} ([0-9.]+)', text):
        found[name] = found.get(name, 0) + int(float(count))
    return found


def asked(host: Host, one: Host, *words: str) -> dict[str, int]:
    """What one command asks the server."""
    before = requests(host)
    one.ok(*words)
    return {name: more for name, count in requests(host).items() if (more := count - before.get(name, 0))}


def completed(one: Host, *words: str) -> list[str]:
    """What the shell would offer for the last word."""
    with pytest.MonkeyPatch.context() as patch:
        for word in ("VELOCITY_AUTHKEY", *one.environment):
            patch.delenv(word, raising=False)
        for word, value in one.environment.items():
            patch.setenv(word, value)
        completion = ShellComplete(velocity, {}, "velocity", "_VELOCITY_COMPLETE")
        return [item.value for item in completion.get_completions(list(words[:-1]), words[-1])]


def test_a_member_of_one_group_names_no_group(teams: Host, tmp_path: Path) -> None:
    rosa = member(teams, "rosa", "red")
    (tmp_path / "a.iso").write_bytes(b"x" * 512)
    assert "vm create" in rosa.run("vm", "list").stderr, "there is none, and a hint that works as it is printed"
    rosa.ok("media", "upload", str(tmp_path / "a.iso"))
    rosa.ok("media", "create", "disk", "--size", "1M")
    rosa.ok("vm", "create", "build1", "--memory", "64M", "--media", "disk:block", "--media", "a.iso:usb:ro")
    assert [one["name"] for one in json.loads(rosa.ok("vm", "list", "--json"))["vms"]] == ["build1"]
    assert "red" in rosa.ok("vm", "list"), "the group by its path"
    assert "a.iso" in rosa.ok("media", "list")
    assert "default" in rosa.ok("pool", "list")
    teams.hypervisor.faults.deaf = True
    for verb in ("start", "pause", "resume"):
        rosa.ok("vm", verb, "build1")
    patient = rosa.run("vm", "stop", "build1", "--timeout", "0.1")
    hint = re.search(r"to power it off: `velocity (vm stop .*)`", patient.stderr)
    assert hint is not None, (patient.output, patient.exception)
    rosa.ok(*hint[1].split())
    rosa.ok("vm", "start", "build1")
    patient = rosa.run("vm", "restart", "build1", "--timeout", "0.1")
    assert "(restarting)" in rosa.ok("vm", "show", "build1")
    hint = re.search(r"to power it off now: `velocity (vm restart .*)`", patient.stderr)
    assert hint is not None, (patient.output, patient.exception)
    assert "build1 is RUNNING" in rosa.ok(*hint[1].split())
    rosa.ok("vm", "stop", "build1", "--force")
    for verb in ("show", "log", "metrics"):
        rosa.ok("vm", verb, "build1")
    rosa.ok("vm", "set", "build1", "--media", "none")
    rosa.ok("media", "clone", "disk", "copy")
    rosa.ok("media", "download", "disk", str(tmp_path / "disk"))
    rosa.ok("task", "list")
    assert "create_vm" in rosa.ok("history", "--vm", "build1")
    rosa.ok("group", "create", "attic")
    assert "red/attic" in rosa.ok("group", "list"), "under the group that is meant"
    rosa.ok("media", "rm", "copy")
    rosa.ok("vm", "rm", "build1")
    rosa.ok("vm", "create", "build3", "--memory", "64M", "--media", "disk:block")
    plan = rosa.run("vm", "clone", "build3", "build4", "--plan")
    assert "medium build4-disk" in plan.output, (plan.output, plan.exception)
    vmid = rosa.ok("vm", "clone", "build3", "build4").strip()
    assert "build4-disk" in rosa.ok("vm", "show", vmid)
    rosa.ok("vm", "clone", "build3", "build5", "--leave", "disk", "--fresh-firmware")
    assert rosa.run("vm", "rm", "build4", "--leave", "build4-disk").exit_code == 2
    rosa.ok("vm", "rm", "build4", "--with-disks", "--leave", "build4-disk")
    rosa.ok("media", "rm", "build4-disk")
    rosa.ok("vm", "move", "build3", "--to", "red/attic", "--plan")
    moved = rosa.run("vm", "move", "build3", "--to", "red/attic")
    assert "build3 is moved with 1 disk" in moved.output + moved.stderr, moved
    assert "build3" in rosa.ok("vm", "list", "--group", "red/attic")
    rosa.ok("vm", "move", "build3", "--to", "red", "--group", "red/attic")
    for number in "35":
        rosa.ok("vm", "rm", f"build{number}")
    rosa.ok("vm", "create", "build2", "--memory", "64M", "--media", "disk:block", "--media", "a.iso:usb:ro")
    assert "build2 with its disks" in rosa.run("vm", "rm", "build2", "--with-disks").stderr
    listed = rosa.ok("media", "list")
    assert ("disk" in listed, "a.iso" in listed) == (False, True)
    assert "red" in rosa.ok("trash", "list")


def test_the_group_that_is_meant_costs_one_request_and_root_none(teams: Host) -> None:
    root = signed_in(teams, "root", "correct horse")
    assert asked(teams, root, "vm", "list") == {"list_vms": 1}
    root.ok("vm", "create", "web", "--memory", "64M")
    assert asked(teams, root, "vm", "stop", "web") == {"list_vms": 1, "set_vm_state": 1}
    rosa = member(teams, "rosa", "red")
    assert asked(teams, rosa, "media", "list") == {"list_groups": 1, "list_media": 1}
    by_key = {**teams.environment, "VELOCITY_LISTEN": teams.url.removeprefix("http://")}
    del by_key["VELOCITY_AUTHKEY"], by_key["VELOCITY_SERVER"]
    assert asked(teams, replace(teams, environment=by_key), "media", "list") == {"list_media": 1}, "the key file"


def test_an_id_needs_no_group(teams: Host, tmp_path: Path) -> None:
    teams.ok("media", "create", "disk", "--size", "1M", "--group", "red")
    mid = json.loads(teams.ok("media", "list", "--group", "red", "--json"))["media"][0]["mid"]
    vmid = teams.ok("vm", "create", "build1", "--memory", "64M", "--group", "red", "--media", "disk").strip()
    both = member(teams, "otto", "red", "blue")
    for one in (teams, both, member(teams, "rosa", "red")):
        assert json.loads(one.ok("vm", "show", vmid, "--json"))["name"] == "build1"
    both.ok("vm", "start", vmid)
    both.ok("vm", "stop", vmid, "--force")
    both.ok("vm", "set", vmid, "--media", "disk:block")
    both.ok("media", "download", mid, str(tmp_path / "disk"))
    both.ok("vm", "rm", vmid)
    both.ok("media", "rm", mid)
    assert json.loads(both.ok("media", "list", "--group", "red", "--json")) == {"media": []}


def test_digits_are_a_name_first_and_in_a_group_that_is_named_those_of_it(teams: Host) -> None:
    first = teams.ok("vm", "create", "web", "--memory", "64M").strip()
    other = teams.ok("vm", "create", first, "--memory", "64M", "--group", "red").strip()
    unclear = teams.run("vm", "show", first)
    assert unclear.exit_code == 2 and f"id:{first}" in unclear.stderr and f"id:{other}" in unclear.stderr
    assert json.loads(teams.ok("vm", "show", f"id:{first}", "--json"))["name"] == "web"
    assert json.loads(teams.ok("vm", "show", first, "--group", "red", "--json"))["name"] == first
    assert json.loads(teams.ok("vm", "show", first, "--group", "blue", "--json"))["name"] == "web"


def test_who_is_in_several_groups_names_one(teams: Host) -> None:
    both = member(teams, "otto", "red", "blue")
    for words in (("vm", "list"), ("media", "create", "x", "--size", "1M"), ("task", "list"), ("history",)):
        refused = both.run(*words)
        assert refused.exit_code == 2
        assert "you are in several groups (red, blue): choose one with --group" in refused.stderr
    both.ok("vm", "list", "--all")
    both.ok("vm", "create", "build1", "--memory", "64M", "--group", "red")
    assert "build1 in red is RUNNING" in both.ok("vm", "start", "build1"), "one of that name is clear enough"
    both.ok("vm", "create", "build1", "--memory", "64M", "--group", "blue")
    unclear = both.run("vm", "stop", "build1")
    assert unclear.exit_code == 2
    assert "red, blue each have a VM named 'build1': choose one with --group" in unclear.stderr
    both.ok("vm", "stop", "build1", "--group", "red")
    nothing = both.run("vm", "show", "build9")
    assert nothing.exit_code == 4
    assert "you see no VM named 'build9'" in nothing.stderr
    assert both.run("vm", "show", "build1", "--group", "nowhere").exit_code == 4
    nobody = member(teams, "nemo")
    assert nobody.run("vm", "list").exit_code == 3


def test_a_subgroup_of_ones_own_group_is_no_second_one(teams: Host) -> None:
    teams.ok("group", "create", "attic", "--parent", "red")
    rosa = member(teams, "rosa", "red", "red/attic")
    rosa.ok("vm", "create", "build1", "--memory", "64M")
    rosa.ok("vm", "create", "build2", "--memory", "64M", "--group", "attic")
    assert [one["name"] for one in json.loads(rosa.ok("vm", "list", "--json"))["vms"]] == ["build1"]
    assert "build2 in red/attic is RUNNING" in rosa.ok("vm", "start", "build2")
    rosa.ok("vm", "create", "build2", "--memory", "64M")
    assert "build2 is RUNNING" in rosa.ok("vm", "start", "build2"), "the group that is meant comes first"


def test_a_name_is_looked_for_where_one_sees_something_only(teams: Host) -> None:
    teams.ok("vm", "create", "secret", "--memory", "64M", "--group", "blue")
    rosa = member(teams, "rosa", "red")
    refused = rosa.run("vm", "show", "secret")
    assert refused.exit_code == 4
    assert "blue" not in refused.stderr
    assert "secret in blue is RUNNING" in teams.ok("vm", "start", "secret"), "root sees it"
    ivan = member(teams, "ivan", "red", holds="media.list")
    assert ivan.run("vm", "show", "secret").exit_code == 3, "he may not even look in his own group"


def test_media_of_the_group_come_before_those_of_others(teams: Host) -> None:
    for group in ("/", "red"):
        teams.ok("media", "create", "disk", "--size", "1M", "--group", group)
    teams.ok("media", "create", "installer", "--size", "1M")
    words = ("--memory", "64M", "--group", "red", "--media", "disk", "--media", "installer:ro")
    teams.ok("vm", "create", "build1", *words)
    attached = [one["mid"] for one in json.loads(teams.ok("vm", "show", "build1", "--json"))["media"]]
    red, root = (
        {one["name"]: one["mid"] for one in json.loads(teams.ok("media", "list", "--group", group, "--json"))["media"]}
        for group in ("red", "/")
    )
    assert attached == [red["disk"], root["installer"]]


def test_completion_offers_what_one_sees(teams: Host) -> None:
    teams.ok("vm", "create", "build1", "--memory", "64M", "--group", "red")
    teams.ok("vm", "create", "build2", "--memory", "64M", "--group", "blue")
    teams.ok("media", "create", "disk", "--size", "1M", "--group", "red")
    rosa = member(teams, "rosa", "red")
    assert completed(rosa, "vm", "start", "bu") == ["build1"]
    assert completed(rosa, "media", "rm", "") == ["disk"]
    assert completed(rosa, "vm", "list", "--group", "r") == ["red"]
    assert completed(teams, "vm", "start", "bu") == ["build1", "build2"]
    assert completed(teams, "vm", "start", "--group", "blue", "bu") == ["build2"]
