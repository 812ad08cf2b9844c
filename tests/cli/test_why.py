"""`velocity why`: which group is meant, whose it is to give what is missing, and nothing that one may not see."""

from __future__ import annotations

import pytest

from tests.cli.people import member
from tests.host import Host


def test_the_group_goes_without_saying(teams: Host) -> None:
    teams.ok("group", "create", "attic", "--parent", "red")
    rosa = member(teams, "rosa", "red/attic")
    assert rosa.ok("why", "create_vm") == (
        "yes\nrosa may do this: they have velocity.vm.create on red/attic (3)\n  * attic (3)\n  . red (1)\n  . / (0)\n"
    )
    both = member(teams, "otto", "red", "blue")
    unclear = both.run("why", "create_vm")
    assert unclear.exit_code == 2
    assert "choose one with --group" in unclear.stderr
    assert both.ok("why", "create_vm", "--group", "blue").startswith("yes")
    assert both.ok("why", "vm.create").startswith("yes"), "a permission may be held anywhere"
    for operation, option in (("show_vm", "--vm"), ("delete_medium", "--medium"), ("remove_user", "--to")):
        assert f"give it with {option}" in both.run("why", operation).stderr


def test_what_is_missing_is_said_with_the_group_and_whom_to_ask(teams: Host) -> None:
    rosa = member(teams, "rosa", "red")
    cleo = member(teams, "cleo", "red", holds="operator")
    assert cleo.ok("why", "create_vm") == (
        "no\n"
        "cleo may not do this: velocity.vm.create is needed on red (1). Anyone who has it on red (1) "
        "together with velocity.user.assign can give it\n  . red (1)\n  . / (0)\nask: rosa, root\n"
    )
    said = rosa.ok("why", "set_quota")
    assert "velocity.group.create is needed on / (0), above red;" in said
    assert "they have it on red (1), which is not above it. Anyone who has it on / (0) together" in said
    assert said.endswith("ask: root\n"), "an admin of a team, too"
    teams.ok("vm", "create", "web", "--memory", "64M", "--group", "red")
    said = cleo.ok("why", "delete_vm", "--vm", "web")
    assert "velocity.vm.remove is needed on the VM's group (red (1))" in said
    assert said.endswith("ask: rosa, root\n")
    ivan = member(teams, "ivan", "red", holds="vm.view")
    assert ivan.ok("why", "create_vm").endswith("ask: root\n"), "he does not see the members"
    assert cleo.ok("why", "list_nics").endswith("ask: rosa, root\n")


@pytest.mark.holds("TEAM-12")
def test_nothing_of_others_is_told(teams: Host) -> None:
    hans = member(teams, "hans", "/")
    rosa = member(teams, "rosa", "red")
    teams.ok("user", "grant", "rosa", "user.view", "--group", "red")
    ben = member(teams, "ben", "blue")
    said = rosa.ok("why", "vm.create", "--user", "ben", "--group", "red")
    assert said.startswith("no\nben may not")
    assert "blue" not in said, "that he is there is none of hers"
    assert "hans" not in rosa.ok("why", "set_quota")
    assert "hans" in hans.ok("why", "set_quota", "--group", "red", "--user", "ben")
    unseen = ben.ok("why", "list_vms", "--group", "1")
    assert unseen == ben.ok("why", "list_vms", "--group", "99")
    assert unseen == (
        "no\nvelocity.vm.view is needed on the group; there is no such object, or you may not see it\nask: root\n"
    )
    teams.ok("media", "create", "disk", "--group", "red", "--size", "1M")
    mid = teams.ok("media", "list", "--group", "red", "--match", "disk").split()[-1]
    there = ben.ok("why", "delete_medium", "--medium", mid)
    assert there == ben.ok("why", "delete_medium", "--medium", "00000000-0000-0000-0000-000000000000")
    assert ben.ok("why", "remove_user", "--to", "2") == ben.ok("why", "remove_user", "--to", "99")
