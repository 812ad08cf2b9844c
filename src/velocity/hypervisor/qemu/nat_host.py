"""NAT by a bridge, as the server's settings make it: its networks, name and uid."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from velocity.hypervisor.qemu import resolver
from velocity.hypervisor.qemu.options import Options
from velocity.hypervisor.qemu.runs import UID_COUNT
from velocity.network import forwarding, nat, nat_networks, nat_table
from velocity.network.dnsmasq import Dnsmasq
from velocity.network.nat import Nat
from velocity.network.nat_networks import CannotNat, NatNetworks

DNSMASQ = UID_COUNT + 31
"""The uid of dnsmasq among those of `uid_base`: the last one."""


class NatOfHost(Struct, frozen=True):
    """`networks` is None if guests get none, because of `why`; `refuses`: they cannot start without.

    `bridge` is also set if it is left from before. `first`: nothing prevents networks; the first start chooses.
    """

    bridge: Nat | None
    networks: NatNetworks | None
    why: str = ""
    refuses: bool = False
    first: bool = False


def find(chosen: Options, *, choose: bool) -> NatOfHost:
    """What this host has. `choose`: choose networks now, as a start does; otherwise say what would refuse that."""
    if chosen.uids is None:
        return NatOfHost(None, None, "the server is not run by root")
    file = chosen.data_dir / "nat.json"
    has, name = nat_networks.kept(file), nat.bridge_name(chosen.instance)
    lacking = "nat_subnet is none" if chosen.nat_subnet == "none" else nat.cannot()
    wanted, refusal = has, ""
    if lacking is None:
        try:
            settled = nat_networks.settled(file, chosen.nat_subnet, name, stores=choose)
            wanted = settled if choose else has
        except (CannotNat, OSError) as error:
            refusal = str(error)
    bridge = None if wanted is None else Nat(name, wanted, _dnsmasq(chosen, name), chosen.uids)
    if lacking or refusal or wanted is None:
        why = lacking or refusal
        return NatOfHost(bridge, None, why, bool(refusal), first=not why)
    return NatOfHost(bridge, wanted)


def notes(bridge: Nat) -> Iterator[str]:
    """What else should be known about it."""
    on = [name for name in (forwarding.V4, forwarding.V6) if forwarding.forwards(name)]
    if on:
        settings = " and ".join(f"net.{name.replace('/', '.')}" for name in on)
        yield f"this host forwards packets ({settings}), as NAT needs"
    if not bridge.exists():
        yield "the bridge is created when a guest needs it"


def problems(bridge: Nat) -> Iterator[str]:
    """What keeps it from working, with the cure."""
    try:
        nat_networks.check(bridge.networks, bridge.bridge)
    except CannotNat as error:
        yield str(error)
    if not bridge.exists():
        return
    if not bridge.holds():
        yield "no packet filter keeps its guests from this host: `velocity serve` sets it again"
    if not forwarding.forwards(forwarding.V4):
        yield "this host does not forward packets: sysctl -w net.ipv4.ip_forward=1"
    for chain in nat_table.blockers(bridge.bridge):
        yield (
            f"the chain {chain} drops packets that it has no rule for: let it accept packets that come in by "
            f"{bridge.bridge}, and their replies (docs/install.md#networks says how with Docker, ufw and firewalld)"
        )


def _dnsmasq(chosen: Options, bridge: str) -> Dnsmasq:
    assert chosen.uids is not None
    directory = chosen.runtime_dir / f"{chosen.instance}.nat"
    names = chosen.data_dir / "cache" / "resolver"
    return Dnsmasq(directory, bridge, chosen.uids.start + DNSMASQ, names, lambda: resolver.copy(names))
