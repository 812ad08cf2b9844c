"""A BRIDGE NIC on a Linux bridge and on an ordinary interface, in a network namespace with a DHCP server of our own.

Beside them it has a NAT NIC, and a way out to another namespace.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from tests.journeys.bridged import OUT, WORLD, bridged, run
from tests.journeys.raw_frames import program
from tests.journeys.server import Server, Terminal, in_namespace
from tests.network import frames
from tests.patience import PATIENCE, at_last
from velocity.cli.demo.guest import Guest

pytestmark = pytest.mark.guest

METADATA = "169.254.169.254"
PORT, GREETS = 2222, 7000
"""Of the host, and of the guest."""
HOST_NICS = {"br0", "vb0", "up0", "out0", "lo"}


@pytest.fixture
def namespace() -> Iterator[str]:
    with bridged() as name:
        yield name


@pytest.mark.holds(
    "ISOLATION-10", "ISOLATION-14", "PAGE-93", "NAT-6", "NAT-17", "NAT-19", "GUEST-63", "GUEST-64", "GUEST-65"
)
def test_a_bridged_guest_is_on_the_host_nic_and_poses_as_nobody(
    namespace: str, tmp_path: Path, runtime: Path, guest: Guest
) -> None:
    """What it tries from inside, it does with busybox's tools, and with a program that sends any frame."""
    nics = '[{nicid=7, identifier="br0", description="a bridge"}, {nicid=8, identifier="up0"}]'
    server = Server(tmp_path / "data", netns=namespace, nics=nics, runtime_dir=str(runtime))
    try:
        server.start()
        declared = server.ok("POST", "/v/nic/list")["host_nics"]
        assert declared[0] == {"nicid": 7, "description": "a bridge", "identifier": "br0"}
        mid = server.upload("guest.iso", guest.iso.read_bytes())
        vmid = server.ok(
            "PUT",
            "/v/vm/efi",
            name="bridged",
            gid=0,
            cpus=1,
            memory_mib=256,
            media=[{"mid": mid, "mode": "VIRTIO"}],
            nics=[{"type": "BRIDGE", "host": "7"}, {"type": "BRIDGE", "host": 8}, {"type": "NAT"}],
        )["vmid"]
        shown = server.ok("POST", "/v/vm", vmid=vmid)
        assert shown["nics"][0] == {"type": "BRIDGE", "host": 7}
        assert [one.get("nat") for one in shown["interfaces"]] == [None, None, "BRIDGE"]
        address, _ = shown["interfaces"][2]["addresses"]
        assert set(known(server, vmid).values()) == {"lease"}, "reserved"
        bridge, here = nat_bridge(server)
        assert bridge not in links(namespace), "what nobody needs is not there"
        server.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        ours = links(namespace) - HOST_NICS - {bridge}
        assert [name[:2] + name[-2:] for name in sorted(ours)] == ["vtn0", "vtn1", "vtn2"]
        terminal = server.console(vmid)
        terminal.boot()
        for nic, network in (("eth0", "198.51.100."), ("eth1", "198.51.100."), ("eth2", f"{address}/")):
            said = terminal.run(f"for i in $(seq 20); do ip -4 addr show {nic} | grep inet && break; sleep 1; done")
            assert f"inet {network}" in said, said
        at_last(lambda: known(server, vmid)[address] == "neighbour", "what the guest has taken of NAT's")
        assert "bytes from" in terminal.run("ping -c 1 -W 3 198.51.100.1")
        isolation = server.ok("POST", "/v/vm", vmid=vmid)["isolation"]
        assert [gap for gap in isolation["gaps"] if not gap.startswith("its memory is not limited")] == []
        assert isolation["unfiltered_nics"] == []
        assert set(filters(namespace)) == ours
        its_traffic_is_counted = sends(server, namespace, terminal)
        its_nics_come_and_move_and_go(server, namespace, terminal, vmid)
        assert links(namespace) - HOST_NICS - {bridge} == ours
        reaches_no_service_of_the_host_alone(namespace, terminal, here)
        says_nothing_in_the_name_of_others(namespace, terminal)
        takes_no_neighbours_mac(namespace, terminal)
        its_traffic_is_counted()
        a_port_of_the_host_leads_to_it(namespace, server, terminal, vmid)
        has_its_filters_again(namespace, server, vmid, ours)
        at_last(lambda: called(f"{namespace}w", OUT) == "hello", "the port of the host")
        server.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
        at_last(lambda: links(namespace) - {bridge} == HOST_NICS, "a host without links of VMs")
        at_last(lambda: filters(namespace) == [], "a host without filters of VMs")
        server.end()
        assert links(namespace) == HOST_NICS
        assert "vnat" not in run("ip", "netns", "exec", namespace, "nft", "list", "tables")
        assert len(dnsmasqs(namespace)) == 1, "ours is gone, and the one on br0 is not"
    finally:
        server.close()


