"""`velocity apply`: hosts, and the hosts of VMs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.host import Host, hosting
from tests.hosts import agent
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


@pytest.mark.holds("MANY-157")
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


@pytest.mark.holds("MANY-157")
def test_a_vm_goes_to_the_host_of_the_file_and_one_that_is_not_there_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    with hosting(tmp_path / "data", attach=attaching(Other(2, "b"))) as host:
        file.write_text('[[vms]]\nname = "new"\nhost = "b"\n')
        host.ok("apply", str(file), "--yes")
        assert json.loads(host.ok("--json", "vm", "show", "new"))["host"]["name"] == "b"
        assert "nothing to do" in host.ok("apply", str(file), "--yes")
        host.ok("vm", "create", "there", "--host", "id:1", "--cpus", "1")
        host.ok("vm", "start", "there")
        file.write_text('[[vms]]\nname = "there"\nhost = "b"\nnotes = "of anna"\n')
        planned = host.ok("apply", str(file), "--plan")
        assert "+ move VM there in / from host" in planned and "to b" in planned
        host.ok("apply", str(file), "--yes")
        there = json.loads(host.ok("--json", "vm", "show", "there"))
        assert (there["host"]["name"], there["state"], there["notes"]) == ("b", "RUNNING", "of anna")
        assert "nothing to do" in host.ok("apply", str(file), "--yes")
        host.ok("media", "create", "both", "--size", "1M", "--pool", "1")
        for name in ("one", "other"):
            host.ok("vm", "create", name, "--host", "id:1", "--media", "both:block:ro")
        file.write_text('[[vms]]\nname = "one"\nhost = "b"\nmedia = ["both:block:ro"]\n')
        kept = host.run("apply", str(file), "--yes")
        assert kept.exit_code != 0 and "attached to VM" in f"{kept.exception} {kept.stderr}", kept.stderr
        hosts, vms = '[[hosts]]\nname = "c"\n', '[[vms]]\nname = "newer"\nhost = "c"\n'
        for text, words in ((hosts, "let it join first"), (vms, "you see no host named 'c'")):
            file.write_text(text)
            refused = host.run("apply", str(file), "--yes")
            assert refused.exit_code != 0
            assert words in f"{refused.exception} {refused.stderr}"
        assert "newer" not in host.ok("vm", "list")


@pytest.mark.holds("MANY-197")
def test_a_fence_agent_is_as_the_file_says_and_its_secrets_are_told_to_nobody(tmp_path: Path) -> None:
    agent.install(tmp_path / "agents")
    file, secret = tmp_path / "site.toml", tmp_path / "b.password"
    secret.write_text("of the board\n")
    text = (
        f'[[hosts]]\nname = "b"\nfence = {{ agent = "{agent.NAME}", options = {{ ip = "192.0.2.18" }}, '
        'secret-files = { password = "b.password" } }\n'
    )
    with hosting(tmp_path / "data", attach=attaching(Other(2, "b")), fence_agents=[str(tmp_path / "agents")]) as host:
        file.write_text(text)
        planned = host.ok("apply", str(file), "--plan")
        assert f"+ change host b: fence agent {agent.NAME}, with the options ip, password" in planned
        assert "fence" not in node(host), "a plan changes nothing"
        told = planned + host.ok("apply", str(file), "--yes")
        wanted = {"agent": agent.NAME, "options": {"ip": "192.0.2.18"}, "secrets": ["password"]}
        assert node(host)["fence"] == wanted
        told += host.ok("apply", str(file), "--yes")
        assert "nothing to do" in told
        file.write_text(text.replace("192.0.2.18", "192.0.2.19"))
        told += host.ok("apply", str(file), "--yes")
        assert node(host)["fence"] == wanted | {"options": {"ip": "192.0.2.19"}}, "with its password as before"
        file.write_text('[[hosts]]\nname = "b"\n')
        assert "nothing to do" in host.ok("apply", str(file), "--yes"), "what is not said stays"
        assert "of the board" not in told
        for wrong, words in (
            (text.replace("b.password", "none"), "there is no file 'none' next to it"),
            (text.replace('ip = "192.0.2.18"', 'password = "x"'), "'password' in options and in secret-files"),
            (text.replace("ip =", "script ="), "the option 'script' is not passed to fence agents"),
        ):
            file.write_text(wrong)
            refused = host.run("apply", str(file), "--yes")
            assert refused.exit_code != 0
            assert words in f"{refused.exception} {refused.stderr}"
