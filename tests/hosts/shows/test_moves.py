"""A real guest goes from host to host while it computes and writes, whatever is cut, killed or fenced meanwhile."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.hosts.namespaces import NODE, SERVER, real_hosts
from tests.hosts.shows.looking import counted, phase, states, unheard
from tests.hosts.shows.moving import MIB, SECRET, SHARED, Moving
from tests.patience import at_last
from velocity.cli.demo.guest import Guest
from velocity.contract.tasks import TaskState

pytestmark = [pytest.mark.hosts, pytest.mark.guest, pytest.mark.xdist_group("moves")]
Say = Callable[[str], None]
WRITES = (
    "n=0; while [ ! -e /tmp/halt ]; do n=$((n+1)); dd if=/dev/urandom of=/dev/vda bs=4k count=16 "
    "seek=$((n*37%240)) oflag=direct 2>/dev/null; sleep 0.2; done"
)
AGENT = """#!/bin/sh
here=$(dirname "$0")
if grep -q action=off; then
    touch "$here/asked"
    until [ -e "$here/off" ]; do sleep 0.1; done
elif [ -e "$here/off" ]; then
    exit 2
fi
"""
"""A fence agent that has somebody cut the power, and says that it is off when there is the file `off`."""


@pytest.fixture(scope="module")
def moving(tmp_path_factory: pytest.TempPathFactory, guest: Guest) -> Iterator[Moving]:
    place = tmp_path_factory.mktemp("moves")
    storage = place / "storage"
    (storage / ".velocity").mkdir(parents=True)
    shared = f'{{ mpid = {SHARED}, name = "shared", path = "{storage}", shared = true }}'
    with real_hosts(place, "a", "b") as hosts:
        for number, name in enumerate(("a", "b"), 1):
            own = f'{{ mpid = {number}, name = "own-{name}", path = "{hosts[name].place}/media" }}'
            lines = [f"pools = [{own}, {shared}]", f'fence_agents = ["{place}"]', "fence_after = 1"]
            hosts.serve(*lines) if name == "a" else hosts.join(name, *lines)
        yield Moving(hosts, guest, storage)


def kill_qemu(moving: Moving) -> None:
    b = moving.hosts["b"]
    b.ok(f"kill -9 {b.guests()[moving.uuid]}")


def cut(moving: Moving) -> None:
    moving.hosts["b"].cut()


def kill_node(moving: Moving) -> None:
    moving.hosts["b"].kill(NODE)


def kill_server(moving: Moving) -> None:
    """It leads the source's host, too."""
    moving.hosts["a"].kill(SERVER)
    moving.hosts.until_served()
    moving.looks_anew()


def cancel(moving: Moving) -> None:
    moving.client.cancel_task(tid=moving.tid)


def cut_and_cancel(moving: Moving) -> None:
    """Nobody has to wait until the network is known to be dead."""
    cut(moving)
    moving.shell.goes_on()
    cancel(moving)


def named(one: object) -> str:
    return one if isinstance(one, str) else getattr(one, "__name__", "")


CUT = 3.0
"""Seconds for which a link stays cut while a guest is handed over."""
BROKEN = [
    ("disks", kill_qemu), ("disks", cut_and_cancel), ("disks", kill_node), ("disks", kill_server), ("disks", cancel),
    ("memory", kill_qemu), ("memory", cut), ("memory", kill_node), ("memory", cancel),
    ("handing over", cut), ("handing over", kill_node), ("handing over", cancel),
]  # fmt: skip
"""In which phase of a move what happens."""
ENDS: dict[Callable[[Moving], None], TaskState] = {
    kill_qemu: TaskState.FAILED, cut: TaskState.FAILED, cancel: TaskState.CANCELLED
}  # fmt: skip
"""What becomes of the move by what happens before the guest is handed over; else it is gone on with."""


