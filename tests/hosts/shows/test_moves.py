"""A real guest goes from host to host while it computes and writes, whatever is cut, killed or fenced meanwhile."""

from __future__ import annotations

import hashlib
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.hosts.namespaces import NODE, SERVER, RealHosts, real_hosts
from tests.hosts.shows.looking import Shell, counted, phase, states, unheard
from tests.patience import at_last
from velocity.cli.demo.guest import Guest
from velocity.contract.tasks import TaskState
from velocity.contract.vm_settings import Attachment

pytestmark = [pytest.mark.hosts, pytest.mark.guest]
Say = Callable[[str], None]
MIB = 1 << 20
SHARED = 7
SECRET = "of-this-guest-alone"
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


class Moving:
    """Two hosts with a shared pool, and a guest that has a disk in its host's own pool and computes."""

    def __init__(self, hosts: RealHosts, guest: Guest, storage: Path) -> None:
        self.hosts, self.client = hosts, hosts.client
        iso = self.client.upload(guest.iso, mpid=SHARED, gid=0, name="iso", type="CDROM", readonly=True).mid
        self.mid = self.client.create_medium(mpid=1, gid=0, name="disk", size=16 * MIB).mid
        media = [Attachment(mid=iso, mode="VIRTIO"), Attachment(mid=self.mid, mode="BLOCK")]
        self.storage = storage
        self.vmid = self.client.create_vm(
            name="goes", gid=0, cpus=1, memory_mib=256, media=media, host=hosts.number("a")
        ).vmid
        self.client.set_vm_state(vmid=self.vmid, state="RUNNING")
        (self.uuid,) = hosts.running()
        self.shell = Shell(hosts.console(self.vmid))
        self.shell.boot()
        self.shell.run(f"yes {SECRET} | head -c 1000000 >/tmp/secret; dd if=/tmp/secret of=/dev/vda bs=1M seek=4")
        self.shell.begin_ticks()

    def where(self) -> list[str]:
        return self.hosts.running().get(self.uuid, [])

    def to(self, host: str) -> None:
        """Have it there, if it is not."""
        if self.where() != [host]:
            tid = self.client.move_vm_to_host(vmid=self.vmid, host=self.hosts.number(host)).tid
            assert self.ended(tid) is TaskState.DONE
            at_last(lambda: self.where() == [host], "the end of what it left")
            self.shell.goes_on()

    def task_ended(self, tid: int) -> bool:
        return self.client.show_task(tid=tid).state is not TaskState.RUNNING

    def ended(self, tid: int) -> TaskState:
        at_last(lambda: self.task_ended(tid), "the end of the move")
        return self.client.show_task(tid=tid).state

    def shares(self) -> Path:
        """The file of its disk, in the shared pool."""
        if not list(self.storage.glob(f"{self.mid}*")):
            tid = self.client.move_medium(mid=self.mid, mpid=SHARED).tid
            assert tid, "it moves as a task"
            assert self.ended(tid) is TaskState.DONE
        (file,) = self.storage.glob(f"{self.mid}*")
        return file

    def inside(self) -> str:
        """The SHA-256 of the first MiB, as the guest has it once it has stopped writing."""
        self.shell.run("touch /tmp/halt; wait %2; rm /tmp/halt; echo 3 >/proc/sys/vm/drop_caches")
        said = self.shell.run("dd if=/dev/vda bs=1M count=1 2>/dev/null | sha256sum")
        return str(re.findall(r"[0-9a-f]{64}", said)[-1])

    def files(self, host: str) -> list[Path]:
        """Of its disk, in that host's own pool."""
        return list(self.hosts[host].place.rglob(f"{self.mid}*"))

    def own(self, host: str) -> list[Path]:
        """What the host has of its runs."""
        return list((self.hosts[host].files / "run/velocity").glob(f"*/{self.uuid}*"))


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


@pytest.mark.holds("MANY-165")
def test_a_move_whose_link_is_cut_in_the_middle_leaves_the_guest_where_it_is(moving: Moving, say: Say) -> None:
    hosts, shell = moving.hosts, moving.shell
    there = hosts["b"]
    hosts.switch.slow(there, 20)
    with counted(hosts, moving.uuid) as looks:
        try:
            tid = moving.client.move_vm_to_host(vmid=moving.vmid, host=hosts.number("b")).tid
            at_last(lambda: phase(hosts["a"], moving.uuid) == "sending", "that it is sent")
            at_last(lambda: len(moving.where()) == 2, "what waits for it")
            cut = time.monotonic()
            there.cut()
            assert moving.ended(tid) is TaskState.FAILED
            shell.goes_on()
        finally:
            there.heal()
            hosts.switch.fast(there)
    say(f"hosts: a move whose link is cut: without a tick for {shell.gap(cut):.2f} s")
    assert looks.processes == 2
    hosts.until("b", "online")
    at_last(lambda: moving.where() == ["a"], "the end of what waited for it")
    at_last(lambda: moving.files("b") == [] and moving.own("b") == [], "the removal of what was made for it")
    assert hosts.state(moving.vmid) == "RUNNING"


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
    moving.shell = Shell(moving.hosts.console(moving.vmid))


CUT = 3.0
"""Seconds for which a link stays cut while a guest is handed over."""
BROKEN = [
    ("disks", kill_qemu), ("disks", kill_server), ("memory", cut), ("memory", kill_node),
    ("handing over", cut), ("handing over", kill_node),
]  # fmt: skip
"""In which phase of a move what happens. Who kills a QEMU just after the hand-over may kill the guest itself."""


