"""`velocity apply`: the page's example, twice, and what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.host import Host

PAGE = Path(__file__).parents[2] / "docs" / "apply.md"


def example() -> str:
    (found,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return str(found)


def test_the_pages_example_twice(host: Host, tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    file.write_text(example())
    planned = host.ok("apply", str(file), "--plan")
    assert len(planned.splitlines()) == 9, planned
    assert "create VM site in web" in planned
    assert json.loads(host.ok("group", "list", "--json"))["groups"][1:] == [], "a plan changes nothing"
    first = host.ok("apply", str(file), "--yes")
    assert "the first password of anna" in first
    assert "nothing to do" in host.ok("apply", str(file), "--yes")
    assert json.loads(host.ok("apply", str(file), "--plan", "--json")) == {"steps": []}
    shown = json.loads(host.ok("vm", "show", "site", "--group", "web", "--json"))
    assert (shown["state"], shown["cpus"], shown["autostart"], len(shown["media"])) == ("RUNNING", 2, True, 1)
    file.write_text(
        example().replace("cpus = 2", "cpus = 3").replace('"RUNNING"', '"STOPPED"').replace("vms = 10", "vms = 9")
    )
    changed = host.ok("apply", str(file), "--plan")
    assert [line.strip(" +").split(":")[0] for line in changed.splitlines()] == [
        "set the quota of web", "change VM site in web", "stop VM site in web",
    ]  # fmt: skip
    host.ok("apply", str(file), "--yes")
    assert json.loads(host.ok("vm", "show", "site", "--group", "web", "--json"))["state"] == "STOPPED"
    assert "nothing to do" in host.ok("apply", str(file))


def test_media_from_files(host: Host, tmp_path: Path) -> None:
    (tmp_path / "a.iso").write_bytes(b"x" * 512)
    (tmp_path / "secret").write_text("a password\n")
    file = tmp_path / "site.toml"
    file.write_text('[[media]]\nname = "boot"\nfile = "a.iso"\n[[users]]\nname = "bob"\npassword-file = "secret"\n')
    host.ok("apply", str(file), "--yes")
    assert "ISO" in host.ok("media", "list")
    host.ok("login", "bob", "--password-stdin", typed="a password\n")
    assert "nothing to do" in host.ok("apply", str(file))


def test_what_a_subgroup_inherits_is_not_what_is_assigned_to_it(host: Host, tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    whole = "write = true, manage = true"
    file.write_text(
        f'[[groups]]\npath = "a"\npools = [{{ pool = 1, quota = "1G", {whole} }}]\n'
        f'[[groups]]\npath = "a/b"\npools = [{{ pool = 1, {whole} }}]\n'
    )
    host.ok("apply", str(file), "--yes")
    file.write_text(file.read_text().replace("pool = 1", 'pool = "default"'))
    assert "nothing to do" in host.ok("apply", str(file), "--yes"), "it has no quota of its own, and less by its parent"
    host.ok("pool", "revoke", "1", "a/b")
    assert "assign pool default to a/b" in host.ok("apply", str(file), "--plan"), "what it inherits may cease"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[vm]]", "vm"),
        ("[[vms]]", "name"),
        ("x", "Expected '='"),
        ('[[media]]\nname = "a"\nfile = "not there"', "not there"),
        ('[[vms]]\nname = "a"\ngroup = "nowhere"', "no group 'nowhere'"),
        ('[[media]]\nname = "a"', "one of size, file and image"),
        ('[[vms]]\nname = "a"\nstate = "PAUSED"', "state"),
    ],
)
def test_what_a_file_may_not_say(host: Host, tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(text)
    refused = host.run("apply", str(file), "--yes")
    assert refused.exit_code == 1
    assert message in str(refused.exception)
