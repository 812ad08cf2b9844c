"""Profiles of hardware: what was released stays, byte for byte."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from tests.hypervisor.qemu.plans import KINDS
from velocity.hypervisor.port import FIRST_HARDWARE, HypervisorError
from velocity.hypervisor.qemu import hardware
from velocity.hypervisor.qemu.command import LaunchSpec, ListeningSockets, arguments
from velocity.hypervisor.qemu.layout import cold

RECORDED = Path(__file__).parent / "recorded"
"""The arguments of each kind of machine, made by the version that released the profile."""


def of(plan: LaunchSpec, name: str) -> list[str]:
    spec = msgspec.structs.replace(plan.spec, hardware=name)
    agent = 8 if name in {one.name for one in hardware.PROFILES if one.agent} else None
    return arguments(replace(plan, spec=spec, sockets=ListeningSockets(6, agent)))


@pytest.mark.holds("GUEST-37")
def test_a_released_profile_gives_the_same_command_line_byte_for_byte() -> None:
    recorded = {file.stem.removeprefix("hardware-"): json.loads(file.read_text()) for file in RECORDED.iterdir()}
    released = [one.name for one in hardware.PROFILES[:-1]]
    assert sorted(recorded) == released, "a profile that is no longer the newest is recorded"
    for name, kinds in recorded.items():
        assert {kind: of(plan, name) for kind, plan in KINDS.items()} == kinds


def test_the_documentation_says_what_each_profile_adds() -> None:
    text = (Path(__file__).resolve().parents[3] / "docs" / "devices.md").read_text()
    _, _, table = text.partition("| hardware | what a guest finds |")
    rows = [row.split("|")[1].strip() for row in table.partition("\n\n")[0].splitlines()[2:]]
    assert rows == [one.name for one in hardware.PROFILES]


@pytest.mark.holds("GUEST-37")
def test_profiles_have_names_of_their_own_and_say_what_a_guest_notices() -> None:
    names = [one.name for one in hardware.PROFILES]
    assert names[0] == FIRST_HARDWARE and len(set(names)) == len(names)
    assert [bool(one.notices) for one in hardware.PROFILES] == [False] + [True] * (len(names) - 1)


@pytest.mark.parametrize("kind", KINDS)
def test_every_profile_has_a_place_for_each_device_and_a_first_function_in_each_slot(kind: str) -> None:
    for profile in hardware.PROFILES:
        words = of(KINDS[kind], profile.name)
        devices = [value for option, value in itertools.pairwise(words) if option == "-device"]
        places = [word[5:] for device in devices for word in device.split(",") if word.startswith("addr=")]
        functions = [place.split(".") if "." in place else [place, "0x0"] for place in places]
        assert len({tuple(one) for one in functions}) == len(functions)
        assert {slot for slot, _ in functions} == {slot for slot, function in functions if function == "0x0"}
        assert max(int(slot, 16) for slot, _ in functions) < 0x1F


@pytest.mark.holds("GUEST-38")
def test_a_profile_of_a_newer_version_is_refused_with_the_cure() -> None:
    with pytest.raises(HypervisorError, match=r"'99' .*`velocity vm set VM --hardware latest`"):
        of(KINDS["nothing"], "99")


@pytest.mark.holds("GUEST-39")
def test_a_guest_reports_what_it_frees_where_its_hardware_and_its_settings_have_a_balloon() -> None:
    def balloons(plan: LaunchSpec, profile: str) -> list[str]:
        return [word for word in of(plan, profile) if word.startswith("virtio-balloon")]

    plan = KINDS["nothing"]
    without = replace(plan, spec=msgspec.structs.replace(plan.spec, balloon=False))
    assert balloons(plan, "2") == ["virtio-balloon-pci,free-page-reporting=on,addr=0x11"]
    assert [balloons(plan, "1"), balloons(without, "2"), balloons(without, "1")] == [[], [], []]


@pytest.mark.holds("GUEST-61", "GUEST-62")
@pytest.mark.parametrize("profile", ["1", "2"])
def test_a_maximum_adds_to_what_a_guest_finds_and_without_one_all_is_as_before(profile: str) -> None:
    plan = KINDS["nothing"]
    grows = replace(plan, spec=msgspec.structs.replace(plan.spec, max_cpus=8, max_memory=plan.spec.memory + 33))
    more = [word for word in of(grows, profile) if word not in of(plan, profile)]
    assert [word for word in more if word.startswith("virtio-mem")] == [
        "virtio-mem-pci,id=memory,memdev=more,requested-size=0,addr=0x12"
    ]
    assert f"{plan.spec.memory}M,maxmem={plan.spec.memory + 32}M" in more, "in blocks of 2 MiB"
    assert any(word.startswith(f"{plan.spec.cpus},maxcpus=8") for word in more)
    assert len(of(grows, profile)) == len(of(plan, profile)) + 4


@pytest.mark.holds("GUEST-78")
def test_a_guest_has_a_port_for_its_agent_where_its_hardware_has_a_channel() -> None:
    assert [one.agent for one in hardware.known()] == [False, False, True, True, True]
    words = of(KINDS["nothing"], "3")
    assert "virtio-serial-pci,id=ports,max_ports=2,addr=0x14" in words
    assert "socket,id=agent,fd=8,server=on,wait=off" in words
    assert "virtserialport,bus=ports.0,nr=1,chardev=agent,name=org.qemu.guest_agent.0" in words
    assert not [word for word in of(KINDS["nothing"], "2") if "agent" in word]


@pytest.mark.holds("GUEST-99")
@pytest.mark.parametrize("kind", KINDS)
def test_hardware_4_is_that_of_3_without_the_sata_controller(kind: str) -> None:
    former, present = of(KINDS[kind], "3"), of(KINDS[kind], "4")
    assert [(was, now) for was, now in zip(former, present, strict=True) if was != now] == [
        (machine := former[former.index("-machine") + 1], f"{machine},sata=off")
    ]


@pytest.mark.holds("GUEST-103")
@pytest.mark.parametrize("kind", KINDS)
def test_hardware_5_is_that_of_4_with_one_bridge_in_the_place_of_eight(kind: str) -> None:
    former, present = of(KINDS[kind], "4"), of(KINDS[kind], "5")
    ports = [word for word in former if word.startswith("pcie-root-port")]
    assert len(ports) == 8
    assert [word for word in present if word not in former] == ["pcie-pci-bridge,id=spare,addr=0x10"]
    assert len(present) == len(former) - 2 * (len(ports) - 1)


@pytest.mark.holds("GUEST-103")
@pytest.mark.parametrize(
    ("name", "nic", "usb"),
    [("4", "bus=spare7", "bus=spare2"), ("5", "bus=spare,addr=0x8,disable-legacy=on", "bus=spare,addr=0x3")],
)
def test_what_was_added_while_it_ran_has_the_same_place_on_another_host(name: str, nic: str, usb: str) -> None:
    plan = KINDS["a NIC"]
    layout = msgspec.structs.replace(cold(plan.spec), usb={"xhci0": 15}, plugged={"nic1": 7, "xhci0": 2})
    words = of(replace(plan, there=layout), name)
    (bridges, *_), (network,), (controller,) = (
        [at for at, word in enumerate(words) if word.startswith(kind)]
        for kind in ("pcie-", "virtio-net-pci", "qemu-xhci")
    )
    assert words[network].endswith(f",{nic}") and words[controller].endswith(f",{usb}")
    assert bridges < controller < network, "QEMU knows a bus before what is on it"