@pytest.mark.holds("MANY-165", "MANY-180")
@pytest.mark.parametrize(("at", "breaks"), BROKEN, ids=named)
def test_a_move_that_is_broken_in_any_phase_leaves_one_guest_that_runs_and_nothing_else(
    moving: Moving, at: str, breaks: Callable[[Moving], None], say: Say
) -> None:
    """That it can be moved afterwards is seen by the next of these, and by the shows that follow."""
    hosts, b = moving.hosts, moving.hosts["b"]
    moving.to("a")
    hosts.switch.slow(b, 300 if at == "handing over" else 100)
    with counted(hosts, moving.uuid) as looks:
        try:
            moving.begin("b")
            if at == "handing over":
                moving.is_handed_over()
            else:
                at_last(lambda: moving.client.show_task(tid=moving.tid).phase == at, f"the phase {at}")
                hosts.switch.slow(b, 5)  # it is to stay in that phase
                at_last(lambda: len(moving.where()) == 2, "what waits for it")
            breaks(moving)
            begun = time.monotonic()
            if at != "handing over":
                moving.shell.goes_on()
            elif breaks is not cancel:  # it may be there that it goes on
                time.sleep(CUT)
            if breaks is cut and at != "handing over":
                moving.ended()
        finally:
            b.heal()
            hosts.switch.fast(b)
        hosts.until("b", "online")
        became = moving.ended()
        at_last(lambda: len(moving.where()) == 1, "the end of one of the two")
        moving.shell.goes_on()
        moving.shell.run("true")  # what is typed gets there, too
        say(f"hosts: {breaks.__name__} in the phase {at}: without a tick for {moving.shell.gap(begun):.2f} s")
    assert looks.processes == 2
    if at == "memory" and breaks is kill_node:
        assert became is TaskState.FAILED, "it would stand still until the node is back"
    elif at != "handing over":
        assert became is ENDS.get(breaks, became)
    (there,) = moving.where()
    assert there == "a" or at == "handing over" or (at, breaks) == ("disks", kill_node), "disks come without a node"
    moving.is_whole(there)


@pytest.mark.holds("MANY-225")
@pytest.mark.parametrize(
    ("at", "breaks"), [("handing over", kill_qemu), ("handed over", kill_qemu), ("handed over", cut)], ids=named
)
def test_a_guest_that_was_handed_over_to_a_silent_host_goes_on_once_that_tells_what_it_has(
    moving: Moving, at: str, breaks: Callable[[Moving], None], say: Say
) -> None:
    """Not before, whoever asks: its disks are of each host's own, and nothing else would keep two from running."""
    hosts, a, b = moving.hosts, moving.hosts["a"], moving.hosts["b"]
    moving.to("a")
    hosts.switch.slow(b, 100)
    with counted(hosts, moving.uuid) as looks:
        try:
            moving.begin("b")
            moving.is_handed_over()
            hosts.switch.slow(b, 5)
            b.freeze(NODE)  # which would say that all of it is there; before, no guest would be given to it
            if at == "handed over":
                hosts.switch.slow(b, 300)
                at_last(lambda: hosts.state(moving.vmid) == "PAUSED", "that it is told as standing still")
            breaks(moving)
            begun, ticks = time.monotonic(), len(moving.shell.ticks)
            if at == "handed over":
                for verb in ("start", "resume"):
                    refused = a.run(f"velocity vm {verb} id:{moving.vmid}")
                    assert refused.returncode != 0
                    assert "does not respond: it runs nowhere until that host does" in refused.stderr
                assert len(moving.shell.ticks) == ticks
        finally:
            b.heal()
            hosts.switch.fast(b)
            b.thaw(NODE)
        hosts.until("b", "online")
        there = "b" if breaks is cut else "a"
        at_last(lambda: moving.where() == [there], "the end of the other one")
        moving.shell.goes_on()
        moving.shell.run("true")
        say(f"hosts: {breaks.__name__} {at} to a silent host: without a tick for {moving.shell.gap(begun):.2f} s")
    assert looks.processes == 2
    moving.shell.none_is_missing()
    moving.is_whole(there)


