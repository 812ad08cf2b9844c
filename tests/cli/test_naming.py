"""Names that look like ids: one rule for every kind of object and every verb."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import uuid4

import pytest

from tests.cli.people import PASSWORD
from tests.cli.test_members import completed
from tests.host import Host
from velocity.contract import names

SMALL = ("--memory", "64M")


def made(host: Host, *words: str, typed: str | None = None) -> str:
    """The id of what a verb makes."""
    return host.ok(*words, typed=typed).split()[0]


@pytest.fixture
def twins(host: Host) -> dict[str, tuple[str, str]]:
    """Of each kind the id of one, which is the name of another, and the id of that."""
    found: dict[str, tuple[str, str]] = {}
    vm = made(host, "vm", "create", "web", *SMALL)
    found["vm"] = vm, made(host, "vm", "create", vm, *SMALL)
    group = made(host, "group", "create", "red")
    found["group"] = group, made(host, "group", "create", group)
    user = made(host, "user", "create", "rolf", "--password-stdin", typed=PASSWORD)
    found["user"] = user, made(host, "user", "create", user, "--password-stdin", typed=PASSWORD)
    medium = made(host, "media", "create", "disk", "--size", "1M")
    found["media"] = medium, made(host, "media", "create", medium, "--size", "1M")
    return found


BOTH = {
    "vm": [
        ("vm", "show", "*"), ("vm", "set", "*", "--cpus", "2"), ("vm", "start", "*"), ("vm", "stop", "*"),
        ("vm", "rm", "*"), ("vm", "rm", "*", "--group", "/"), ("vm", "log", "*"), ("vm", "metrics", "*"),
        ("history", "--vm", "*"), ("why", "set_vm_state", "--vm", "*"),
    ],
    "group": [
        ("group", "show", "*"), ("group", "rm", "*", "--yes"), ("group", "quota", "*", "--cpus", "1"),
        ("vm", "list", "--group", "*"), ("pool", "assign", "id:1", "*"), ("group", "create", "x", "--parent", "*"),
        ("why", "create_vm", "--group", "*"), ("why", "create_vm", "--if-granted", "*:vm.view"),
    ],
    "user": [
        ("user", "show", "*"), ("user", "rm", "*", "--yes"), ("user", "grant", "*", "vm.view", "--group", "/"),
        ("user", "set", "*", "--group", "/"), ("history", "--user", "*"), ("why", "create_vm", "--user", "*"),
    ],
    "media": [
        ("media", "rm", "*"), ("media", "clone", "*", "copy"), ("media", "import", "*", "--name", "x"),
        ("vm", "create", "x", *SMALL, "--media", "*"), ("vm", "set", "web", "--media", "*:block:ro"),
        ("why", "delete_medium", "--medium", "*"),
    ],
}  # fmt: skip


@pytest.mark.holds("CLI-9")
@pytest.mark.holds("CLI-9")
def test_what_is_a_name_and_another_ones_id_is_refused_by_every_verb(
    host: Host, twins: dict[str, tuple[str, str]], tmp_path: Path
) -> None:
    kept = [host.ok(*words, "--json") for words in (("vm", "list"), ("group", "list"), ("user", "list"))]
    for kind, verbs in BOTH.items():
        word, other = twins[kind]
        for verb in verbs:
            refused = host.run(*(one.replace("*", word) for one in verb))
            assert refused.exit_code == 2, (verb, refused.output)
            assert f"id:{word}" in refused.stderr and f"id:{other}" in refused.stderr, (verb, refused.stderr)
    file = tmp_path / "site.toml"
    file.write_text(f'[[vms]]\nname = "x"\nmemory = "64M"\nmedia = ["{twins["media"][0]}"]\n')
    assert f"id:{twins['media'][1]}" in host.run("apply", str(file), "--yes").stderr
    file.write_text(f'[[users]]\nname = "rolf"\ngrants = [{{ group = "{twins["group"][0]}", permissions = [] }}]\n')
    assert [host.ok(*words, "--json") for words in (("vm", "list"), ("group", "list"), ("user", "list"))] == kept


@pytest.mark.holds("CLI-9")
@pytest.mark.holds("CLI-9")
def test_an_id_that_is_written_as_such_is_always_an_id(host: Host, twins: dict[str, tuple[str, str]]) -> None:
    for number, name in zip(twins["vm"], ("web", twins["vm"][0]), strict=True):
        assert json.loads(host.ok("vm", "show", f"id:{number}", "--json"))["name"] == name
    for number, name in zip(twins["group"], ("red", twins["group"][0]), strict=True):
        assert json.loads(host.ok("group", "show", f"id:{number}", "--json"))["name"] == name
    for number, name in zip(twins["user"], ("rolf", twins["user"][0]), strict=True):
        assert json.loads(host.ok("user", "show", f"id:{number}", "--json"))["name"] == name
    for mid in twins["media"]:
        host.ok("vm", "set", "web", "--media", f"id:{mid}:block:ro")
        assert json.loads(host.ok("vm", "show", "web", "--json"))["media"] == [
            {"mid": mid, "mode": "BLOCK", "readonly": True}
        ]
    host.ok("pool", "assign", "id:1", f"id:{twins['group'][1]}")
    for verb in (("vm", "show", "id:web"), ("media", "rm", "id:1"), ("user", "show", "id:"), ("task", "show", "id:x")):
        wrong = host.run(*verb)
        assert wrong.exit_code == 2 and "the id of a" in wrong.stderr, verb


@pytest.mark.holds("CLI-9")
@pytest.mark.holds("CLI-9")
def test_a_name_that_only_looks_like_an_id_is_a_name(host: Host, tmp_path: Path) -> None:
    """Also what is no id at all: signs, zeros, digits of other scripts, more than an id can be."""
    mid = str(uuid4())
    for name in ("2024", "007", "²", "٣", "9" * 30, mid, "id:5"):
        vmid = made(host, "vm", "create", name, *SMALL)
        word = f"id:{vmid}" if name.startswith("id:") else name
        assert json.loads(host.ok("vm", "show", word, "--json"))["name"] == name
        host.ok("media", "create", name, "--size", "1M")
        if not name.startswith("id:"):
            host.ok("media", "rm", name)
            assert name in host.ok("trash", "list")
            host.ok("trash", "restore", name)
    assert host.run("vm", "show", "4711").exit_code == 4, "neither a name nor an id that there is"
    own = made(host, "vm", "create", "7", *SMALL)
    assert host.ok("vm", "show", own) and host.ok("vm", "show", "id:" + own)
    file = tmp_path / "site.toml"
    file.write_text(
        '[[groups]]\npath = "2024"\n[[vms]]\nname = "1"\ngroup = "2024"\nmemory = "64M"\nstate = "RUNNING"\n'
    )
    host.ok("apply", str(file), "--yes")
    assert "1 is PAUSED" in host.ok("vm", "pause", "1", "--group", "2024"), "in a group that is named"


def test_tasks_and_what_was_deleted_have_names_too(host: Host) -> None:
    host.ok("media", "create", "disk", "--size", "1M")
    host.ok("media", "clone", "disk", "copy")
    for word in ("copy", "1", "id:1"):
        assert host.ok("task", "show", word).startswith("clone copy: DONE")
    host.ok("media", "rm", "copy")
    host.ok("media", "create", "1", "--size", "1M")
    host.ok("media", "rm", "1")
    for verb in (("trash", "restore", "1"), ("trash", "rm", "1")):
        refused = host.run(*verb)
        assert refused.exit_code == 2 and "id:1" in refused.stderr and "id:2" in refused.stderr
    host.ok("trash", "restore", "id:1")
    assert "copy" in host.ok("media", "list")


def test_a_permission_is_given_by_its_name_or_its_id(host: Host) -> None:
    host.ok("user", "create", "viewer", "--password-stdin", typed=PASSWORD)
    for word in ("vm.view", "19", "id:19"):
        host.ok("user", "grant", "viewer", word, "--group", "/")
        held = json.loads(host.ok("user", "show", "viewer", "--json"))["memberships"][0]["permissions"]
        assert [one["name"] for one in held] == ["velocity.vm.view"]
        host.ok("user", "revoke", "viewer", word, "--group", "/")
    assert host.run("user", "grant", "viewer", "id:99", "--group", "/").exit_code == 4


@pytest.mark.holds("CLI-10")
@pytest.mark.holds("CLI-10")
def test_completion_offers_the_id_where_the_name_would_be_refused(
    host: Host, twins: dict[str, tuple[str, str]]
) -> None:
    vm, other = twins["vm"]
    assert completed(host, "vm", "show", "") == sorted(["web", f"id:{other}"])
    assert completed(host, "vm", "show", "id:") == sorted([f"id:{vm}", f"id:{other}"])
    for verb, kind in (("group show", "group"), ("user show", "user"), ("media rm", "media")):
        offered = completed(host, *verb.split(), "")
        assert f"id:{twins[kind][1]}" in offered and twins[kind][0] not in offered
        for word in offered:
            assert host.run(*verb.split(), word, *(("--plan",) if kind == "media" else ())).exit_code == 0, word


@pytest.mark.parametrize(
    "parts", [["a", "b"], ["a/b"], ["a", "b/c"], ["a/", "b"], ["a\\", "b"], ["a\\/b"], ["/"], ["\\"], ["DOMAIN\\team"]]
)
def test_a_slash_in_a_name_of_a_group_is_no_step_of_its_path(parts: list[str]) -> None:
    assert names.parts(names.path(parts)) == parts


def test_a_group_with_a_slash_beside_one_in_another(host: Host) -> None:
    for name, options in (("a", ()), ("b", ("--parent", "a")), ("a/b", ())):
        host.ok("group", "create", name, *options)
    assert [one["gid"] for one in json.loads(host.ok("group", "list", "--json"))["groups"]] == [0, 1, 2, 3]
    assert {line.split()[1] for line in host.ok("group", "list").splitlines()} >= {"a/b", "a\\/b"}
    refused = host.run("group", "rm", "a/b", "--yes")
    assert refused.exit_code == 2 and "id:2" in refused.stderr and "id:3" in refused.stderr
    assert "(gid 3)" in host.ok("group", "show", "a\\/b")
    host.ok("group", "rm", "id:3", "--yes")
    assert "(gid 2)" in host.ok("group", "show", "a/b")