def known(server: Server, vmid: int) -> dict[str, str]:
    """The addresses of its third NIC, with their sources."""
    nic = server.ok("POST", "/v/vm", vmid=vmid)["interfaces"][2]
    return {one["address"]: one["source"] for one in nic["known_addresses"]}


def sends(server: Server, namespace: str, terminal: Terminal) -> Callable[[], None]:
    """The guest sends half a million bytes. That they are counted is seen later, as it takes up to ten seconds."""
    before = {way: server.measured(f"velocity_vm_network_{way}_bytes_total") for way in ("sent", "received")}
    with in_namespace(namespace, lambda: socket.create_server(("198.51.100.1", 0))) as sink:
        sink.settimeout(PATIENCE)
        drain = threading.Thread(target=take, args=(sink, 500_000), daemon=True)
        drain.start()
        terminal.run(f"dd if=/dev/zero bs=1000 count=500 2>/dev/null | nc 198.51.100.1 {sink.getsockname()[1]}")
        drain.join()

    def counted() -> None:
        """In what the guest sent, not in what it received."""
        sent = before["sent"] + 500_000
        at_last(lambda: server.measured("velocity_vm_network_sent_bytes_total") >= sent, every=0.5)
        assert server.measured("velocity_vm_network_received_bytes_total") < before["received"] + 200_000

    return counted


def its_nics_come_and_move_and_go(server: Server, namespace: str, terminal: Terminal, vmid: int) -> None:
    """A fourth one: plugged in, its cable out and in, from NAT to the bridge and back, and out, seen from inside."""
    shown = server.ok("POST", "/v/vm", vmid=vmid)
    cold = [{**nic, "id": one["id"]} for nic, one in zip(shown["nics"], shown["interfaces"], strict=True)]
    before = links(namespace)
    nat: dict[str, object] = {"type": "NAT"}
    assert altered(server, vmid, [*cold, nat]) == {}
    one = server.ok("POST", "/v/vm", vmid=vmid)["interfaces"][3]
    at_last(lambda: one["mac"] in terminal.run("cat /sys/class/net/*/address"), "the NIC")
    leases(terminal, f"{one['addresses'][0]}/")
    there = {"id": one["id"]}
    for link, carrier in (("down", "0"), ("up", "1")):
        assert altered(server, vmid, [*cold, {**nat, **there, "link": link}]) == {}
        at_last(lambda is_=f"IS{carrier}.": is_ in terminal.run("echo IS$(cat /sys/class/net/eth3/carrier)."), link)  # type: ignore[misc]
    for wanted in ({"type": "BRIDGE", "host": 7}, nat):
        assert altered(server, vmid, [*cold, {**wanted, **there}]) == {}
        now = server.ok("POST", "/v/vm", vmid=vmid)["interfaces"][3]
        leases(terminal, f"{now['addresses'][0]}/" if "addresses" in now else "198.51.100.")
        assert one["mac"] in terminal.run("cat /sys/class/net/eth3/address")
        isolation = server.ok("POST", "/v/vm", vmid=vmid)["isolation"]
        assert (isolation["unfiltered_nics"], isolation["nat_reaches_host_loopback"]) == ([], False)
    elsewhere = [cold[0], {**cold[1], "host": 7}, cold[2], {**nat, **there}]
    assert "between Linux bridges" in altered(server, vmid, elsewhere)["nics"]
    assert altered(server, vmid, [*cold, {**nat, **there}]) == {}
    assert len(links(namespace)) == len(before) + 1
    assert altered(server, vmid, cold) == {}
    assert "eth3" not in terminal.run("echo $(ls /sys/class/net)").splitlines()[-2]
    assert links(namespace) == before


def altered(server: Server, vmid: int, nics: list[dict[str, object]]) -> dict[str, str]:
    """What of it waits, and why."""
    return dict(server.ok("PATCH", "/v/vm", vmid=vmid, nics=nics).get("waits", {}))


def leases(terminal: Terminal, network: str) -> None:
    """Its fourth NIC has an address there, and nothing of where it was."""
    terminal.run("ip address flush dev eth3; ip link set eth3 up; udhcpc -q -n -t 8 -T 1 -i eth3 -s /bin/dhcp")
    assert f"inet {network}" in terminal.run("ip -4 address show eth3")


