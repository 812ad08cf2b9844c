"""A pool on RBD of a Ceph cluster that two hosts reach: a guest boots from it, writes there, and goes to the other."""

from __future__ import annotations

import contextlib
import hashlib
import re
import time
from collections.abc import Callable, Iterator
from uuid import UUID

import pytest
from msgspec import UNSET, UnsetType

from tests.ceph import Ceph, lacking
from tests.hosts.namespaces import NODE, RealHosts, real_hosts
from tests.hosts.shows.looking import Shell, counted, states
from tests.patience import at_last
from velocity.cli.demo.guest import Guest
from velocity.client import ApiError
from velocity.contract.vm_settings import Attachment

pytestmark = [pytest.mark.hosts, pytest.mark.guest, pytest.mark.xdist_group("rbd")]
MIB = 1 << 20
POOL = 5


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RealHosts, Ceph]]:
    """Two hosts that have the pool, and its cluster, which is on neither."""
    if why := lacking():
        pytest.skip(why)
    place = tmp_path_factory.mktemp("ceph")
    with real_hosts(place, "a", "b") as hosts:
        cluster = Ceph(place / "ceph", hosts.switch.ADDRESS, hosts.switch.inside)
        try:
            cluster.start()
            for number, name in enumerate(("a", "b"), 1):
                own = f'{{ mpid = {number}, name = "own-{name}", path = "{hosts[name].place}/media" }}'
                rbd = f'{{ mpid = {POOL}, name = "ceph", kind = "rbd", rados_pool = "vm", conf = "{cluster.conf}" }}'
                lines = [f"pools = [{own}, {rbd}]"]
                hosts.serve(*lines) if name == "a" else hosts.join(name, *lines)
            yield hosts, cluster
        finally:
            cluster.stop()


@pytest.fixture(scope="module")
def iso(storage: tuple[RealHosts, Ceph], guest: Guest) -> UUID:
    """The guest's CD, in the pool that both hosts have."""
    hosts, _ = storage
    at_last(lambda: has_both(hosts), "that both hosts have the pool")
    return hosts.client.upload(guest.iso, mpid=POOL, gid=0, name="iso", type="CDROM", readonly=True).mid


