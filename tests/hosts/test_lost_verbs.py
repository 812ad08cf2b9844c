"""`velocity node confirm-dead` and `velocity node fence`: what they ask before, and what they say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.host import hosting
from tests.hosts import agent
from tests.hosts.on_rbd import ADDRESSES, OnRbd
from tests.hosts.together import Other, attaching
from tests.patience import at_last
from velocity.storage.fake.pools import FakeShared


@pytest.fixture
def b() -> Other:
    return Other(2, "b", (20, "fast"))


@pytest.mark.holds("MANY-99", "MANY-263", "MANY-279")
def test_the_word_is_asked_for_twice_and_names_the_vms(tmp_path: Path, b: Other) -> None:
    with hosting(tmp_path / "data", attach=attaching(b)) as host:
        host.ok("vm", "create", "web", "--memory", "64M", "--host", "b", "--ha", "restart")
        assert "ha            restart" in host.ok("vm", "show", "web")
        host.ok("vm", "start", "web")
        host.loop.call_soon_threadsafe(b.fake.faults.lose, b.host)
        at_last(lambda: b.host in host.app.hosts.silent)
        at_last(lambda: "as they do not respond: web" in host.run("vm", "list").stderr, "that RUNNING is what it was")
        assert "velocity node confirm-dead b" in str(host.run("node", "rm", "b").exception), "it cannot be drained"
        for answers in ("n\n", "y\nc\n"):
            kept = host.run("node", "confirm-dead", "b", typed=answers)
            assert kept.exit_code == 1, kept.output
            assert "these VMs ran on it: web" in kept.stderr
            assert "nothing was changed" in kept.stderr
        unanswered = host.run("node", "confirm-dead", "b")
        assert unanswered.exit_code == 2
        assert "there is no terminal" in unanswered.stderr
        planned = host.ok("node", "confirm-dead", "b", "--plan")
        assert "would kill vm web" in planned
        shown = host.run("node", "show", "b")
        assert "velocity node confirm-dead b" in shown.stderr
        said = host.run("node", "confirm-dead", "b", typed="y\nb\n")
        assert said.exit_code == 0, said.output
        assert "b is confirmed dead" in said.stderr
        at_last(lambda: json.loads(host.ok("vm", "show", "web", "--json"))["state"] == "RUNNING")
        assert json.loads(host.ok("vm", "show", "web", "--json"))["host"]["id"] == 1
        assert ", by root" in (now := host.ok("node", "show", "b"))
        assert now.count("since") == 1, "that it is silent, it is not told to be dead since"
        at_last(lambda: "start_again" in host.ok("history"))
        lines = host.ok("history").splitlines()
        again = next(line for line in lines if "start_again" in line)
        assert " the server " in again and "VM web" in again
        assert "host b" in next(line for line in lines if "confirm_dead" in line)
        assert host.ok("node", "list").splitlines()[2].split()[2] == "dead"
        host.ok("node", "confirm-dead", "b", "--yes")


@pytest.mark.holds("MANY-254")
def test_a_host_that_is_confirmed_dead_is_shown_so_beside_the_others(tmp_path: Path, b: Other) -> None:
    with hosting(tmp_path / "data", attach=attaching(b)) as host:

        def told() -> tuple[str, bool]:
            row = host.ok("host", "show").splitlines()[-1]
            (own, other) = json.loads(host.ok("host", "show", "--json"))["hosts"]
            assert "dead_since" not in own
            return row, "dead_since" in other

        assert told()[1] is False
        host.loop.call_soon_threadsafe(b.fake.faults.lose, b.host)
        at_last(lambda: b.host in host.app.hosts.silent)
        row, dead = told()
        assert ("active, does not respond" in row, dead) == (True, False)
        host.ok("node", "confirm-dead", "b", "--yes")
        row, dead = told()
        assert ("active, confirmed dead" in row, dead) == (True, True)
        host.loop.call_soon_threadsafe(b.fake.faults.heal, b.host)
        at_last(lambda: told()[1] is False, "the host's return")


@pytest.mark.holds("MANY-99")
def test_a_fence_agent_is_set_shown_tested_used_and_forgotten(tmp_path: Path, b: Other) -> None:
    agent.install(tmp_path / "agents")
    with hosting(tmp_path / "data", attach=attaching(b), fence_agents=[str(tmp_path / "agents")]) as host:
        assert "no fence agent is set for b" in host.ok("node", "fence", "b")
        words = ("node", "fence", "b", "--agent", agent.NAME, "--option", "plug=works", "--option", "password")
        done = host.run(*words, typed="correct horse\n")
        assert (done.exit_code, done.stderr.endswith("node fence b --test\n")) == (0, True), done.output
        assert "password=correct horse" not in host.ok("node", "fence", "b")
        assert host.ok("node", "fence", "b").split() == [agent.NAME, "plug=works", "password", "(not", "shown)"]
        assert "the machine is on" in host.ok("node", "fence", "b", "--test")
        assert "password=correct horse" in agent.asked(tmp_path / "agents")
        both = host.run("node", "fence", "b", "--test", "--now")
        assert both.exit_code == 2
        assert "one at a time" in both.stderr
        off = host.run("node", "fence", "b", "--now", typed="y\nb\n")
        assert off.exit_code == 0, off.output
        assert "b is off and confirmed dead" in off.stderr
        assert "the machine is off" in host.ok("node", "fence", "b", "--test")
        host.ok("node", "fence", "b", "--remove")
        gone = host.run("node", "fence", "b", "--test")
        assert gone.exit_code == 1
        assert "no fence agent is set for b: `velocity node fence b --agent" in str(gone.exception)


@pytest.mark.holds("MANY-206", "MANY-224")
def test_a_host_is_blocklisted_when_that_is_asked_for_twice(tmp_path: Path) -> None:
    rados = FakeShared()
    b, c = OnRbd(2, "b", rados), OnRbd(3, "c", rados)
    with hosting(tmp_path / "data", attach=attaching(b, c)) as host:
        host.ok("media", "create", "disk", "--size", "1M", "--pool", "ceph")
        host.ok("vm", "create", "web", "--memory", "64M", "--host", "b", "--media", "disk")
        host.ok("vm", "start", "web")
        at_last(lambda: "rbd_addresses" in host.ok("node", "show", "b", "--json"))
        host.loop.call_soon_threadsafe(b.fake.faults.lose, b.host)
        at_last(lambda: b.host in host.app.hosts.silent)
        assert "velocity node fence b --blocklist" in host.run("node", "show", "b").stderr
        kept = host.run("node", "fence", "b", "--blocklist", typed="y\nc\n")
        assert kept.exit_code == 1, kept.output
        assert "these of its VMs wrote only to RBD: web" in kept.stderr
        assert rados.blocklisted == set()
        said = host.run("node", "fence", "b", "--blocklist", typed="y\nb\n")
        assert said.exit_code == 0, said.output
        assert "b is blocklisted" in said.stderr
        assert f"by root ({ADDRESSES[2]})" in host.ok("node", "show", "b")
        host.ok("vm", "start", "web")
        assert json.loads(host.ok("vm", "show", "web", "--json"))["host"]["id"] == 3
        removed = host.run("node", "rm", "b")
        assert f"run `ceph osd blocklist rm {ADDRESSES[2]}:0/0`" in removed.stderr, "nothing proves that it is off"
        assert rados.blocklisted == {ADDRESSES[2]}