@pytest.mark.holds("MANY-226")
def test_a_target_that_is_cut_off_as_a_move_is_committed_has_the_guest(moving: Moving) -> None:
    hosts, b = moving.hosts, moving.hosts["b"]
    moving.to("a")
    with counted(hosts, moving.uuid) as looks:
        moving.begin("b")
        at_last(lambda: moving.committed() or moving.where() == ["b"], "the commit")
        b.cut()
        try:
            hosts.until("b", "unreachable")
            refused = hosts["a"].run(f"velocity vm start id:{moving.vmid}")
            assert refused.returncode != 0
            assert "respond" in refused.stderr
        finally:
            b.heal()
        hosts.until("b", "online")
        at_last(lambda: moving.where() == ["b"], "the end of what it left")
        moving.looks_anew()  # the console before may have ended with the link
        moving.shell.goes_on()
    assert looks.processes == 2
    moving.is_whole("b")


@pytest.mark.holds("MANY-164")
def test_a_guest_with_a_disk_of_its_host_goes_to_another_host_unseen(moving: Moving, say: Say) -> None:
    """Its ticks, its console, its state and its disk go on; nothing of it is left, and nothing of it is on the wire."""
    moving.to("a")
    hosts, shell = moving.hosts, moving.shell
    shell.run(f"({WRITES}) & true")
    took = moving.takes("a")
    with (
        counted(hosts, moving.uuid) as looks,
        states(hosts, moving.vmid) as seen,
        unheard(hosts, SECRET, bytes_=16 * MIB),
    ):
        begun = time.monotonic()
        hosts["a"].ok(f"velocity vm move id:{moving.vmid} --host b")
        seconds = time.monotonic() - begun
        shell.goes_on()
    say(f"hosts: a move with a disk of the host: {seconds:.1f} s, without a tick for {shell.gap(begun):.2f} s")
    assert looks.processes == 2, "it was watched on both hosts"
    assert seen == {"RUNNING"}
    shell.none_is_missing()
    at_last(lambda: moving.where() == ["b"], "the end of what it left")
    at_last(lambda: moving.files("a") == [] and moving.own("a") == [], "the removal of what it left")
    assert moving.takes("b") <= 1.1 * took + MIB, "what holds nothing stays so; the guest writes to the first MiB"
    (file,) = moving.files("b")
    assert moving.inside() == hashlib.sha256(file.read_bytes()[:MIB]).hexdigest()
    no_key_is_in_reach(moving)


def no_key_is_in_reach(moving: Moving) -> None:
    """Of what the target has with a private key in it."""
    b = moving.hosts["b"]
    (uid,) = {(one / "own").stat().st_uid for one in moving.own("b")}
    keys = [Path(line) for line in b.ok(f"grep -rl 'PRIVATE KEY' {b.data} /etc/velocity || true").splitlines()]
    assert keys, "the node has one"
    assert uid != 0
    for key in keys:
        found = (b.files / key.relative_to("/")).stat()
        assert found.st_uid == 0, key
        assert found.st_mode & 0o077 == 0, key


@pytest.mark.holds("MANY-166")
def test_a_guest_whose_disks_are_shared_goes_to_another_host(moving: Moving, say: Say) -> None:
    """Its disk stays where it is, and has what the guest writes there."""
    hosts, shell = moving.hosts, moving.shell
    file = moving.shares()
    moving.to("b")
    node = file.stat().st_ino
    shell.run(f"({WRITES}) & true")
    with counted(hosts, moving.uuid), states(hosts, moving.vmid) as seen:
        begun = time.monotonic()
        hosts["a"].ok(f"velocity vm move id:{moving.vmid} --host a")
        took = time.monotonic() - begun
        shell.goes_on()
    say(f"hosts: a move with a shared disk: {took:.1f} s, without a tick for {shell.gap(begun):.2f} s")
    assert seen == {"RUNNING"}
    shell.none_is_missing()
    at_last(lambda: moving.where() == ["a"], "the end of what it left")
    at_last(lambda: moving.own("b") == [], "the removal of what it left")
    assert file.stat().st_ino == node
    assert moving.inside() == hashlib.sha256(file.read_bytes()[:MIB]).hexdigest()