def reaches_no_service_of_the_host_alone(namespace: str, terminal: Terminal, host: str) -> None:
    """By its NAT NIC, the third, whose way out is the host's address on the bridge."""
    run("ip", "-n", namespace, "address", "add", f"{METADATA}/32", "dev", "lo")
    terminal.run(f"ip route replace default via {host} dev eth2")
    for there, address, name in (
        (f"{namespace}w", WORLD, "the world"),
        (namespace, METADATA, "metadata"),
        (namespace, OUT, "the host"),
        (namespace, host, "the host on its bridge"),
    ):
        with in_namespace(there, lambda address=address: socket.create_server((address, 0))) as service:  # type: ignore[misc]
            greeter = threading.Thread(target=greet, args=(service,), daemon=True)
            greeter.start()
            heard = terminal.run(f"nc -w 4 {address} {service.getsockname()[1]} </dev/null")
            assert ("hello" in heard) is (address == WORLD), name
            with in_namespace(namespace, lambda: socket.create_connection(service.getsockname(), timeout=5)) as here:
                assert here.recv(5) == b"hello", f"{name} is there for the host"
            service.shutdown(socket.SHUT_RDWR)
            greeter.join()


def says_nothing_in_the_name_of_others(namespace: str, terminal: Terminal) -> None:
    """By its first NIC, on a bridge where the host heeds routers."""
    run("ip", "netns", "exec", namespace, "sysctl", "-w", "net.ipv6.conf.br0.accept_ra=2")
    own = bytes.fromhex(terminal.run("cat /sys/class/net/eth0/address").splitlines()[-2].strip().replace(":", ""))
    index = int(terminal.run("cat /sys/class/net/eth0/ifindex").splitlines()[-2])
    put(terminal, "/tmp/say", program(index))
    terminal.run("chmod +x /tmp/say")
    honest = frames.honest(own)
    spoken = {**frames.of_the_network(own), **frames.posing(own), **honest}
    *_, (name, last) = spoken.items()
    with in_namespace(namespace, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))) as ear:
        in_namespace(namespace, lambda: ear.bind(("up0", 0)))
        ear.send(frames.ether(frames.OTHER, frames.ARP, frames.arp(frames.OTHER)))
        for some in (tuple(spoken.values())[at : at + 5] for at in range(0, len(spoken), 5)):
            texts = " ".join(base64.b64encode(frame).decode() for frame in some)
            said = terminal.run(f"for one in {texts}; do echo $one | base64 -d | /tmp/say && echo SA''ID; done")
            assert said.count("SAID") == len(some), said
        ear.settimeout(0.5)
        came, end = set[bytes](), time.monotonic() + PATIENCE
        while frames.to(last) not in came:
            assert time.monotonic() < end, f"{name} is not heard"
            came.add(frames.to(received(ear)))
        while frame := received(ear):
            assert time.monotonic() < end, "there is no end of frames"
            came.add(frames.to(frame))
    assert {name for name, frame in spoken.items() if frames.to(frame) in came} == set(honest)
    assert "2001:db8" not in run("ip", "-n", namespace, "-6", "address", "show", "dev", "br0")
    assert place_of(namespace, frames.OTHER) == "vb0"


def takes_no_neighbours_mac(namespace: str, terminal: Terminal) -> None:
    """As a guest's administrator would do it. With its own MAC address it is heard again."""
    own = terminal.run("cat /sys/class/net/eth0/address").splitlines()[-2].strip()
    for address, answers in ((frames.OTHER.hex(":"), False), (own, True)):
        change = f"ip link set eth0 down; ip link set eth0 address {address}; ip link set eth0 up"
        said = terminal.run(f"{change}; ip route replace 198.51.100.0/24 dev eth0; ping -c 2 -W 2 198.51.100.1")
        assert ("bytes from" in said) is answers, said
        assert place_of(namespace, frames.OTHER) == "vb0"


def a_port_of_the_host_leads_to_it(namespace: str, server: Server, terminal: Terminal, vmid: int) -> None:
    """Set while it runs, called from the world and from the host itself, also while no server is there."""
    terminal.run(f"(while :; do echo hello | nc -l -p {GREETS}; done >/dev/null 2>&1 &)")
    assert called(f"{namespace}w", OUT) is None
    forwards = [{"host_port": PORT, "guest_port": GREETS}]
    assert "waits" not in server.ok("PATCH", "/v/vm", vmid=vmid, forwards=forwards)
    for there, address in ((f"{namespace}w", OUT), (namespace, OUT), (namespace, "127.0.0.1")):
        at_last(lambda: called(there, address) == "hello", f"{address} in {there}")  # noqa: B023 (called in the loop)
    server.kill()
    at_last(lambda: called(f"{namespace}w", OUT) == "hello", "the port of the host without a server")
    server.start()
    isolation = server.ok("POST", "/v/vm", vmid=vmid)["isolation"]
    assert (isolation["unfiltered_nics"], isolation["nat_reaches_host_loopback"]) == ([], False)


