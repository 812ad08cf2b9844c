"""Addresses and names; taps, macvtaps and the fence in the kernel itself."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from tests.journeys.server import in_namespace
from tests.root import only_root
from velocity.network import fence, taps
from velocity.network.rules import link_name, made_macs


def test_addresses_are_stable_and_local() -> None:
    one = UUID(int=1)
    macs = [*made_macs(one, 1), *made_macs(one, 2), *made_macs(UUID(int=2), 1)]
    assert macs[:16] == list(made_macs(one, 1))
    assert len(set(macs)) == len(macs) == 48, "also those that come when the first is taken"
    assert all(re.fullmatch("52:54:00(:[0-9a-f]{2}){3}", mac) for mac in macs)
    assert len(link_name("vt", 4294967295, 123456)) <= 15


def test_the_fence_is_one_transaction_on_one_range() -> None:
    script = fence.script(range(20000, 30000), ["127.0.0.53"])
    accept, closed = script.index("127.0.0.53"), script.index("127.0.0.0/8 reject")
    assert accept < closed, "DNS to the host's own resolver stays open"
    assert script.count("meta skuid 20000-29999") == 3 + len(fence.CLOSED)
    assert "meta skuid 20000-29999 ct direction reply accept" in script, "who came by a port of the host is answered"
    assert "ip6 daddr ::1/128 reject" in script
    assert 'oifname "vnat*" reject' in script, "guests that have NAT by a bridge are no neighbours"


def test_only_resolvers_among_what_is_closed_are_exempt(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text("# x\nnameserver 127.0.0.53\nnameserver 192.0.2.9\nnameserver ::1\nnameserver nonsense\nsearch x\n")
    assert fence.closed_resolvers(file) == ["127.0.0.53", "::1"]
    file.write_text("nameserver 169.254.169.254\nnameserver fe80::1%eth0\n")
    assert fence.closed_resolvers(file) == ["169.254.169.254", "fe80::1"]
    assert fence.closed_resolvers(tmp_path / "none") == []


@pytest.mark.parametrize("name", ["", "a b", "a/b", "..", "x" * 16, "no-such-nic"])
def test_names_that_are_no_nic(name: str) -> None:
    assert taps.kind(name) == "absent"
    with pytest.raises(taps.CannotConnect):
        taps.connect_nic(name, "52:54:00:00:00:01", "vttest")


@pytest.fixture
def namespace() -> Iterator[str]:
    only_root("namespaces of the network")
    name = f"vn{uuid.uuid4().hex[:8]}"
    ip("netns", "add", name)
    try:
        ip("-n", name, "link", "set", "lo", "up")
        yield name
    finally:
        ip("netns", "delete", name)


def ip(*words: str) -> str:
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


def within(namespace: str, program: str) -> int:
    """Run a Python program there, which asserts what it sees; its status."""
    return subprocess.run(["ip", "netns", "exec", namespace, sys.executable, "-c", program], check=False).returncode


@pytest.mark.guest
def test_taps_and_macvtaps_come_and_go(namespace: str) -> None:
    """Run in a process of its own inside the namespace, where /sys shows that namespace's links."""
    ip("-n", namespace, "link", "add", "br0", "type", "bridge")
    ip("-n", namespace, "link", "add", "v0", "type", "veth", "peer", "name", "v1")
    program = """
import os
from pathlib import Path
from velocity.network import taps
net = Path("/sys/class/net")
assert (taps.kind("br0"), taps.kind("v0")) == ("bridge", "interface")
tap = taps.connect_nic("br0", "52:54:00:00:00:01", "vt1n0")
assert tap.device is None and (net / "br0/brif/vt1n0").exists()
os.close(tap.fds[0])
assert not (net / "vt1n0").exists(), "a tap vanishes with its descriptor"
macvtap = taps.connect_nic("v0", "52:54:00:00:00:02", "vt1n1")
assert macvtap.device == "vt1n1" and (net / "vt1n1/address").read_text().strip() == "52:54:00:00:00:02"
os.close(macvtap.fds[0])
assert (net / "vt1n1").exists()
before = sorted(os.listdir(net))
try:
    taps.connect_nic("v0", "no address", "vt1n2")
except taps.CannotConnect:
    pass
assert sorted(os.listdir(net)) == before, "a failure leaves no link"
taps.disconnect_nic("vt1n1")
taps.disconnect_nic("vt1n1")
assert not (net / "vt1n1").exists()
"""
    assert within(namespace, program) == 0


