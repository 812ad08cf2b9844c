"""A host with NAT by a bridge, and two guests on it: what they reach, what they may say, and what comes back after it
was lost. For a namespace only, whose way out is `up0`; prints what it has seen.

Arguments: a directory, and the namespace of the world.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

from tests.journeys.server import in_namespace
from tests.network import frames
from tests.network.nat_guest import NatGuest, run, said
from velocity.network import fence, nat_networks, nic_filter
from velocity.network.dnsmasq import Dnsmasq
from velocity.network.nat import Nat, NatNic, bridge_name
from velocity.network.taps import CannotConnect, Link

UID, GUESTS = 47531, range(47000, 47500)
WORLD, WORLD6, METADATA, HOST = "192.0.2.1", "2001:db8::1", "169.254.169.254", "192.0.2.2"
VNET_HEADER = bytes(10)


class Host:
    """One server's NAT; `number` tells it from the other one."""

    def __init__(self, place: Path, number: int) -> None:
        self.directory = place / f"run{number}"
        self.bridge = bridge_name(f"{number}" * 8)
        self.networks = nat_networks.settled(place / f"nat{number}.json", "", self.bridge)
        self.resolvers = place / "resolvers"
        self.number = number
        self.nat = self.again()

    def again(self) -> Nat:
        """As a server that is started again has it."""
        return Nat(self.bridge, self.networks, Dnsmasq(self.directory, self.bridge, UID + self.number, self.resolvers))

    def nic(self, place: int) -> NatNic:
        mac = f"52:54:00:00:0{self.number}:{place:02x}"
        return NatNic(f"vt4700{self.number}n{place}", mac, self.nat.addresses(place))


def main(place: Path, world: str) -> None:
    (place / "resolvers").mkdir()
    (place / "resolvers" / "resolv.conf").write_text(f"nameserver {WORLD}\n")
    before, logged = left(place), Said()
    logging.getLogger().addHandler(logged)
    with contextlib.ExitStack() as undo:
        one = Host(place, 1)
        guests = [undo.enter_context(guest(one, number)) for number in (2, 3)]
        two = Host(place, 2)
        stranger = undo.enter_context(guest(two, 2))
        told = {
            "networks": [one.networks.words, two.networks.words],
            "leases": [leases(*entry) for entry in (*guests, stranger)],
            "reaches": reached(world, one, guests, stranger),
            "speaks": spoken(one, guests),
            "restored": restored(world, one, guests, logged),
            "refused": refused(one, guests),
        }
    told["lingers"] = one.again().remove(after=60.0)
    for host in (one, two):
        assert host.again().remove()
        assert not host.again().exists()
    told["left"] = left(place) - before
    sys.stdout.write(json.dumps(told, default=sorted))


class Said(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@contextlib.contextmanager
def guest(host: Host, place: int) -> Iterator[tuple[NatGuest, NatNic, Link]]:
    nic = host.nic(place)
    link = host.nat.connect(nic, queues=1)
    made = NatGuest(link.fds[0], nic.mac)
    try:
        yield made, nic, link
    finally:
        made.close()
        os.close(link.fds[0])
        host.nat.disconnect(nic)


def leases(made: NatGuest, nic: NatNic, _: Link) -> dict[str, Any]:
    lease, six = made.lease(), made.lease6()
    made.take(lease, six)
    assert run("ip", "-n", made.name, "-6", "route", "show", "default").startswith("default via fe80::1 ")
    return {"given": [lease["address"], six], "promised": nic.addresses, "router": lease["router"]}


def serve(namespace: str | None, address: str) -> int:
    """A server there that says who called; its port."""

    def opened() -> socket.socket:
        return socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET)

    server = in_namespace(namespace, opened) if namespace else opened()

    def answer() -> None:
        while True:
            plug, caller = server.accept()
            with plug:
                plug.sendall(str(caller[0]).encode())

    threading.Thread(target=answer, daemon=True).start()
    return int(server.getsockname()[1])