@pytest.mark.holds("MANY-167")
@pytest.mark.parametrize("moment", ["while it is handed over", "after the commit"])
def test_a_server_that_is_killed_in_the_last_moment_of_a_move_leaves_one_that_runs(
    moving: Moving, moment: str, say: Say
) -> None:
    hosts = moving.hosts
    (source,) = moving.where()
    (target,) = {"a", "b"} - {source}
    with counted(hosts, moving.uuid) as looks:
        moving.client.move_vm_to_host(vmid=moving.vmid, host=hosts.number(target))
        at_last(lambda: phase(hosts[source], moving.uuid) == "sending", "that it is sent")
        if moment == "after the commit":
            at_last(lambda: moving.committed() or moving.where() == [target], "the commit")
        else:
            at_last(lambda: phase(hosts[source], moving.uuid) != "sending", "that it is handed over")
        begun = time.monotonic()
        hosts["a"].kill(SERVER)
        hosts.until_served()
        at_last(lambda: len(moving.where()) == 1, "the end of one of the two")
        at_last(lambda: hosts.state(moving.vmid) == "RUNNING", "its state")
        moving.looks_anew()
        moving.shell.goes_on()
        took = time.monotonic() - begun
    (there,) = moving.where()
    say(f"hosts: a server killed {moment}: its VM of {source} is known to run on {there} in {took:.1f} s")
    assert looks.processes == 2
    assert there == target or moment == "while it is handed over"
    assert hosts.client.show_vm(vmid=moving.vmid).host.name == there
    (left,) = {"a", "b"} - {there}
    at_last(lambda: moving.own(left) == [], "the removal of what it left")


@pytest.mark.holds("MANY-226")
def test_a_guest_whose_process_is_killed_as_its_move_is_committed_is_started_again_where_it_is(moving: Moving) -> None:
    """It may have written there: what its source had is of before."""
    hosts, b = moving.hosts, moving.hosts["b"]
    moving.to("a")
    moving.client.alter_vm(vmid=moving.vmid, ha="restart")
    with counted(hosts, moving.uuid) as looks:
        moving.begin("b")
        at_last(lambda: moving.committed() or moving.where() == ["b"], "the commit")
        before = b.guests()[moving.uuid]
        kill_qemu(moving)
        at_last(lambda: b.guests().get(moving.uuid, before) != before, "its other run")
    assert looks.processes == 2
    moving.is_whole("b")


@pytest.mark.holds("MANY-168", "MANY-176")
def test_a_guest_whose_host_is_silent_runs_elsewhere_once_that_is_fenced(moving: Moving, say: Say) -> None:
    """Not before: the host still runs it, as its link alone is cut."""
    hosts, client, b, place = moving.hosts, moving.client, moving.hosts["b"], moving.storage.parent
    moving.shares()
    moving.to("b")
    agent, asked, off = (place / name for name in ("fence_show", "asked", "off"))
    agent.write_text(AGENT)
    agent.chmod(0o755)
    client.set_fence(host=hosts.number("b"), agent="fence_show")
    client.alter_vm(vmid=moving.vmid, ha="restart")
    at_last(moving.has_variables, "a copy of its firmware variables")
    with counted(hosts, moving.uuid) as looks:
        begun = time.monotonic()
        b.cut()
        at_last(asked.exists, "the agent to be asked")
        say(f"hosts: a silent host is powered off after {time.monotonic() - begun:.1f} s")
        assert moving.where() == ["b"]
        killed = time.monotonic()
        b.cut_power()
        off.touch()
        at_last(lambda: moving.where() == ["a"], "its QEMU elsewhere")
        at_last(lambda: hosts.state(moving.vmid) == "RUNNING", "its state")
        at_last(lambda: "it continues, with the firmware variables of 20" in hosts["a"].log(), "which variables it has")
        say(f"hosts: a VM runs elsewhere {time.monotonic() - killed:.1f} s after the power of its host was cut")
        off.unlink()
        b.reboot()
        hosts.until("b", "online")
    assert looks.processes == 1
    assert moving.where() == ["a"]