@pytest.mark.holds("MANY-180")
@pytest.mark.parametrize(("at", "breaks"), BROKEN, ids=lambda one: one if isinstance(one, str) else one.__name__)
def test_a_move_that_is_broken_in_any_phase_leaves_one_guest_that_runs_and_nothing_else(
    moving: Moving, at: str, breaks: Callable[[Moving], None], say: Say
) -> None:
    """That it can be moved afterwards is seen by the next of these, and by the shows that follow."""
    hosts, b = moving.hosts, moving.hosts["b"]
    moving.to("a")
    hosts.switch.slow(b, 100)
    with counted(hosts, moving.uuid) as looks:
        try:
            tid = moving.client.move_vm_to_host(vmid=moving.vmid, host=hosts.number("b")).tid
            if at == "handing over":
                at_last(lambda: phase(hosts["a"], moving.uuid) not in (None, "sending"), "that it is handed over")
            else:
                at_last(lambda: moving.client.show_task(tid=tid).phase == at, f"the phase {at}")
                hosts.switch.slow(b, 5)  # it is to stay in that phase
                at_last(lambda: len(moving.where()) == 2, "what waits for it")
            breaks(moving)
            begun = time.monotonic()
            if at == "handing over":  # it may be there that it goes on
                time.sleep(CUT)
            else:
                moving.shell.goes_on()
            if breaks is cut and at != "handing over":
                at_last(lambda: moving.task_ended(tid), "the end of the move")
        finally:
            b.heal()
            hosts.switch.fast(b)
        hosts.until("b", "online")
        at_last(lambda: moving.task_ended(tid), "the end of the move")
        at_last(lambda: len(moving.where()) == 1, "the end of one of the two")
        moving.shell.goes_on()
        moving.shell.run("true")  # what is typed gets there, too
        say(f"hosts: {breaks.__name__} in the phase {at}: without a tick for {moving.shell.gap(begun):.2f} s")
    assert looks.processes == 2
    (there,) = moving.where()
    assert there == "a" or at == "handing over" or breaks is kill_node, "it goes without a node, from QEMU to QEMU"
    at_last(lambda: hosts.client.show_vm(vmid=moving.vmid).host.name == there, "where it is")
    at_last(lambda: hosts.state(moving.vmid) == "RUNNING", "its state")
    (left,) = {"a", "b"} - {there}
    at_last(lambda: moving.files(left) == [] and moving.own(left) == [], "the removal of what was made for it")


@pytest.mark.holds("MANY-164")
def test_a_guest_with_a_disk_of_its_host_goes_to_another_host_unseen(moving: Moving, say: Say) -> None:
    """Its ticks, its console, its state and its disk go on; nothing of it is left, and nothing of it is on the wire."""
    moving.to("a")
    hosts, shell = moving.hosts, moving.shell
    shell.run(f"({WRITES}) & true")
    with (
        counted(hosts, moving.uuid) as looks,
        states(hosts, moving.vmid) as seen,
        unheard(hosts, SECRET, bytes_=16 * MIB),
    ):
        begun = time.monotonic()
        hosts["a"].ok(f"velocity vm move id:{moving.vmid} --host b")
        took = time.monotonic() - begun
        shell.goes_on()
    say(f"hosts: a move with a disk of the host: {took:.1f} s, without a tick for {shell.gap(begun):.2f} s")
    assert looks.processes == 2, "it was watched on both hosts"
    assert seen == {"RUNNING"}
    shell.none_is_missing()
    at_last(lambda: moving.where() == ["b"], "the end of what it left")
    at_last(lambda: moving.files("a") == [] and moving.own("a") == [], "the removal of what it left")
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


def committed(hosts: RealHosts) -> bool:
    """Whether the database says that the VM is at the target, where the source may have it yet."""
    with closing(sqlite3.connect(hosts["a"].data / "velocity.db")) as database:
        return database.execute("select phase from host_moves").fetchall() == [("done",)]


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
            at_last(lambda: committed(hosts) or moving.where() == [target], "the commit")
        else:
            at_last(lambda: phase(hosts[source], moving.uuid) != "sending", "that it is handed over")
        begun = time.monotonic()
        hosts["a"].kill(SERVER)
        hosts.until_served()
        at_last(lambda: len(moving.where()) == 1, "the end of one of the two")
        at_last(lambda: hosts.state(moving.vmid) == "RUNNING", "its state")
        moving.shell = Shell(hosts.console(moving.vmid))  # the one before has ended with the server
        moving.shell.goes_on()
        took = time.monotonic() - begun
    (there,) = moving.where()
    say(f"hosts: a server killed {moment}: its VM of {source} is known to run on {there} in {took:.1f} s")
    assert looks.processes == 2
    assert there == target or moment == "while it is handed over"
    assert hosts.client.show_vm(vmid=moving.vmid).host.name == there
    (left,) = {"a", "b"} - {there}
    at_last(lambda: moving.own(left) == [], "the removal of what it left")


def has_variables(hosts: RealHosts) -> bool:
    """Whether the server has a copy of the firmware variables of the VM."""
    with closing(sqlite3.connect(hosts["a"].data / "velocity.db")) as database:
        return bool(database.execute("select machine from firmware_variables").fetchall())


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
    at_last(lambda: has_variables(hosts), "a copy of its firmware variables")
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
        assert "it goes on, with the firmware variables of 20" in hosts["a"].log()
        say(f"hosts: a VM runs elsewhere {time.monotonic() - killed:.1f} s after the power of its host was cut")
        off.unlink()
        b.reboot()
        hosts.until("b", "online")
    assert looks.processes == 1
    assert moving.where() == ["a"]