@pytest.mark.holds("NAT-11")
@pytest.mark.guest
def test_the_end_of_a_guest_does_not_wait_for_its_links_to_be_removed(namespace: str) -> None:
    """The kernel removes a tap while its last descriptor is closed: that is never the one of a guest's process."""
    ip("-n", namespace, "link", "add", "br0", "type", "bridge")
    program = """
import contextlib
from pathlib import Path
from uuid import UUID
from tests.ports.subjects import spec
from velocity.hypervisor.fake import FakeHypervisor
from velocity.hypervisor.port import BridgeSpec
from velocity.hypervisor.qemu import nic_links
from velocity.hypervisor.qemu.directories import HostDirectories
from velocity.hypervisor.qemu.run_note import Run
import msgspec

place = HostDirectories("", "tcg", Path(), Path(), None, None, privileged=True, bounds=None)
wanted = msgspec.structs.replace(
    spec(FakeHypervisor()), nics=(BridgeSpec(nic=1, mac="52:54:00:00:00:01", identifier="br0"),)
)
run = nic_links.with_links(place, Run(UUID(int=1), 1, "", uid=7), wanted.nics)
link = Path("/sys/class/net") / run.links[0]
for _ in range(2):
    with contextlib.ExitStack() as copies:
        nic_links.connect_nics(place, run, wanted, copies, {})
    assert link.exists(), "whoever had it for the guest has closed it"
    nic_links.disconnect(place, run, run.links[0])
    assert not link.exists()
with contextlib.ExitStack() as copies:
    nic_links.connect_nics(place, run, wanted, copies, {})
    place.taps.close()
    assert link.exists(), "the guest has it yet when the server ends"
assert not link.exists(), "no server, no guest: nothing is left"
"""
    assert within(namespace, program) == 0


METADATA = ("169.254.169.254", "fe80::a9fe:a9fe", "fd00:ec2::254", "168.63.129.16", "100.100.100.200")
"""Where clouds tell their hosts secrets."""
CONNECT = """
import os, socket, sys
os.setgroups([]); os.setgid(int(sys.argv[1])); os.setuid(int(sys.argv[1]))
family = socket.AF_INET6 if ":" in sys.argv[2] else socket.AF_INET
with socket.socket(family, socket.SOCK_STREAM) as plug:
    plug.settimeout(2)
    # Link-local addresses need the interface besides: here it is the loopback, the first one.
    plug.connect((sys.argv[2], int(sys.argv[3]), *((0, 1) if sys.argv[2].startswith("fe80") else ())))
"""


