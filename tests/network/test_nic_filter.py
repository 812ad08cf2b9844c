"""What a bridged guest may say: frames through the descriptor that its NIC has, on real bridges in the kernel."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.network import frames, speaker
from tests.root import only_root
from velocity.hypervisor.qemu.run_note import Run, RunNic
from velocity.network import nic_filter, taps
from velocity.network.rules import link_name, made_macs

ROOT = Path(__file__).parents[2]
BRIDGE = ("link add br0 type bridge", "link add vb0 type veth peer name up0", "link set vb0 master br0")
INTERFACE = ("link add vb0 type veth peer name up0",)


@pytest.fixture
def namespace() -> Iterator[str]:
    only_root("namespaces of the network")
    name = f"vf{uuid.uuid4().hex[:8]}"
    ip("netns", "add", name)
    try:
        yield name
    finally:
        ip("netns", "delete", name)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def inside(namespace: str, *command: str) -> subprocess.CompletedProcess[str]:
    command = ("ip", "netns", "exec", namespace, *command)
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, timeout=120)


def prepare(namespace: str, host_nic: str) -> None:
    """The host's NIC, with its addresses; what is said on it comes to up0. It heeds IPv6 routers."""
    for words in BRIDGE if host_nic == "br0" else INTERFACE:
        ip("-n", namespace, *words.split())
    for address in (f"{frames.HOST}/24", f"{frames.HOST6}/64"):
        ip("-n", namespace, "address", "add", address, "dev", host_nic, *(["nodad"] if ":" in address else []))
    for name in {"vb0", "up0", host_nic}:
        ip("-n", namespace, "link", "set", name, "up")
    for setting in ("accept_ra=2", "router_solicitations=0"):
        done = inside(namespace, "sysctl", "-w", f"net.ipv6.conf.{host_nic}.{setting}")
        assert done.returncode == 0, done.stderr


def spoken(namespace: str, host_nic: str, trust: str) -> dict[str, Any]:
    prepare(namespace, host_nic)
    done = inside(namespace, sys.executable, "-m", speaker.__name__, host_nic, "up0", trust)
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


@pytest.mark.holds("ISOLATION-9")
@pytest.mark.guest
@pytest.mark.parametrize("host_nic", ["br0", "vb0"], ids=["by a tap", "by a macvtap"])
def test_a_guest_speaks_as_itself_and_as_no_router_nor_dhcp_server(namespace: str, host_nic: str) -> None:
    said = spoken(namespace, host_nic, "untrusted")
    assert set(said["came"]) == set(frames.honest(speaker.OWN))
    assert said["addresses"] == [], "a guest has set the host's addresses"
    assert not [line for line in said["learned"] if frames.OTHER.hex(":") in line]
    assert said["holds"] == {"trusted": True, "full": True}
    assert not said["of another"]
    assert said["chains"] == [speaker.LINK]
    assert said["left"] == {"links": True, "chains": []}


@pytest.mark.holds("ISOLATION-11")
@pytest.mark.guest
@pytest.mark.parametrize("host_nic", ["br0", "vb0"], ids=["by a tap", "by a macvtap"])
def test_a_trusted_guest_says_everything_but_in_its_own_name(namespace: str, host_nic: str) -> None:
    said = spoken(namespace, host_nic, "trusted")
    assert set(said["came"]) == {*frames.honest(speaker.OWN), *frames.of_the_network(speaker.OWN)}
    assert not [line for line in said["learned"] if frames.OTHER.hex(":") in line]
    assert bool(said["addresses"]) is (host_nic == "br0"), "the host hears the guests of its bridges only"
    assert said["holds"] == {"trusted": True, "full": False}