def reached(world: str, one: Host, guests: list[Any], stranger: Any) -> dict[str, str]:
    ours, theirs = serve(None, "0.0.0.0"), serve(world, "0.0.0.0")
    ours6, theirs6 = serve(None, "::"), serve(world, "::")
    (first, nic, _), (second, neighbour, _), (third, abroad, _) = *guests, stranger
    beside, beside6 = serve(second.name, "0.0.0.0"), serve(second.name, "::")
    far = serve(third.name, "0.0.0.0")
    gateway, gateway6 = one.nat.hosts[:2]
    dns = [first.asks(str(server), "name.example") for server in (gateway, gateway6)]
    call = f"plug.settimeout(20); plug.connect(('{neighbour.addresses[0]}', {beside}))"
    called, program = (
        {},
        "import sys; from tests.network.nat_guest import said; print(said(sys.argv[1], int(sys.argv[2])))",
    )
    for uid in (GUESTS.start, 40999):
        command = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", sys.executable, "-c", program]
        done = subprocess.run([*command, nic.addresses[0], "1"], capture_output=True, text=True, check=False)
        called[uid] = done.stdout.strip() + done.stderr[-300:]
    return {
        "world": first.reaches(WORLD, theirs),
        "world, IPv6": first.reaches(WORLD6, theirs6),
        "metadata": first.reaches(METADATA, theirs),
        "host": first.reaches(HOST, ours),
        "bridge": first.reaches(str(gateway), ours),
        "bridge, IPv6": first.reaches(str(gateway6), ours6),
        "bridge, link-local": first.reaches("fe80::1", ours6),
        "host's loopback": first.reaches("127.0.0.1", ours),
        "neighbour": first.reaches(neighbour.addresses[0], beside, 0.5),
        "neighbour, IPv6": first.reaches(neighbour.addresses[1], beside6, 0.5),
        "guest of another server": first.reaches(abroad.addresses[0], far, 0.5),
        "DNS": str(dns),
        "host calls guest": said(neighbour.addresses[0], beside),
        **{f"process of uid {uid} calls guest": as_user(uid, call) for uid in (GUESTS.start, 40999)},
    }


def as_user(uid: int, call: str) -> str:
    """What becomes of a connection that a process of the host with that uid makes."""
    program = f"import os, socket; os.setgroups([]); os.setgid({uid}); os.setuid({uid}); plug = socket.socket(); {call}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    return "reached" if done.returncode == 0 else done.stderr.strip().splitlines()[-1].partition(":")[0]


def spoken(host: Host, guests: list[Any]) -> list[str]:
    """What of all that the first guest may send comes to the bridge."""
    (_, nic, link), (_, neighbour, _) = guests
    own, other = (bytes.fromhex(one.mac.replace(":", "")) for one in (nic, neighbour))
    own4, own6 = IPv4Address(nic.addresses[0]), IPv6Address(nic.addresses[1])
    its4, its6 = IPv4Address(neighbour.addresses[0]), IPv6Address(neighbour.addresses[1])
    own_local, its_local = nic_filter.link_local(nic.mac), nic_filter.link_local(neighbour.mac)
    gateway4, gateway6, router = host.nat.hosts

    def v4(source: Any, mac: bytes = own, payload: bytes = frames.udp(5353, 53)) -> bytes:
        return frames.ether(mac, frames.IPV4, frames.ipv4(frames.UDP, payload, source=source))

    def v6(source: Any, body: bytes = frames.ECHO, mac: bytes = own) -> bytes:
        return frames.ether(mac, frames.IPV6, frames.ipv6(frames.ICMPV6, body, source=source))

    def advert(target: Any, source: Any = own6) -> bytes:
        return v6(source, frames.neighbour(136, frames.option(2, own), target=target))

    sent = {
        "as itself": v4(own4),
        "as nobody yet": v4(IPv4Address(0), payload=frames.udp(68, 67)),
        "ARP as itself": frames.ether(own, frames.ARP, frames.arp(own, address=own4)),
        "IPv6 as itself": v6(own6),
        "link-local": v6(own_local),
        "another link-local": v6(IPv6Address("fe80::1234:5678:9abc:def0")),
        "here I am": advert(own6),
        "here I am, link-local": advert(own_local, own_local),
        "neighbour's MAC": v4(own4, mac=other),
        "neighbour's address": v4(its4),
        "foreign address": v4(IPv4Address("203.0.113.9")),
        "host's address": v4(gateway4),
        "ARP for the neighbour": frames.ether(own, frames.ARP, frames.arp(own, address=its4)),
        "ARP for the host": frames.ether(own, frames.ARP, frames.arp(own, address=IPv4Address(gateway4))),
        "neighbour's IPv6": v6(its6),
        "foreign IPv6": v6(IPv6Address("2001:db8::9")),
        "a third address": v6(IPv6Address(int(own6) + 7)),
        "host's IPv6": v6(gateway6),
        "router's": v6(router),
        "neighbour's link-local": v6(its_local),
        "I am the neighbour": advert(its6),
        "I am the neighbour, link-local": advert(its_local),
        "I am the router": advert(router),
        "a router's advertisement": v6(own_local, frames.advertisement(own)),
        "a DHCP server's": v4(own4, payload=frames.udp(67, 68)),
        "a VLAN": frames.ether(own, frames.VLAN, frames.tagged(5, frames.IPV4, v4(own4)[14:])),
    }
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as ear:
        ear.bind((host.bridge, 0))
        for frame in sent.values():
            os.write(link.fds[0], VNET_HEADER + frame)
        ear.settimeout(1.0)
        came = {frames.to(frame) for frame in iter(lambda: received(ear), b"")}
    return [name for name, frame in sent.items() if frames.to(frame) in came]