@pytest.mark.holds("METRIC-5")
@pytest.mark.guest
def test_traffic_is_counted_as_the_guest_sees_it(namespace: str) -> None:
    """Twenty frames of 1,000 bytes each way, through the descriptor that a guest's NIC would have."""
    ip("-n", namespace, "link", "add", "br0", "type", "bridge")
    ip("-n", namespace, "link", "add", "v0", "type", "veth", "peer", "name", "v1")
    for name in ("br0", "v0", "v1"):
        ip("-n", namespace, "link", "set", name, "up")
    program = """
import os, socket, time
from velocity.network import taps

OURS, OTHERS = bytes.fromhex("525400000001"), bytes.fromhex("525400000009")
SENT, FRAME = (b"\\xff" * 6 + source + b"\\x88\\xb5" + bytes(986) for source in (OURS, OTHERS))
VNET_HEADER = bytes(10)

def came_to(device, received, sent):
    for _ in range(3000):
        now = taps.traffic(device)
        if now[0] >= received and now[1] >= sent:
            return now
        time.sleep(0.02)
    raise AssertionError((device, now))

def take(descriptor, wanted):
    for _ in range(3000):
        try:
            wanted -= len(os.read(descriptor, 4096)) == len(VNET_HEADER + FRAME)
        except BlockingIOError:
            time.sleep(0.02)
        if not wanted:
            return
    raise AssertionError((wanted, "frames did not come"))

# What is sent on the bridge reaches the tap; what is sent on the other end of the pair, the macvtap.
for near, link, host_nic in (("br0", "vt1n0", "br0"), ("v1", "vt1n1", "v0")):
    opened = taps.connect_nic(host_nic, "52:54:00:00:00:01", link, trusted=True)  # frames of no protocol
    for _ in range(20):
        os.write(opened.fds[0], VNET_HEADER + SENT)
    received, sent = came_to(link, 0, 20_000)
    assert received < 10_000, (link, received)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as plug:
        plug.bind((near, 0))
        for _ in range(20):
            plug.send(FRAME)
    take(opened.fds[0], 20)
    assert came_to(link, 20_000, 20_000)[1] < 30_000
    os.close(opened.fds[0])
    if opened.device:
        taps.disconnect_nic(opened.device)
try:
    taps.traffic("vt1n0")
except OSError:
    pass
else:
    raise AssertionError("a link that is gone has no counters")
"""
    assert within(namespace, program) == 0


@pytest.mark.holds("ISOLATION-7")
@pytest.mark.guest
def test_the_fence_holds_for_its_uids_and_for_nobody_else(namespace: str) -> None:
    uids = range(41000, 42000)
    subprocess.run(
        ["ip", "netns", "exec", namespace, "nft", "-f", "-"],
        input=fence.script(uids, ["127.0.0.53"]),
        text=True,
        check=True,
    )
    servers = in_namespace(
        namespace,
        lambda: [
            socket.create_server(("0.0.0.0", 0)),
            socket.create_server(("::", 0), family=socket.AF_INET6),
            socket.create_server(("127.0.0.53", 53)),
        ],
    )
    v4, v6, _ = (server.getsockname()[1] for server in servers)

    def reaches(uid: int, address: str, port: int) -> bool:
        # The interpreter is root's own: it becomes that uid only after its start.
        command = [sys.executable, "-c", CONNECT, str(uid), address, str(port)]
        done = subprocess.run(["ip", "netns", "exec", namespace, *command], capture_output=True, check=False)
        return done.returncode == 0

    try:
        for address, port in (("127.0.0.1", v4), ("127.9.9.9", v4), ("0.0.0.0", v4), ("::1", v6), ("127.0.0.1", 53)):
            assert not reaches(41001, address, port), address
        assert reaches(40999, "127.0.0.1", v4)
        assert reaches(40999, "::1", v6)
        assert reaches(41001, "127.0.0.53", 53), "DNS"
        for address in METADATA:
            command = ["ip", "-n", namespace, "address", "add", address, "dev", "lo"]
            subprocess.run([*command, "nodad"] if ":" in address else command, check=True)
            port = v6 if ":" in address else v4
            assert reaches(40999, address, port), f"{address} is there for the host"
            assert not reaches(41001, address, port), address
    finally:
        for server in servers:
            server.close()


@pytest.mark.guest
def test_the_fence_is_read_back_from_the_kernel(namespace: str) -> None:
    program = """
from velocity.network import fence

uids = range(43000, 43010)
assert not fence.holds(uids)
for _ in range(2):
    fence.raise_fence(uids)
    assert fence.holds(uids)
assert not fence.holds(range(43000, 43011))
"""
    assert within(namespace, program) == 0
