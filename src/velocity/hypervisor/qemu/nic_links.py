"""The links of NICs on the host: created before QEMU gets their descriptors, removed with the run or the NIC."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence

import msgspec

from velocity.hypervisor.port import BridgeSpec, ForwardSpec, MachineSpec, NicSpec
from velocity.hypervisor.qemu import vhost
from velocity.hypervisor.qemu.command import NatDevice, TapDevice
from velocity.hypervisor.qemu.directories import HostDirectories
from velocity.hypervisor.qemu.layout import nic_device
from velocity.hypervisor.qemu.run_note import Run, RunNic
from velocity.network import host_ports, taps
from velocity.network.nat import NatNic
from velocity.network.rules import link_name


def has_link(nic: NicSpec) -> bool:
    """Whether the NIC has a link on the host."""
    return isinstance(nic, BridgeSpec) or nic.place > 0


def with_links(place: HostDirectories, run: Run, nics: Sequence[NicSpec]) -> Run:
    """The run with the links of these NICs only. Raises `CannotConnect`."""
    linked = {link_name("vt", run.uid, nic.nic): nic for nic in nics if has_link(nic)}
    return msgspec.structs.replace(
        run,
        links=tuple(linked),
        trusted=tuple(link for link, nic in linked.items() if isinstance(nic, BridgeSpec) and nic.trusted),
        nics={link: RunNic(nic.nic, nic.mac, _addresses(place, nic), leading(nic)) for link, nic in linked.items()},
    )


def leading(nic: NicSpec) -> tuple[ForwardSpec, ...]:
    """The port forwards to it."""
    return () if isinstance(nic, BridgeSpec) else nic.forwards


def _addresses(place: HostDirectories, nic: NicSpec) -> tuple[str, ...]:
    """The addresses of a NAT NIC on the bridge. Raises `CannotConnect`."""
    if isinstance(nic, BridgeSpec):
        return ()
    if place.nat is None:
        raise taps.CannotConnect("this host has no network for NAT any more: start it again")
    return place.nat.addresses(nic.place)


def connect_nics(
    place: HostDirectories, run: Run, spec: MachineSpec, copies: contextlib.ExitStack, queues: Mapping[str, int]
) -> list[NatDevice | TapDevice]:
    """Connect all NICs of a machine, as `connect_nic` does; `queues`: the NICs with more than one."""
    return [connect_nic(place, run, spec, nic, copies, queues.get(nic_device(nic.nic), 0)) for nic in spec.nics]


def connect_nic(
    place: HostDirectories, run: Run, spec: MachineSpec, nic: NicSpec, copies: contextlib.ExitStack, queues: int = 0
) -> NatDevice | TapDevice:
    """Connect one; its descriptors are closed with `copies`. Raises `CannotConnect`, `OSError`."""
    name, queues = link_name("vt", run.uid, nic.nic), queues or vhost.queues(spec)
    if hindrance := next(filter(None, map(host_ports.hindrance, leading(nic))), ""):
        raise taps.CannotConnect(hindrance)
    if isinstance(nic, BridgeSpec):
        link = taps.connect_nic(nic.identifier, nic.mac, name, trusted=nic.trusted, queues=queues)
    elif nic.place and place.nat is not None:
        link = place.nat.connect(NatNic(name, nic.mac, run.nics[name].addresses, leading(nic)), queues)
    else:
        return NatDevice(nic.nic, nic.mac, leading(nic))
    if link.device is None:
        place.taps.hold(name, link.fds[0])
    for descriptor in link.fds:
        copies.callback(os.close, descriptor)
    return TapDevice(nic.nic, nic.mac, link.fds, vhost.opened(spec, place.accelerator, len(link.fds), copies))


def disconnect(place: HostDirectories, run: Run, link: str) -> None:
    """Remove the host's end of a NIC. Idempotent. Raises `CannotConnect`."""
    nic = run.nic(link)
    place.taps.release(link)
    if place.nat is not None and nic.addresses:
        place.nat.disconnect(NatNic(link, nic.mac, nic.addresses, nic.forwards))
    else:
        taps.disconnect_nic(link)