@pytest.mark.guest
@pytest.mark.parametrize("nft", ["is missing", "may not"])
def test_no_nic_is_connected_without_a_packet_filter(namespace: str, tmp_path: Path, nft: str) -> None:
    prepare(namespace, "br0")
    program_of_ip = shutil.which("ip")
    assert program_of_ip
    (tmp_path / "ip").symlink_to(program_of_ip)
    if nft == "may not":
        (tmp_path / "nft").write_text("#!/bin/sh\necho Operation not permitted >&2; exit 1\n")
        (tmp_path / "nft").chmod(0o755)
    program = """
import sys
from pathlib import Path
from velocity.network import taps
links = lambda: sorted(path.name for path in Path("/sys/class/net").iterdir())
before = links()
for trusted in (False, True):
    for host_nic in ("br0", "up0"):
        try:
            taps.connect_nic(host_nic, "52:54:00:00:00:01", "vt51111n0", trusted=trusted)
        except taps.CannotConnect as error:
            print(error)
        else:
            raise AssertionError("a NIC without a filter")
        assert links() == before
"""
    done = inside(namespace, "env", f"PATH={tmp_path}", sys.executable, "-c", program)
    assert done.returncode == 0, done.stderr
    needs = "BRIDGE needs a packet filter, so that no guest poses as others: "
    why = needs + ("install nftables" if nft == "is missing" else "nft reports: Operation not permitted")
    assert done.stdout.splitlines() == [why] * 4


@pytest.mark.guest
def test_a_filter_that_was_taken_away_is_seen_and_set_again(namespace: str) -> None:
    """As `nft flush ruleset` does it. What a link has left that is gone is removed."""
    prepare(namespace, "br0")
    program = """
import os, subprocess
import msgspec
from velocity.hypervisor.qemu import nic_filters
from velocity.hypervisor.qemu.runs import Run, RunNic
from velocity.network import fence, nic_filter, nft, taps
from uuid import UUID

machine = UUID(int=7)
names = ("vt51111n0", "vt51111n2", "vt51111n3")
nics = {names[0]: RunNic(9, "02:00:00:00:00:09"), names[1]: RunNic(3, "02:00:00:00:00:03")}
run = Run(machine=machine, epoch=1, boot="", uid=51111, links=names, trusted=names[1:2], nics=nics)
host_nics = dict(zip(names, ("br0", "br0", "up0")))
def connect(name):
    return taps.connect_nic(host_nics[name], run.nic(name).mac, name, trusted=name in run.trusted)
open_ = {name: connect(name) for name in names}
before = nft.read("table", "netdev", nic_filter.TABLE)
expressions = lambda listed: [one["rule"]["expr"] for one in listed if "rule" in one]
assert list(nic_filters.unfiltered(run)) == [] and len(expressions(before)) > 30
subprocess.run(["nft", "flush", "ruleset"], check=True)
assert list(nic_filters.unfiltered(run)) == [9, 3, 4]
older = msgspec.structs.replace(run, trusted=None)
nic_filters.restore([older])
assert list(nic_filters.unfiltered(older)) == [9, 3, 4], "a guest of an earlier version stays as it is"
nic_filters.restore([run])
assert list(nic_filters.unfiltered(run)) == []
assert expressions(nft.read("table", "netdev", nic_filter.TABLE)) == expressions(before)
subprocess.run(["nft", "flush", "chain", "netdev", nic_filter.TABLE, names[0]], check=True)
assert list(nic_filters.unfiltered(run)) == [9]
nft.change(nic_filter.script(names[0], "ingress", nic_filter.rules(run.nic(names[0]).mac, trusted=True, hosts=())))
assert list(nic_filters.unfiltered(run)) == [9], "a filter for a trusted one is not enough"
uids = range(51000, 52000)
nic_filters.look([older], uids)
assert not fence.holds(uids), "it has no NAT NIC"
nic_filters.look([older, msgspec.structs.replace(run, nat=True)], uids)
assert fence.holds(uids)
assert list(nic_filters.unfiltered(run)) == [9], "what stands there is replaced at a start of the server only"
subprocess.run(["nft", "flush", "ruleset"], check=True)
nic_filters.look([msgspec.structs.replace(run, nat=True)], uids)
assert fence.holds(uids)
assert list(nic_filters.unfiltered(run)) == []
taps.remove_orphans()
assert sorted(nic_filter.links()) == sorted(names), "none of them is an orphan"
os.close(open_[names[1]].fds[0])
taps.remove_orphans()
assert sorted(nic_filter.links()) == [names[0], names[2]]
nic_filters.look([run], uids)
assert sorted(nic_filter.links()) == [names[0], names[2]], "what is gone needs no filter"
"""
    done = inside(namespace, sys.executable, "-c", program)
    assert done.returncode == 0, done.stderr


