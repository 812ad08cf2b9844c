"""`velocity apply`: a VM that its file has in another group than it is in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_apply import written
from tests.host import Host

MOVED = """
[[groups]]
path = "live"
pools = [{ pool = 1, write = true, manage = true }]
[[media]]
name = "sys"
group = "live"
size = "2M"
[[media]]
name = "data"
group = "live"
size = "1M"
[[vms]]
name = "site"
group = "live"
moved-from = "test"
memory = "64M"
cpus = 2
media = ["sys", "data"]
state = "RUNNING"
"""


def on_trial(host: Host) -> int:
    """A VM with a disk, in the group `test`: its vmid."""
    host.ok("group", "create", "test")
    host.ok("pool", "assign", "id:1", "test", "--write", "--manage")
    host.ok("media", "create", "sys", "--size", "1M", "--group", "test", "--format", "raw")
    vmid = int(host.ok("vm", "create", "site", "--memory", "64M", "--group", "test", "--media", "sys"))
    host.ok("vm", "start", "site", "--group", "test")
    return vmid


@pytest.mark.holds("MORE-21")
def test_a_vm_moves_to_the_group_that_the_file_says_with_its_disks(host: Host, tmp_path: Path) -> None:
    vmid = on_trial(host)
    file = written(tmp_path, MOVED)
    assert json.loads(host.ok("apply", file, "--plan", "--json"))["steps"] == [
        "create group live", "assign pool 1 to live", "move VM site from test to live, with its disks",
        "change medium sys in live: size 2M", "create medium data (1M) for live", "change VM site in live: cpus, media",
    ]  # fmt: skip
    host.ok("apply", file, "--yes")
    shown = json.loads(host.ok("vm", "show", "site", "--group", "live", "--json"))
    assert (shown["vmid"], shown["state"], shown["cpus"], len(shown["media"])) == (vmid, "RUNNING", 2, 2)
    media = json.loads(host.ok("media", "list", "--group", "live", "--json"))["media"]
    assert {one["name"]: one["size"] for one in media} == {"sys": 2 << 20, "data": 1 << 20}
    assert json.loads(host.ok("vm", "list", "--group", "test", "--json"))["vms"] == []
    assert "nothing to do" in host.ok("apply", file)
    host.ok("group", "rm", "test", "--yes")
    assert "nothing to do" in host.ok("apply", file), "where it was need not be there any more"


@pytest.mark.holds("MORE-21")
def test_a_vm_moves_back_to_a_group_that_is_there_and_its_plan_is_exact(host: Host, tmp_path: Path) -> None:
    on_trial(host)
    host.ok("apply", written(tmp_path, MOVED), "--yes")
    back = MOVED.replace("live", "here").replace("test", "live").replace("here", "test")
    assert json.loads(host.ok("apply", written(tmp_path, back), "--plan", "--json"))["steps"] == [
        "move VM site from live to test, with its disks"
    ]
    host.ok("apply", written(tmp_path, back), "--yes")
    assert "nothing to do" in host.ok("apply", written(tmp_path, back))


@pytest.mark.holds("MORE-21")
def test_of_two_vms_of_one_name_none_is_moved_and_no_table_moves_one_twice(host: Host, tmp_path: Path) -> None:
    on_trial(host)
    host.ok("vm", "create", "site", "--memory", "64M")
    both = written(tmp_path, '[[vms]]\nname = "site"\nmemory = "64M"\nmoved-from = "test"\n')
    done = host.run("apply", both, "--yes")
    assert "nothing to do" in done.stdout and "another one in test, which stays there" in done.stderr
    text = "".join(f'[[vms]]\nname = "site"\ngroup = "{one}"\nmoved-from = "test"\n' for one in ("a", "b"))
    twice = host.run("apply", written(tmp_path, '[[groups]]\npath = "a"\n[[groups]]\npath = "b"\n' + text), "--yes")
    assert "moves the VM site from test to two groups" in str(twice.exception)
    assert [one["name"] for one in json.loads(host.ok("group", "list", "--json"))["groups"]] == ["root", "test"]


MEDIA = """
[[groups]]
path = "live"
pools = [{ pool = 1, write = true, manage = true }]
[[media]]
name = "sys"
group = "live"
moved-from = "test"
size = "2M"
readonly = true
[[vms]]
name = "site"
group = "live"
memory = "64M"
media = ["sys:ro"]
"""


def media_of(host: Host, group: str) -> dict[str, tuple[int, bool]]:
    media = json.loads(host.ok("media", "list", "--group", group, "--json"))["media"]
    return {one["name"]: (one["size"] >> 20, one["readonly"]) for one in media}


@pytest.mark.holds("CLI-44")
def test_a_medium_moves_to_the_group_that_the_file_says(host: Host, tmp_path: Path) -> None:
    host.ok("group", "create", "test")
    host.ok("pool", "assign", "id:1", "test", "--write", "--manage")
    host.ok("media", "create", "sys", "--size", "1M", "--group", "test")
    mid = json.loads(host.ok("media", "show", "sys", "--group", "test", "--json"))["mid"]
    file = written(tmp_path, MEDIA)
    assert json.loads(host.ok("apply", file, "--plan", "--json"))["steps"] == [
        "create group live", "assign pool 1 to live", "change medium sys in live: group live, size 2M, read-only",
        "create VM site in live",
    ]  # fmt: skip
    host.ok("apply", file, "--yes")
    assert media_of(host, "live") == {"sys": (2, True)} and media_of(host, "test") == {}
    assert json.loads(host.ok("media", "show", "sys", "--group", "live", "--json"))["mid"] == mid
    assert "nothing to do" in host.ok("apply", file)
    host.ok("media", "create", "sys", "--size", "1M", "--group", "test")
    told = host.run("apply", file, "--yes")
    assert "nothing to do" in told.stdout and "another one in test, which stays there" in told.stderr
    host.ok("apply", written(tmp_path, MEDIA.replace("readonly = true", "readonly = false")), "--yes")
    assert media_of(host, "live") == {"sys": (2, False)}


@pytest.mark.holds("CLI-44")
def test_no_file_moves_one_medium_twice(host: Host, tmp_path: Path) -> None:
    host.ok("media", "create", "sys", "--size", "1M")
    text = "".join(
        f'[[groups]]\npath = "{one}"\n[[media]]\nname = "sys"\nsize = "1M"\ngroup = "{one}"\nmoved-from = "/"\n'
        for one in ("a", "b")
    )
    twice = host.run("apply", written(tmp_path, text), "--yes")
    assert "moves the medium sys from / to two groups" in str(twice.exception)
    assert set(media_of(host, "/")) == {"sys"}
