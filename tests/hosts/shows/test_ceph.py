"""A pool on RBD of a Ceph cluster that two hosts reach: a guest boots from it, writes there, and goes to the other."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterator

import pytest

from tests.ceph import Ceph, lacking
from tests.hosts.namespaces import RealHosts, real_hosts
from tests.hosts.shows.looking import Shell, counted, states
from tests.patience import at_last
from velocity.cli.demo.guest import Guest
from velocity.contract.vm_settings import Attachment

pytestmark = [pytest.mark.hosts, pytest.mark.guest]
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


def daemons(hosts: RealHosts, name: str) -> int:
    """Images that machines have open on a host."""
    words = [one.read_bytes() for one in (hosts[name].files / "proc").glob("[0-9]*/cmdline")]
    return sum(b"qemu-storage-daemon" in one and b"/lent." in one for one in words)


@pytest.mark.holds("MANY-203")
def test_a_guest_on_rbd_boots_writes_and_goes_to_the_other_host(
    storage: tuple[RealHosts, Ceph], guest: Guest, say: Callable[[str], None]
) -> None:
    hosts, cluster = storage
    client = hosts.client
    at_last(lambda: has_both(hosts), "that both hosts have the pool")
    iso = client.upload(guest.iso, mpid=POOL, gid=0, name="iso", type="CDROM", readonly=True).mid
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
    client.set_vm_state(vmid=vmid, state="STOPPED", force=True)
    at_last(lambda: daemons(hosts, "b") == 0, "that its host lets go of them")
    image = cluster.admin("rbd", "export", "--no-progress", f"vm/{name_of(cluster, disk)}", str(cluster.path / "disk"))
    written = (cluster.path / "disk").read_bytes()
    assert image == ""
    assert hashlib.sha256(written[: 2 * MIB]).hexdigest() == inside
    assert written.startswith(b"of-this-guest\n")


@pytest.mark.holds("MANY-205")
def test_guests_of_a_host_whose_clients_the_cluster_blocks_write_nothing_any_more(
    storage: tuple[RealHosts, Ceph], guest: Guest
) -> None:
    """The key that the server has permits it; whoever confirms that host dead then has proof of it."""
    hosts, cluster = storage
    client = hosts.client
    at_last(lambda: has_both(hosts), "that both hosts have the pool")
    disk = client.create_medium(mpid=POOL, gid=0, name="blocked", size=16 * MIB).mid
    iso = client.upload(guest.iso, mpid=POOL, gid=0, name="iso of it", type="CDROM", readonly=True).mid
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


def has_both(hosts: RealHosts) -> bool:
    (pool,) = [one for one in hosts.client.list_pools(gid=0).pools if one.mpid == POOL]
    return len(pool.hosts or ()) == 2


def name_of(cluster: Ceph, mid: object) -> str:
    (name,) = [one for one in cluster.admin("rbd", "ls", "vm").splitlines() if one.startswith(str(mid))]
    return name
