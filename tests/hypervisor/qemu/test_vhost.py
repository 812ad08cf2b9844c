"""Queues of NICs, and the kernel's own way for them."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from pathlib import Path

import msgspec
import pytest

from tests.hypervisor.qemu.plans import bridge, nat, plan
from velocity.hypervisor.port import MachineSpec
from velocity.hypervisor.qemu import vhost
from velocity.hypervisor.qemu.command import LaunchSpec, TapDevice, arguments

SPEC = MachineSpec("vm", 4, 512, "pc-q35-7.2", "0", hardware="2")


def network(made: LaunchSpec) -> list[str]:
    """The options of its network."""
    return [word for word in arguments(made) if word.startswith(("tap,", "user,", "virtio-net-pci,"))]


@pytest.mark.holds("NAT-10")
def test_queues_and_vhost_are_the_new_hardwares(tmp_path: Path) -> None:
    assert [vhost.queues(msgspec.structs.replace(SPEC, cpus=cpus)) for cpus in (1, 2, 8, 64)] == [1, 2, 8, 8]
    assert vhost.queues(msgspec.structs.replace(SPEC, hardware="1")) == 1
    device, none = tmp_path / "vhost-net", tmp_path / "none"
    device.touch()
    assert vhost.missing(device) is None
    assert vhost.missing(none) == f"this host has no {none}: `modprobe vhost_net`"
    older = msgspec.structs.replace(SPEC, hardware="1")
    with contextlib.ExitStack() as copies:
        opened = vhost.opened(SPEC, "kvm", 4, copies, device)
        assert len(set(opened)) == 4 and all(os.fstat(one).st_ino == device.stat().st_ino for one in opened)
        for spec, accelerator, place in ((SPEC, "tcg,x=y", device), (SPEC, "kvm", none), (older, "kvm", device)):
            assert vhost.opened(spec, accelerator, 4, copies, place) == ()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(opened[0])


@pytest.mark.holds("NAT-10")
@pytest.mark.parametrize(
    ("device", "backend", "more"),
    [
        (TapDevice(2, "52:54:00:00:00:02", (9,)), "fd=9", ""),
        (TapDevice(2, "52:54:00:00:00:02", (9,), (12,)), "fd=9,vhost=on,vhostfd=12", ""),
        (TapDevice(2, "52:54:00:00:00:02", (9, 10)), "fds=9:10", ",mq=on,vectors=6"),
        (
            TapDevice(2, "52:54:00:00:00:02", (9, 10), (12, 13)),
            "fds=9:10,vhost=on,vhostfds=12:13",
            ",mq=on,vectors=6",
        ),
    ],
)
def test_what_qemu_is_told_of_queues(device: TapDevice, backend: str, more: str) -> None:
    netdev, nic = network(dataclasses.replace(plan(nics=(bridge(2),)), nics=[device]))
    assert netdev == f"tap,id=net1,{backend}"
    assert (
        nic == f"virtio-net-pci,id=nic2,netdev=net1,mac=52:54:00:00:00:02,romfile={more},addr=0xb.0x1,multifunction=on"
    )


def test_nat_by_a_user_network_is_told_as_ever() -> None:
    assert network(plan(nics=(nat(1),)))[0] == "user,id=net0"