@pytest.mark.holds("GUEST-100")
@pytest.mark.guest
def test_a_nic_is_on_its_bridge_again_when_that_was_removed_and_made_anew(namespace: str) -> None:
    """As `systemctl restart networking` does it."""
    prepare(namespace, "br0")
    program = """
import subprocess
from uuid import UUID
from velocity.hypervisor.spec import BridgeSpec, MachineSpec
from velocity.hypervisor.qemu import nic_filters
from velocity.hypervisor.qemu.runs import Run, RunNic
from velocity.network import taps

ip = lambda words: subprocess.run(["ip", *words.split()], check=True)
link, mac = "vt51111n0", "02:00:00:00:00:09"
made = MachineSpec("vm", 1, 64, "q35", "0", nics=(BridgeSpec(9, mac, "br0"),))
nics = {link: RunNic(9, mac)}
run = Run(machine=UUID(int=7), epoch=1, boot="", uid=51111, links=(link,), trusted=(), made=made, nics=nics)
kept, lost = taps.connect_nic("br0", mac, link), set()
nic_filters.rejoin([run], lost)
assert (taps.carrier(link), lost) == ("br0", set())
ip("link delete br0")
for _ in range(2):
    nic_filters.rejoin([run], lost)
    assert (taps.carrier(link), lost) == (None, {link}), "there is none"
ip("link add br0 type bridge")
lost.clear()
nic_filters.rejoin([run], lost)
assert taps.carrier(link) is None, "it may be on its way to another one"
nic_filters.rejoin([run], lost)
assert taps.carrier(link) == "br0"
nic_filters.rejoin([run], lost)
assert (taps.carrier(link), lost, list(nic_filters.unfiltered(run))) == ("br0", set(), [])
"""
    done = inside(namespace, sys.executable, "-c", program)
    assert done.returncode == 0, done.stderr


def test_a_link_tells_which_nic_it_is() -> None:
    """By the note of its run, or in one of an earlier version by its place in the list."""
    machine = uuid.UUID(int=7)
    links = tuple(link_name("vt", 29999, nic) for nic in (1, 8, 11))
    assert links == ("vt29999n0", "vt29999n7", "vt29999n2")
    run = Run(machine=machine, epoch=1, boot="", links=links, nics={links[2]: RunNic(11, "02:00:00:00:00:0b")})
    first, last = (next(made_macs(machine, nic)) for nic in (1, 8))
    assert [run.nic(link) for link in links] == [RunNic(1, first), RunNic(8, last), RunNic(11, "02:00:00:00:00:0b")]


def test_a_filter_takes_the_place_of_an_older_one_in_one_transaction() -> None:
    script = nic_filter.script("vt1n0", "ingress", nic_filter.rules("52:54:00:00:00:01", trusted=True, hosts=()))
    assert script.index("delete chain") < script.index("type filter hook ingress") < script.index("ether saddr !=")
    assert "policy drop" in script


@pytest.mark.parametrize(
    ("off", "forwards", "accepts", "heeds"),
    [(0, 0, 1, True), (0, 0, 0, False), (0, 1, 1, False), (0, 1, 2, True), (1, 0, 1, False)],
)
def test_it_is_known_whether_the_host_heeds_the_routers_of_a_bridge(
    tmp_path: Path, off: int, forwards: int, accepts: int, heeds: bool
) -> None:
    (tmp_path / "br0").mkdir()
    for name, value in (("disable_ipv6", off), ("forwarding", forwards), ("accept_ra", accepts)):
        (tmp_path / "br0" / name).write_text(f"{value}\n")
    assert taps.accepts_routers("br0", tmp_path) is heeds
    assert not taps.accepts_routers("br1", tmp_path), "a kernel without IPv6"
