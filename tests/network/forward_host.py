"""A host with NAT by a bridge, and two guests on it: who comes to one of them by ports of the host, and who does not.
For a namespace only, whose way out is `up0`; prints what it has seen.

Arguments: a directory, and the namespace of the world.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from tests.journeys.server import in_namespace
from tests.network.nat_guest import NIC, NatGuest, run, said
from tests.network.nat_host import GUESTS, HOST, UID, WORLD, Host, guest, left, serve
from velocity.hypervisor.port import ForwardSpec
from velocity.network import host_ports, port_forwards
from velocity.network.dnsmasq import Dnsmasq
from velocity.network.nat import Nat

SHORT = 0.5


class ForwardingHost(Host):
    def again(self) -> Nat:
        names = Dnsmasq(self.directory, self.bridge, UID + self.number, self.resolvers)
        return Nat(self.bridge, self.networks, names, GUESTS)


def main(place: Path, world: str) -> None:
    (place / "resolvers").mkdir()
    (place / "resolvers" / "resolv.conf").write_text(f"nameserver {WORLD}\n")
    before = left(place)
    with contextlib.ExitStack() as undo:
        one = ForwardingHost(place, 1)
        (first, nic, _), (second, _, _) = [undo.enter_context(guest(one, number)) for number in (2, 3)]
        for made in (first, second):
            made.take(made.lease())
        inside = serve(first.name, "0.0.0.0")
        leads = (
            ForwardSpec(2222, inside),
            ForwardSpec(2223, inside, "tcp", "127.0.0.1"),
            ForwardSpec(2224, inside, "tcp", HOST),
            ForwardSpec(2225, echo(first.name), "udp"),
        )
        nic = replace(nic, forwards=leads)
        told: dict[str, Any] = {"gateway": str(one.nat.hosts[0])}
        told["before"] = by_ports(world, second, str(one.nat.hosts[0]))
        one.nat.forwards.set(nic.link, nic.addresses[0], leads)
        told["set"] = by_ports(world, second, str(one.nat.hosts[0]))
        told["loopback"] = loopback(first, str(one.nat.hosts[0]), nic.link)
        told["restored"] = restored(one, nic, world)
        one.nat.forwards.set(nic.link, nic.addresses[0], leads[2:])
        told["fewer"] = by_ports(world, second, str(one.nat.hosts[0]))
        one.nat.restore([replace(nic, forwards=())], [nic.link])
        told["none"] = [sorted(port_forwards.links(one.bridge)), routes_loopback(one.bridge)]
        one.nat.forwards.set(nic.link, nic.addresses[0], leads)
    told["hindrances"] = hindrances()
    assert one.again().remove()
    told["left"] = sorted(left(place) - before)
    sys.stdout.write(json.dumps(told))


def by_ports(world: str, other: NatGuest, gateway: str) -> dict[str, str]:
    """As whom each is seen in the guest, or what it meets."""
    return {
        **{f"world, {port}": in_namespace(world, partial(said, HOST, port)) for port in (2222, 2223, 2224)},
        **{f"127.0.0.1, {port}": said("127.0.0.1", port) for port in (2222, 2223, 2224)},
        **{f"host itself, {port}": said(HOST, port) for port in (2222, 2223, 2224)},
        "world, UDP": in_namespace(world, lambda: asked(HOST, 2225)),
        "127.0.0.1, UDP": asked("127.0.0.1", 2225),
        "other guest": other.reaches(HOST, 2222),
        "other guest, bridge": other.reaches(gateway, 2222),
        "QEMU's process": as_qemu("127.0.0.1", 2222),
    }


def as_qemu(address: str, port: int) -> str:
    """What another guest in QEMU's user network meets."""
    program = "import sys; from tests.network.nat_guest import said; print(said(sys.argv[1], int(sys.argv[2])))"
    uid = GUESTS.start
    command = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", sys.executable, "-c", program]
    done = subprocess.run([*command, address, str(port)], capture_output=True, text=True, check=False)
    return done.stdout.strip() + done.stderr[-300:]


def loopback(made: NatGuest, gateway: str, link: str) -> dict[str, str]:
    """A guest that sends to the host's 127.0.0.1, while the bridge routes that: with all filters, and with the last."""
    ours = serve(None, "127.0.0.1")
    run("ip", "netns", "exec", made.name, "sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1")
    made.ip("address delete 127.0.0.1/8 dev lo", f"route add 127.0.0.1 via {gateway} dev {NIC}")
    whole = made.reaches("127.0.0.1", ours, SHORT)
    run("nft", "delete", "chain", "netdev", "velocity", link)
    return {"filtered": whole, "without the filter of its NIC": made.reaches("127.0.0.1", ours, SHORT)}


def restored(one: ForwardingHost, nic: Any, world: str) -> dict[str, Any]:
    """After somebody has flushed all, and with chains of a NIC that is no more."""
    run("nft", "flush", "ruleset")
    lost = in_namespace(world, lambda: said(HOST, 2222))
    one.nat.restore([nic], [])
    one.nat.forwards.set("vt9n9", "10.99.99.99", nic.forwards)
    one.nat.restore([nic], [nic.link])
    there = in_namespace(world, lambda: said(HOST, 2222))
    return {"lost": lost, "there": there, "links": sorted(port_forwards.links(one.bridge)) == [nic.link]}


def routes_loopback(bridge: str) -> str:
    return Path(f"/proc/sys/net/ipv4/conf/{bridge}/route_localnet").read_text().strip()


def hindrances() -> list[str]:
    """Of a port that is free, one that a process listens on, and one of an address of another host."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        said = [host_ports.hindrance(ForwardSpec(port, 22)), host_ports.hindrance(ForwardSpec(port, 22, "udp"))]
    return [*said, host_ports.hindrance(ForwardSpec(port, 22)), host_ports.hindrance(ForwardSpec(1, 1, "tcp", WORLD))]


def echo(namespace: str) -> int:
    """A server there that says who asked, by UDP; its port."""

    def opened() -> socket.socket:
        plug = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        plug.bind(("0.0.0.0", 0))
        return plug

    server = in_namespace(namespace, opened)

    def answer() -> None:
        while True:
            _, caller = server.recvfrom(64)
            server.sendto(str(caller[0]).encode(), caller)

    threading.Thread(target=answer, daemon=True).start()
    return int(server.getsockname()[1])


def asked(address: str, port: int) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plug:
        plug.settimeout(5)
        plug.connect((address, port))
        with contextlib.suppress(OSError):
            plug.send(b"?")
            return plug.recv(64).decode()
    return "nobody"


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
