"""What the verbs say of what they have done: whom, where, and what holds now; scripts get ids."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.people import PASSWORD, member
from tests.host import Host


def test_what_is_created_is_said_to_people_and_its_id_to_scripts(host: Host) -> None:
    for words, typed, sentence, named in (
        (("group", "create", "red"), None, "created group red (gid 1)", "gid"),
        (("group", "create", "attic", "--parent", "red"), None, "created group red/attic (gid 2)", "gid"),
        (("user", "create", "rolf", "--password-stdin"), PASSWORD, "created user rolf (uid 1)", "uid"),
        (("vm", "create", "web", "--memory", "64M"), None, "created VM web (vmid 1) in /", "vmid"),
        (("vm", "create", "db", "--memory", "64M", "--group", "red"), None, "created VM db (vmid 2) in red", "vmid"),
    ):
        made = host.run(*words, typed=typed)
        assert made.stderr.splitlines()[0].startswith(sentence)
        assert f"({named} {made.stdout.strip()})" in sentence, "the id and nothing else"
    made = host.run("media", "create", "disk", "--size", "1M")
    assert made.stderr == f"created medium disk (mid {made.stdout.strip()}) in /\n"
    answer = json.loads(host.run("group", "create", "blue", "--json").stdout)
    assert (answer["name"], answer["gid"]) == ("blue", 3)


def test_what_is_given_and_taken_is_said_with_whom_and_where(host: Host) -> None:
    host.ok("group", "create", "red")
    host.ok("group", "create", "attic", "--parent", "red")
    host.ok("user", "create", "rolf", "--password-stdin", typed=PASSWORD)
    for user in ("rolf", "1"):
        given = host.run("user", "grant", user, "viewer", "vm.state", "--group", "attic")
        assert given.stderr == "granted viewer, vm.state to rolf on red/attic\n"
    taken = host.run("user", "revoke", "rolf", "vm.state", "--group", "2")
    assert taken.stderr == "took vm.state away from rolf on red/attic\n"
    assert host.run("user", "revoke", "1", "--group", "2").stderr == "took everything away from rolf on red/attic\n"


def test_who_may_not_see_a_user_reads_the_id(host: Host) -> None:
    host.ok("group", "create", "red")
    host.ok("user", "create", "rolf", "--password-stdin", typed=PASSWORD)
    rosa = member(host, "rosa", "red", holds="user.assign vm.view")
    assert rosa.run("user", "grant", "1", "vm.view", "--group", "red").stderr == "granted vm.view to user 1 on red\n"


def test_what_cannot_be_undone_is_asked_with_its_name(host: Host) -> None:
    host.ok("group", "create", "red")
    host.ok("group", "create", "attic", "--parent", "red")
    host.ok("user", "create", "rolf", "--password-stdin", typed=PASSWORD)
    asked = host.run("group", "rm", "2", typed="n\n")
    assert asked.exit_code == 1
    assert "Delete the group red/attic (gid 2) with its subgroups, VMs and media?" in asked.stderr
    assert "permanently" in host.run("group", "rm", "attic", "--purge", typed="n\n").stderr
    deleted = host.run("group", "rm", "attic", typed="y\n")
    assert deleted.stderr.endswith("deleted group red/attic\n")
    asked = host.run("user", "rm", "1", typed="n\n")
    assert asked.exit_code == 1
    assert "Remove the user rolf (uid 1) permanently?" in asked.stderr
    assert "rolf" in host.ok("user", "list")
    assert host.ok("user", "rm", "rolf", "--plan") == "would delete user rolf (1)\n", "and nobody is asked"
    assert host.run("user", "rm", "rolf", "--yes").stderr == "removed user rolf\n"
    assert host.run("user", "show", "1").exit_code == 4


def test_lists_show_paths_and_where_a_right_comes_from(host: Host) -> None:
    host.ok("group", "create", "red")
    host.ok("group", "create", "attic", "--parent", "red")
    host.ok("group", "create", "blue")
    host.ok("vm", "create", "web", "--memory", "64M", "--group", "attic")
    assert host.ok("vm", "list", "--group", "2").splitlines()[1].split()[2] == "red/attic"
    assert _held(host) == {
        "/": "admin",
        "red": "admin (from /)",
        "red/attic": "admin (from /)",
        "blue": "admin (from /)",
    }
    rosa = member(host, "rosa", "red", holds="operator")
    host.ok("user", "grant", "rosa", "vm.view", "vm.alter", "--group", "attic")
    assert _held(rosa) == {"/": "", "red": "operator", "red/attic": "vm.alter, vm.view, operator (from red)"}
    for words in (("whoami",), ("user", "show", "rosa")):
        assert "red/attic" in rosa.ok(*words)
    assert host.ok("group", "show", "attic").startswith("red/attic (gid 2)")


def _held(one: Host) -> dict[str, str]:
    lines = one.ok("group", "list").splitlines()
    at = lines[0].index("YOUR PERMISSIONS")
    return {line.split()[1]: line[at:].strip() for line in lines[1:]}


def test_an_upload_that_succeeded_is_no_failure_in_the_history(host: Host, tmp_path: Path) -> None:
    """It is answered with 204, as its protocol wants."""
    file = tmp_path / "disk.raw"
    file.write_bytes(bytes(4096))
    host.ok("media", "upload", str(file))
    (line,) = [one for one in host.ok("history").splitlines() if "upload" in one]
    assert "done" in line and "failed" not in line
