"""Queries at which addresses QEMU's devices are, for the machine that waits on another host.

https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html (qom-get, human-monitor-command)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from velocity.hypervisor.port import Bus, HypervisorError
from velocity.hypervisor.qemu.command import is_nic, vectors
from velocity.hypervisor.qemu.layout import HotCpu, Layout, nic_device
from velocity.hypervisor.qemu.live import disks
from velocity.hypervisor.qemu.live.change import Change
from velocity.hypervisor.qemu.live.found import number_in
from velocity.hypervisor.qemu.live.memory import has_at_start
from velocity.hypervisor.qemu.nic_links import has_link

PORT = re.compile(r"^\s*Device [\d.]+, Port ([\d.]{1,20}),.*, ID: (\w{1,20})\s*$", re.M)
"""A line of `info usb`, the only source of a USB device's port."""
KIND, SEAT = re.compile(r"[\w.-]{1,64}-x86_64-cpu"), re.compile(r"[a-z]{1,16}-id")


async def query(change: Change) -> bytes:
    """Raises `HypervisorError`, `NotRunning`, `Unknown`."""
    found = await disks.look(change)
    full = [one for one in change.drives if number_in(one, found) is not None]
    empty = [one for one in change.drives if one.cdrom and number_in(one, found) is None]
    plugged = {one: port for one, port in change.run.plugged.items() if one in found.devices or is_nic(one)}
    cpus = await change.execute("query-hotpluggable-cpus")
    hot = tuple(_hot_cpus(cpus))
    layout = Layout(
        drives=(*full, *empty),
        usb={one: ports for one, ports in change.run.usb.items() if one in found.devices},
        order=change.run.order,
        scsi="scsi" in found.devices,
        thread="io" in found.objects,
        plugged=plugged,
        usb_ports=await _usb_ports(change),
        queues=await _queues(change),
        memory=has_at_start(await change.execute("query-memory-size-summary")),
        cpus=len([one for one in cpus if "qom-path" in one]) - len(hot),
        more_cpus=hot,
    )
    return msgspec.msgpack.encode(layout)


def _hot_cpus(seats: Sequence[Mapping[str, Any]]) -> Iterator[HotCpu]:
    for one in reversed(seats):  # the lowest first
        if str(one.get("qom-path", "")).startswith("/machine/peripheral") and KIND.fullmatch(one["type"]):
            seat = {name: int(number) for name, number in one["props"].items() if SEAT.fullmatch(name)}
            yield HotCpu(one["type"], seat)


async def _usb_ports(change: Change) -> dict[str, str]:
    ours = {one.outer for one in change.drives if one.bus is Bus.USB}
    if not ours:
        return {}
    said = str(await change.execute("human-monitor-command", **{"command-line": "info usb"}))
    return {device: port for port, device in PORT.findall(said) if device in ours}


async def _queues(change: Change) -> dict[str, int]:
    found = {}
    for nic in change.made.nics:
        if has_link(nic):
            device = nic_device(nic.nic)
            several = await _property(change, device, "mq")
            count = int(await _property(change, device, "vectors"))
            found[device] = next((one for one in range(2, 256) if vectors(one) == count), 1) if several else 1
    return found


async def _property(change: Change, device: str, name: str) -> Any:
    return await change.execute("qom-get", path=f"/machine/peripheral/{device}", property=name)


def read(places: bytes) -> Layout:
    """Raises `HypervisorError`."""
    try:
        return msgspec.msgpack.decode(places, type=Layout)
    except (UnicodeDecodeError, msgspec.MsgspecError):
        raise HypervisorError(
            "the places of its devices are described in an unknown form: upgrade this host's node"
        ) from None