def called(there: str, address: str) -> str | None:
    """What is said at that port of the host; None: nobody is there, or not yet again."""
    try:
        with in_namespace(there, lambda: socket.create_connection((address, PORT), timeout=5)) as plug:
            return plug.recv(64).decode().strip() or None
    except OSError:
        return None


def has_its_filters_again(namespace: str, server: Server, vmid: int, links: set[str]) -> None:
    """They go when somebody loads another packet filter, while a server runs and while none does."""
    found = doctor(namespace, server)
    assert "packet filter" not in found["guest"]["text"]
    assert "accept_ra=0" in found["nic 7"]["text"]
    flush = ("ip", "netns", "exec", namespace, "nft", "flush", "ruleset")
    run(*flush)
    at_last(lambda: set(filters(namespace)) == links, "the filter of each NIC")
    isolation = server.ok("POST", "/v/vm", vmid=vmid)["isolation"]
    assert (isolation["unfiltered_nics"], isolation["nat_reaches_host_loopback"]) == ([], False)
    server.kill()
    run(*flush)
    assert "its NIC 1 and 2 and 3" in doctor(namespace, server)["guest"]["text"]
    server.start()
    assert server.ok("POST", "/v/vm", vmid=vmid)["isolation"]["unfiltered_nics"] == []
    assert set(filters(namespace)) == links


def doctor(namespace: str, server: Server) -> dict[str, dict[str, str]]:
    """What it finds, by what it has looked at; there is one guest."""
    settings = {"data_dir": str(server.data), **server.settings}
    words = [f"VELOCITY_{name.upper()}={value}" for name, value in settings.items()]
    command = ["ip", "netns", "exec", namespace, "env", *words, sys.executable, "-m", "velocity", "doctor", "--json"]
    found = json.loads(run(*command))
    return {"guest" if one["what"].startswith("guest ") else one["what"]: one for one in found}


def put(terminal: Terminal, path: str, data: bytes) -> None:
    text = base64.b64encode(data).decode()
    for start in range(0, len(text), 600):
        terminal.run(f"echo {text[start : start + 600]} >>{path}.txt")
    terminal.run(f"base64 -d {path}.txt >{path}")


def nat_bridge(server: Server) -> tuple[str, str]:
    """The name of the bridge of its NAT, and the host's address on it."""
    network = json.loads((server.data / "nat.json").read_text())["v4"]
    name = hashlib.sha256(str(server.data.resolve()).encode()).hexdigest()[:8]
    return f"vnat{name}", str(IPv4Network(network)[1])


def dnsmasqs(namespace: str) -> list[int]:
    """Those in that namespace."""
    pids = [int(pid) for pid in run("ip", "netns", "pids", namespace).split()]
    return [pid for pid in pids if Path(f"/proc/{pid}/comm").read_text().strip() == "dnsmasq"]


def place_of(namespace: str, mac: bytes) -> str:
    """The port of the bridge where it has heard that address."""
    known = run("ip", "netns", "exec", namespace, "bridge", "fdb", "show", "br", "br0").splitlines()
    (place,) = {line.split()[2] for line in known if line.startswith(mac.hex(":")) and "permanent" not in line}
    return place


def received(ear: socket.socket) -> bytes:
    try:
        return ear.recv(4096)
    except TimeoutError:
        return b""


def greet(service: socket.socket) -> None:
    """Until it is shut down."""
    with contextlib.suppress(OSError):
        while True:
            plug, _ = service.accept()
            with plug:
                plug.sendall(b"hello")


def take(sink: socket.socket, count: int) -> None:
    plug, _ = sink.accept()
    with plug:
        while count > 0 and (data := plug.recv(65536)):
            count -= len(data)


def links(namespace: str) -> set[str]:
    done = run("ip", "-n", namespace, "-o", "link", "show")
    return {line.split(": ")[1].split("@")[0] for line in done.splitlines()}


def filters(namespace: str) -> list[str]:
    """The links that have a packet filter."""
    listed = json.loads(run("ip", "netns", "exec", namespace, "nft", "-j", "list", "chains", "netdev"))
    return [one["chain"]["name"] for one in listed["nftables"] if "chain" in one]