def daemons(hosts: RealHosts, name: str) -> int:
    """Images that machines have open on a host."""
    words = []
    for one in (hosts[name].files / "proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has just ended
            words.append(one.read_bytes())
    return sum(b"qemu-storage-daemon" in one and b"/lent." in one for one in words)


@pytest.mark.holds("MANY-203", "MANY-211", "MANY-212")
def test_a_guest_on_rbd_boots_writes_and_goes_to_the_other_host(
    storage: tuple[RealHosts, Ceph], iso: UUID, say: Callable[[str], None]
) -> None:
    hosts, cluster = storage
    client = hosts.client
    disk = client.create_medium(mpid=POOL, gid=0, name="disk", size=16 * MIB).mid
    media = [Attachment(mid=iso, mode="VIRTIO"), Attachment(mid=disk, mode="BLOCK")]
    host = hosts.number("a")
    vmid = client.create_vm(name="on-rbd", gid=0, cpus=1, memory_mib=256, media=media, host=host).vmid
    client.set_vm_state(vmid=vmid, state="RUNNING")
    (uuid,) = hosts.running()
    shell = Shell(hosts.console(vmid))
    shell.boot()
    assert daemons(hosts, "a") == 2
    shell.run("yes of-this-guest | head -c 1048576 | dd of=/dev/vda bs=64k oflag=direct")
    shell.begin_ticks()
    with counted(hosts, uuid), states(hosts, vmid) as seen:
        begun = time.monotonic()
        hosts["a"].ok(f"velocity vm move id:{vmid} --host b")
        took = time.monotonic() - begun
        shell.goes_on()
    say(f"hosts: a move with disks on RBD: {took:.1f} s, without a tick for {shell.gap(begun):.2f} s")
    assert seen == {"RUNNING"}
    shell.none_is_missing()
    at_last(lambda: daemons(hosts, "a") == 0, "that its former host lets go of the images")
    shell.run("yes from-b | head -c 1048576 | dd of=/dev/vda bs=64k seek=16 oflag=direct")
    said = shell.run("echo 3 >/proc/sys/vm/drop_caches; dd if=/dev/vda bs=1M count=2 2>/dev/null | sha256sum")
    inside = re.findall(r"[0-9a-f]{64}", said)[-1]
    plugged_in_and_grown(hosts, shell, vmid, media)
    seconds = waits_for_room(hosts, cluster, shell, vmid)
    say(f"hosts: a VM in a full RBD pool ends {seconds:.1f} s after it is stopped by force")
    at_last(lambda: daemons(hosts, "b") == 0, "that its host lets go of them")
    image = cluster.admin("rbd", "export", "--no-progress", f"vm/{name_of(cluster, disk)}", str(cluster.path / "disk"))
    written = (cluster.path / "disk").read_bytes()
    assert image == ""
    assert hashlib.sha256(written[: 2 * MIB]).hexdigest() == inside
    assert written.startswith(b"of-this-guest\n")


def plugged_in_and_grown(hosts: RealHosts, shell: Shell, vmid: int, media: list[Attachment]) -> None:
    """A disk that comes to a guest while it runs, and is larger then."""
    client = hosts.client
    more = client.create_medium(mpid=POOL, gid=0, name="more", size=4 * MIB).mid
    waits = client.alter_vm(vmid=vmid, media=[*media, Attachment(mid=more, mode="BLOCK")]).waiting
    assert waits == []
    at_last(lambda: "4096 vdb" in shell.run("cat /proc/partitions"), "the disk in the guest")
    client.alter_medium(mid=more, size=8 * MIB)
    at_last(lambda: "8192 vdb" in shell.run("cat /proc/partitions"), "its size")
    shell.run("yes in-the-new-part | head -c 512 | dd of=/dev/vdb bs=512 seek=15000 oflag=direct")


def waits_for_room(hosts: RealHosts, cluster: Ceph, shell: Shell, vmid: int) -> float:
    """A guest whose pool is full stands still when it writes, goes on when there is room, and can be stopped.

    Returns how long the stop took.
    """
    client, write, took = hosts.client, "yes | head -c 65536 | dd of=/dev/vdb bs=64k oflag=direct", 0.0
    for number, ends in enumerate((False, True)):
        cluster.fill()
        try:
            shell.type(f"{write} seek={number}; echo WRI''TTEN{number}.")
            at_last(lambda: pool_state(hosts) == "full", "that the pool is told as full")
            with pytest.raises(ApiError):
                client.create_medium(mpid=POOL, gid=0, name="none", size=MIB)
            assert hosts.state(vmid) == "RUNNING"
            assert f"WRITTEN{number}." not in shell.text()
            if ends:
                begun = time.monotonic()
                with contextlib.suppress(ApiError):  # as long as its process waits for the cluster
                    client.set_vm_state(vmid=vmid, state="STOPPED", force=True)
                at_last(lambda: hosts.state(vmid) == "STOPPED", "its end")
                took = time.monotonic() - begun
        finally:
            cluster.drain()
        if not ends:
            shell.until(f"WRITTEN{number}.")
        at_last(lambda: pool_state(hosts) == "online", "that the pool has room")
    return took


def pool_state(hosts: RealHosts) -> str:
    return next(one.state for one in hosts.client.list_pools(gid=0).pools if one.mpid == POOL)


@pytest.mark.holds("MANY-205")
def test_guests_of_a_host_whose_clients_are_blocklisted_write_nothing_any_more(
    storage: tuple[RealHosts, Ceph], iso: UUID
) -> None:
    """The key that the server has permits it; whoever confirms that host dead then has proof of it."""
    hosts, cluster = storage
    client = hosts.client
    at_last(lambda: has_both(hosts), "that both hosts have the pool, whatever kept b from it before")
    disk = client.create_medium(mpid=POOL, gid=0, name="blocked", size=16 * MIB).mid
    media = [Attachment(mid=iso, mode="VIRTIO"), Attachment(mid=disk, mode="BLOCK")]
    host = hosts.number("b")
    vmid = client.create_vm(name="blocked", gid=0, cpus=1, memory_mib=256, media=media, host=host).vmid
    client.set_vm_state(vmid=vmid, state="RUNNING")
    shell = Shell(hosts.console(vmid))
    shell.boot()
    shell.run("yes before | head -c 1048576 | dd of=/dev/vda bs=64k oflag=direct")
    block = f"{hosts['b'].address}:0/0"
    cluster.ceph("--id", "velocity", "osd", "blocklist", "add", block, "600")
    try:
        shell.type("yes after | head -c 1048576 | dd of=/dev/vda bs=64k oflag=direct")
        at_last(lambda: hosts.state(vmid) == "PAUSED", "the error of its disk")
        reason = client.vm_state(vmid=vmid).reason
        assert reason
        assert reason.cause == "disk-error"
        client.set_vm_state(vmid=vmid, state="RUNNING")
        at_last(lambda: hosts.state(vmid) == "PAUSED", "the same error")
        cluster.admin("rbd", "export", "--no-progress", f"vm/{name_of(cluster, disk)}", str(cluster.path / "blocked"))
        written = (cluster.path / "blocked").read_bytes()
        assert written.startswith(b"before\n")
        assert b"after" not in written
    finally:
        cluster.ceph("osd", "blocklist", "rm", block)
        client.set_vm_state(vmid=vmid, state="STOPPED", force=True)


@pytest.mark.holds("MANY-206", "MANY-207")
def test_a_lost_host_is_blocklisted_and_taken_off_again(
    storage: tuple[RealHosts, Ceph], iso: UUID, say: Callable[[str], None]
) -> None:
    """The node stands still, its guest does not: it writes on until the cluster refuses it."""
    hosts, cluster = storage
    client, b = hosts.client, hosts["b"]
    at_last(lambda: has_both(hosts), "that both hosts have the pool, whatever kept b from it before")
    disk = client.create_medium(mpid=POOL, gid=0, name="fenced", size=MIB).mid
    media = [Attachment(mid=iso, mode="VIRTIO"), Attachment(mid=disk, mode="BLOCK")]
    host = hosts.number("b")
    others = hosts.running().keys()
    vmid = client.create_vm(name="fenced", gid=0, cpus=1, memory_mib=256, media=media, host=host, ha="restart").vmid
    client.set_vm_state(vmid=vmid, state="RUNNING")
    shell = Shell(hosts.console(vmid))
    shell.boot()
    (uuid,) = hosts.running().keys() - others
    shell.type(f"while echo old | {WRITE}; do :; done 2> /dev/null &")
    at_last(lambda: first_words(cluster, disk) == b"old", "the guest's writing")
    at_last(lambda: bool(client.show_node(host=host).rbd_addresses), "the address of b")
    b.freeze(NODE)
    try:
        hosts.until("b", "unreachable")
        begun = time.monotonic()
        assert client.blocklist_node(host=host, name="b").rbd_addresses == [b.address]
        at_last(lambda: at(hosts, vmid) == hosts.number("a") and hosts.state(vmid) == "RUNNING", "its start on a")
        say(f"hosts: a VM on RBD runs elsewhere {time.monotonic() - begun:.1f} s after its host was to be blocklisted")
        assert uuid in b.guests(), "it runs there still"
        shell = Shell(hosts.console(vmid))
        shell.boot()
        shell.run(f"echo new | {WRITE}")
    finally:
        b.thaw(NODE)
    at_last(lambda: client.show_node(host=host).state == "online", "the answer of b")
    at_last(lambda: client.show_node(host=host).blocklisted is UNSET, "that b is off the blocklist")
    assert uuid not in b.guests()
    assert daemons(hosts, "b") == 0
    assert f"{b.address}:0/0" not in cluster.ceph("osd", "blocklist", "ls")
    at_last(lambda: has_both(hosts), "that b has the pool again")
    assert first_words(cluster, disk) == b"new", "nothing that b had written came late"
    client.move_vm_to_host(vmid=vmid, host=host)
    at_last(lambda: at(hosts, vmid) == host, "its move to b")
    shell.run(f"echo moved | {WRITE}")
    assert first_words(cluster, disk) == b"moved"
    client.set_vm_state(vmid=vmid, state="STOPPED", force=True)


WRITE = "dd of=/dev/vda bs=512 conv=sync,notrunc oflag=direct"


def first_words(cluster: Ceph, mid: object) -> bytes:
    """Those at the beginning of an image."""
    copy = cluster.path / "copy"
    copy.unlink(missing_ok=True)
    cluster.admin("rbd", "export", "--no-progress", f"vm/{name_of(cluster, mid)}", str(copy))
    return copy.read_bytes()[:512].rstrip(b"\0").strip()


def at(hosts: RealHosts, vmid: int) -> int:
    """The host that a VM is on."""
    host = hosts.client.show_vm(vmid=vmid).host
    assert not isinstance(host, UnsetType)
    return host.id


def has_both(hosts: RealHosts) -> bool:
    (pool,) = [one for one in hosts.client.list_pools(gid=0).pools if one.mpid == POOL]
    return len(pool.hosts or ()) == 2


def name_of(cluster: Ceph, mid: object) -> str:
    (name,) = [one for one in cluster.admin("rbd", "ls", "vm").splitlines() if one.startswith(str(mid))]
    return name
