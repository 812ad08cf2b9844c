"""Disks, ISOs and NICs of a VM by the command line: one more, one less, changed; the others stay."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.host import Host, hosting
from velocity.config import NicSetting


def test_nics_are_written_and_shown(tmp_path: Path) -> None:
    with hosting(tmp_path / "data", nics=[NicSetting(nicid=5, identifier="br0", description="office")]) as host:
        nics = ("nat", "bridge:br0", "BRIDGE:id:5:Trusted")
        host.ok("vm", "create", "web", "--memory", "64M", *(word for nic in nics for word in ("--nic", nic)))
        shown = [line.split(None, 1) for line in host.ok("vm", "show", "web").splitlines()]
        macs = [one["mac"] for one in json.loads(host.ok("vm", "show", "web", "--json"))["interfaces"]]
        assert [text for label, text in shown if label == "nic"] == [
            f"NAT, id 1, {macs[0]}, in QEMU's user network", f"BRIDGE on host NIC 5, id 2, {macs[1]}",
            f"BRIDGE on host NIC 5, trusted, id 3, {macs[2]}",
        ]  # fmt: skip
        file = tmp_path / "site.toml"
        file.write_text('[[vms]]\nname = "web"\nmemory = "64M"\nnics = ["nat", "bridge:5", "bridge:5:trusted"]\n')
        assert "nothing to do" in host.ok("apply", str(file))
        host.ok("vm", "set", "web", "--nic", "bridge:br0:trusted:id=3", "--nic", "nat:mac=02:00:00:00:00:0A")
        info = json.loads(host.ok("vm", "show", "web", "--json"))
        assert info["nics"] == [
            {"type": "BRIDGE", "host": 5, "trusted": True, "id": 3}, {"type": "NAT", "mac": "02:00:00:00:00:0A"},
        ]  # fmt: skip
        assert info["interfaces"] == [{"id": 3, "mac": macs[2]}, {"id": 4, "mac": "02:00:00:00:00:0a", "nat": "USER"}]
        for said in ("nat", "nat:mac=02:00:00:00:00:0a"):
            file.write_text(f'[[vms]]\nname = "web"\nmemory = "64M"\nnics = ["bridge:5:trusted", "{said}"]\n')
            assert "nothing to do" in host.ok("apply", str(file)), "what a file does not say may be anything"
        file.write_text(file.read_text().replace(":0a", ":0b"))
        assert "change VM web in /: nics" in host.ok("apply", str(file), "--yes")
        assert "id 4, 02:00:00:00:00:0b" in host.ok("vm", "show", "web")
        for wrong in (
            "nat:mac",
            "nat:id=x",
            "bridge:x",
            "bridge:",
            "bridge:5:",
            "bridge:5:trust",
            "bridge:5:trusted:no",
        ):
            refused = host.run("vm", "set", "web", "--nic", wrong)
            assert refused.exit_code != 0 and f"{wrong!r} is not a NIC" in refused.stderr, wrong


@pytest.mark.holds("CLI-29")
def test_an_iso_is_put_into_a_drive_changed_and_ejected(host: Host, tmp_path: Path) -> None:
    def drives() -> list[str]:
        return host.ok("vm", "cd", "show", "web").splitlines()

    for name in ("one", "other"):
        (tmp_path / f"{name}.iso").write_bytes(b"x" * 8192)
        host.ok("media", "upload", str(tmp_path / f"{name}.iso"), "--type", "ISO", "--name", name)
    host.ok("vm", "create", "web", "--memory", "64M")
    assert drives() == ["no CD-ROM drives"]
    host.ok("vm", "cd", "insert", "web", "one")
    assert drives() == ["USB: one"]
    host.ok("vm", "cd", "insert", "web", "other")
    assert drives() == ["USB: other"], "in the place of the only one"
    host.ok("vm", "cd", "eject", "web")
    assert drives() == ["USB: empty"]
    host.ok("vm", "cd", "insert", "web", "one")
    assert drives() == ["USB: one"], "it goes into the empty one"
    host.ok("vm", "set", "web", "--drive", "virtio")
    host.ok("vm", "cd", "insert", "web", "other", "--drive", "virtio")
    assert drives() == ["USB: one", "VIRTIO: other"]
    refused = host.run("vm", "cd", "eject", "web")
    assert refused.exit_code and "name one of one, other" in refused.stderr
    host.ok("vm", "cd", "eject", "web", "other")
    assert drives() == ["USB: one", "VIRTIO: empty"]
    host.ok("media", "create", "disk", "--size", "1M")
    refused = host.run("vm", "cd", "insert", "web", "disk")
    assert refused.exit_code == 1 and "disk is not an ISO" in refused.stderr and "vm attach" in refused.stderr
    assert drives() == ["USB: one", "VIRTIO: empty"]
    host.ok("media", "set", "other", "--type", "iso")
    host.ok("vm", "cd", "insert", "web", "other", "--drive", "virtio")
    assert drives() == ["USB: one", "VIRTIO: other"], "the type in any letters"
    host.ok("vm", "cd", "eject", "web", "other")
    file = tmp_path / "site.toml"
    file.write_text('[[vms]]\nname = "web"\nmemory = "64M"\nmedia = ["one:usb"]\ndrives = ["usb"]\n')
    host.ok("apply", str(file), "--yes")
    assert drives() == ["USB: one", "USB: empty"]


def test_a_disc_is_ejected_at_once_although_something_else_waits(host: Host, tmp_path: Path) -> None:
    iso = tmp_path / "one.iso"
    iso.write_bytes(bytes(2048))
    host.ok("media", "upload", str(iso), "--name", "one")
    host.ok("vm", "create", "web", "--memory", "64M", "--media", "one:usb")
    host.ok("vm", "start", "web")
    said = host.ok("vm", "set", "web", "--cpus", "2")
    assert said.startswith("at its next start: cpus\n  cpus: ")
    assert host.ok("vm", "cd", "eject", "web") == "one is ejected from VM web\n"


@pytest.mark.holds("CLI-40")
def test_one_medium_is_attached_and_detached_and_the_others_stay(host: Host) -> None:
    for name in ("one", "two"):
        host.ok("media", "create", name, "--size", "1M")
    host.ok("vm", "create", "web", "--memory", "64M", "--media", "one")
    host.ok("vm", "start", "web")
    assert host.ok("vm", "attach", "web", "two:block:ro") == "two:block:ro is attached to web\n"

    def media() -> list[tuple[str, bool]]:
        return [(one["mode"], one["readonly"]) for one in json.loads(host.ok("vm", "show", "web", "--json"))["media"]]

    assert media() == [("VIRTIO", False), ("BLOCK", True)]
    host.ok("vm", "detach", "web", "two", "--plan")
    assert len(media()) == 2
    assert host.ok("vm", "detach", "web", "two") == "two is detached from web\n"
    assert media() == [("VIRTIO", False)]
    refused = host.run("vm", "detach", "web", "two")
    assert refused.exit_code == 1 and "web does not have two" in refused.stderr
    assert "three" in host.run("vm", "attach", "web", "three").stderr


@pytest.mark.holds("GUEST-64")
def test_the_cable_of_one_nic_is_pulled_and_all_else_stays(host: Host) -> None:
    host.ok("vm", "create", "web", "--memory", "64M", "--nic", "nat")
    assert "NIC 1 of web" in host.ok("vm", "link", "web", "down")
    host.ok("vm", "set", "web", "--nic", "nat:id=1:link=down", "--nic", "nat")
    host.ok("vm", "start", "web")
    host.ok("vm", "link", "web", "up", "--nic", "1")
    host.ok("vm", "link", "web", "down", "--nic", "2")
    (run,) = host.hypervisor.runs.values()
    assert [(one.nic, one.up) for one in run.spec.nics] == [(1, True), (2, False)]
    for words in (("web", "up"), ("web", "up", "--nic", "3")):
        refused = host.run("vm", "link", *words)
        assert refused.exit_code != 0 and "one of 1, 2" in refused.stderr


@pytest.mark.holds("CLI-40")
def test_one_nic_is_added_and_removed_and_the_others_stay(host: Host) -> None:
    host.ok("vm", "create", "web", "--memory", "64M", "--nic", "nat:link=down")

    def nics() -> list[tuple[int, str, str]]:
        shown = json.loads(host.ok("vm", "show", "web", "--json"))
        pairs = zip(shown["nics"], shown["interfaces"], strict=True)
        return [(has["id"], has["mac"], nic.get("link", "up")) for nic, has in pairs]

    (first,) = nics()
    assert host.ok("vm", "nic", "add", "web", "nat") == "web has another NIC, nat\n"
    assert nics()[0] == first and [number for number, _, _ in nics()] == [1, 2]
    refused = host.run("vm", "nic", "rm", "web", "7")
    assert refused.exit_code == 2 and "no NIC 7; it has: 1, 2" in refused.stderr
    host.ok("vm", "nic", "rm", "web", "2", "--plan")
    assert len(nics()) == 2
    assert host.ok("vm", "nic", "rm", "web", "2") == "NIC 2 is removed from web\n"
    assert nics() == [first]


@pytest.mark.holds("CLI-40")
def test_what_waits_of_an_earlier_change_is_not_said_of_a_later_one(host: Host) -> None:
    host.ok("media", "create", "one", "--size", "1M")
    host.ok("vm", "create", "web", "--memory", "64M", "--max-cpus", "4")
    host.ok("vm", "start", "web")
    host.ok("vm", "attach", "web", "one:block")
    (run,) = host.hypervisor.runs.values()
    run.devices.lets_go = False
    said = host.ok("vm", "detach", "web", "one")
    assert said.startswith("one is detached from web, from its next start on\n  media: ")
    assert host.ok("vm", "nic", "add", "web", "nat") == "web has another NIC, nat\n"
    assert host.ok("vm", "set", "web", "--cpus", "2").startswith("web is changed\nat its next start: media\n")
    assert host.ok("vm", "set", "web", "--max-cpus", "3").startswith("at its next start: media, max_cpus\n")
