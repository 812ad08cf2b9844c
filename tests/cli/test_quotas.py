"""What the command line says where a quota is full: sizes as people write them, and whose quota it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.people import member
from tests.host import Host


@pytest.fixture
def rosa(teams: Host) -> Host:
    """The admin of red/attic, which has less than red."""
    teams.ok("group", "create", "attic", "--parent", "red")
    teams.ok("group", "quota", "red", "--memory", "3G", "--cpus", "4")
    teams.ok("pool", "assign", "1", "red", "--quota", "2G")
    return member(teams, "rosa", "red/attic")


def said(one: Host, *words: str) -> str:
    refused = one.run(*words)
    assert refused.exit_code == 1
    return str(refused.exception)


def test_a_quota_of_vms(teams: Host, rosa: Host) -> None:
    rosa.ok("vm", "create", "first", "--memory", "1G")
    assert said(rosa, "vm", "create", "second", "--memory", "2304M") == (
        "memory: the quota of red, above red/attic, is 3.0 GiB, with 2.0 GiB left; this needs 2.2 GiB more: "
        "remove VMs, choose less, or ask for more quota"
    )
    teams.ok("group", "quota", "red/attic", "--memory", "2G", "--vms", "1")
    assert said(rosa, "vm", "set", "first", "--memory", "2500M").startswith(
        "memory: the quota of red/attic is 2.0 GiB, with 1.0 GiB left; this needs 1.4 GiB more: "
    )
    assert said(rosa, "vm", "set", "first", "--cpus", "6").startswith(
        "CPUs: the quota of red, above red/attic, is 4, with 3 left; this needs 5 more: "
    )
    assert said(rosa, "vm", "create", "second", "--memory", "1M").startswith(
        "VMs: the quota of red/attic is 1, with 0 left"
    )


def test_a_quota_of_a_pool(teams: Host, rosa: Host) -> None:
    rosa.ok("media", "create", "disk", "--size", "512M")
    assert said(rosa, "media", "create", "more", "--size", "2G") == (
        "the quota of red, above red/attic, in pool default is 2.0 GiB, with 1.5 GiB left; this needs 2.0 GiB "
        "more: remove media, choose a smaller size, or ask for more quota"
    )
    teams.ok("pool", "assign", "1", "red/attic", "--quota", "1G")
    assert said(rosa, "media", "create", "more", "--size", "600M").startswith(
        "the quota of red/attic in pool default is 1.0 GiB, with 512 MiB left; this needs 600 MiB more: "
    )


def test_a_quota_within_others(teams: Host, rosa: Host) -> None:
    assert said(teams, "group", "quota", "red/attic", "--memory", "4G") == (
        "memory: the quota of red, above red/attic, is 3.0 GiB: set a limit of at most that"
    )
    teams.ok("group", "quota", "red/attic", "--memory", "2G")
    assert said(teams, "group", "quota", "red", "--memory", "1G") == (
        "memory: the quota of the subgroup red/attic is 2.0 GiB: lower that first"
    )
    refused = teams.run("pool", "assign", "1", "red/attic", "--quota", "3G")
    assert "more quota than 2.0 GiB in pool 1" in str(refused.exception)


@pytest.mark.holds("NAT-20")
def test_a_group_is_given_ports_of_the_host(teams: Host, tmp_path: Path) -> None:
    shown = teams.ok("group", "quota", "red", "--forward-ports", "20000-20099", "--vms", "5")
    assert shown.splitlines()[-1].split()[4:] == ["20000-20099", "-", "20000-20099"]
    assert "20000-20099" in teams.ok("group", "quota", "red", "--vms", "6"), "what is not given stays"
    wrong = said(teams, "vm", "create", "web", "--group", "red", "--nic", "nat", "--forward", "2222:22")
    assert "choose one of 20000 to 20099 (the quota of the group" in wrong
    file = tmp_path / "site.toml"
    file.write_text('[[groups]]\npath = "red"\nquota = { vms = 6, forward-ports = "20000-20009" }\n')
    assert "forward_ports 20000-20009" in teams.ok("apply", str(file), "--yes")
    assert "nothing to do" in teams.ok("apply", str(file))
    assert "-" in teams.ok("group", "quota", "red", "--forward-ports", "none").splitlines()[-1].split()[4]