def received(ear: socket.socket) -> bytes:
    try:
        return ear.recv(4096)
    except TimeoutError:
        return b""


def restored(world: str, host: Host, guests: list[Any], logged: Said) -> dict[str, Any]:
    """What is lost comes back, and the guests have their network again. The server is another one by then."""
    (first, nic, _), _ = guests
    nics = [entry[1] for entry in guests]
    port, begun = serve(world, "0.0.0.0"), pids(host)
    again = host.again()
    again.restore(nics, nic_filter.links())
    quiet, same = list(logged.lines), pids(host) == begun

    def repaired(*harm: Callable[[], object]) -> list[str]:
        logged.lines.clear()
        for deed in harm:
            deed()
        again.restore(nics, nic_filter.links())
        assert again.holds() and all(map(again.nic_holds, nics))
        assert first.reaches(WORLD, port) == HOST
        assert first.asks(str(host.nat.hosts[0]), "a.example")
        return sorted({" ".join(line.split(" ")[:2]) for line in logged.lines})

    def killed() -> None:
        """Its command line is gone before it has ended, which is what is looked at."""
        pidfd = os.pidfd_open(pids(host)[0])
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        ended = select.poll()
        ended.register(pidfd, select.POLLIN)
        assert ended.poll(20_000)
        os.close(pidfd)

    def harmed() -> None:
        assert not (again.holds() and again.nic_holds(nic)), "what is gone is said to hold"

    def unreserved() -> None:
        for one in (host.directory / "hosts").iterdir():
            one.unlink()

    assert again.holds() and again.nic_holds(nic)
    assert (again.given(nic.mac), again.given("52:54:00:00:00:ff")) == (nic.addresses, ())
    alone = ("ip", "link", "set", nic.link, "type", "bridge_slave", "isolated", "off")
    seen = {
        "quiet": [line for line in quiet if "again" in line],
        "adopted": same and len(begun) == 1,
        "dnsmasq killed": repaired(killed),
        "flush ruleset": repaired(lambda: run("nft", "flush", "ruleset"), harmed),
        "no bridge": repaired(lambda: run("ip", "link", "delete", host.bridge), harmed),
        "no reservations": repaired(unreserved),
        "not isolated": repaired(lambda: run(*alone), harmed),
    }
    assert first.lease()["address"] == nic.addresses[0]
    return seen


def refused(host: Host, guests: list[Any]) -> dict[str, str]:
    """Starts that come to nothing leave nothing, and take nothing of others. A NIC with queues comes and goes."""
    (_, nic, _), _ = guests
    free = host.nat.addresses(9)
    kept, before = (host.directory / "hosts" / nic.addresses[0]).read_text(), left(host.directory)
    said = {}
    for why, wrong in (
        ("a name that none can have", NatNic("vt/n9", "52:54:00:00:09:09", free)),
        ("an address of another", NatNic("vt47001n9", "52:54:00:00:09:09", nic.addresses)),
        ("a link that is there", NatNic(nic.link, "52:54:00:00:09:09", free)),
    ):
        try:
            host.nat.connect(wrong)
        except CannotConnect as error:
            said[why] = str(error)
        assert left(host.directory) == before
        assert {path.name for path in (host.directory / "hosts").iterdir()} == {one[1].addresses[0] for one in guests}
    assert (host.directory / "hosts" / nic.addresses[0]).read_text() == kept
    wide = NatNic("vt47001n9", "52:54:00:00:09:09", free)
    link = host.nat.connect(wide, queues=4)
    said["queues"] = str(len(set(link.fds)))
    for descriptor in link.fds:
        os.close(descriptor)
    host.nat.disconnect(wide)
    assert left(host.directory) == before
    return said


def pids(host: Host) -> list[int]:
    found = subprocess.run(["pgrep", "-f", f"^dnsmasq .*--pid-file={host.directory}/own/pid"], capture_output=True,
                           text=True, check=False).stdout  # fmt: skip
    return [int(word) for word in found.split()]


def left(place: Path) -> set[str]:
    """The links, tables, files and processes that there are."""
    links = {path.name for path in Path("/sys/class/net").iterdir()}
    listed = json.loads(run("nft", "-j", "list", "ruleset"))["nftables"]
    named = [one["table"] for one in listed if "table" in one] + [one["chain"] for one in listed if "chain" in one]
    tables = {f"{one['family']} {one['name']}" for one in named} - {"netdev velocity"}
    running = subprocess.run(["pgrep", "-f", f"^dnsmasq .*{place}"], capture_output=True, text=True, check=False).stdout
    return links | tables | set(running.split()) | {path.name for path in place.glob("run*")}


if __name__ == "__main__":
    fence.raise_fence(GUESTS)
    main(Path(sys.argv[1]), sys.argv[2])
