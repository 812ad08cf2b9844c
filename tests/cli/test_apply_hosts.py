"""`velocity apply`: hosts, and the hosts of VMs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.host import Host, hosting
from tests.hosts.joins import join
from tests.hosts.together import Other, attaching
from velocity.client import Client

FILE = """
[[hosts]]
name = "b"
duty = "draining"
labels = { rack = "a" }
"""


def node(host: Host) -> dict[str, object]:
    shown: dict[str, object] = json.loads(host.ok("--json", "node", "show", "b"))
    return shown


@pytest.mark.holds("MANY-172")
def test_hosts_are_as_the_file_says(host: Host, tmp_path: Path) -> None:
    with Client(host.url, host.key) as client:
        join(client, tmp_path, "b")
    file = tmp_path / "site.toml"
    file.write_text(FILE)
    planned = host.ok("apply", str(file), "--plan").splitlines()
    assert [line.strip() for line in planned] == ["+ change host b: duty draining, labels rack=a"]
    assert node(host)["labels"] == {}, "a plan changes nothing"
    host.ok("apply", str(file), "--yes")
    assert (node(host)["duty"], node(host)["labels"]) == ("draining", {"rack": "a"})
    assert "nothing to do" in host.ok("apply", str(file), "--yes")
    host.ok("node", "set", "b", "--label", "disk=ssd")
    assert "change host b: labels rack=a" in host.ok("apply", str(file), "--yes"), "what it has besides goes"
    assert node(host)["labels"] == {"rack": "a"}


@pytest.mark.holds("MANY-172")
def test_a_vm_that_is_elsewhere_is_told_and_a_host_that_is_not_there_refused(tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    with hosting(tmp_path / "data", attach=attaching(Other(2, "b"))) as host:
        file.write_text('[[vms]]\nname = "new"\nhost = "b"\n')
        host.ok("apply", str(file), "--yes")
        assert json.loads(host.ok("--json", "vm", "show", "new"))["host"]["name"] == "b"
        assert "nothing to do" in host.ok("apply", str(file), "--yes")
        host.ok("vm", "create", "there", "--host", "id:1", "--cpus", "1")
        file.write_text('[[vms]]\nname = "there"\nhost = "b"\nnotes = "of anna"\n')
        told = host.run("apply", str(file), "--yes")
        assert told.exit_code != 0
        assert "! VM there in / is on host" in told.stdout and "and not on b" in told.stdout
        assert json.loads(host.ok("--json", "vm", "show", "there"))["notes"] == "of anna", "the rest is done"
        hosts, vms = '[[hosts]]\nname = "c"\n', '[[vms]]\nname = "newer"\nhost = "c"\n'
        for text, words in ((hosts, "let it join first"), (vms, "you see no host named 'c'")):
            file.write_text(text)
            refused = host.run("apply", str(file), "--yes")
            assert refused.exit_code != 0
            assert words in f"{refused.exception} {refused.stderr}"
        assert "newer" not in host.ok("vm", "list")
