"""Guests that boot from the network of their host NIC: by PXE, and by HTTP."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.bridged import HTTP, NETBOOT, bridged, run
from tests.journeys.server import Server
from tests.patience import PATIENCE
from velocity.cli.demo.guest import Guest

pytestmark = pytest.mark.guest


@pytest.fixture
def namespace() -> Iterator[str]:
    with bridged() as name:
        yield name


@pytest.mark.holds("GUEST-83", "GUEST-92")
def test_a_vm_boots_by_pxe_and_by_http_from_the_network_of_its_host_nic(
    namespace: str, tmp_path: Path, runtime: Path, guest: Guest
) -> None:
    """What it gets by PXE is no program, so that the firmware goes on with HTTP, by which Linux boots."""
    esp = str(tmp_path / "esp.img")
    run("xorriso", "-osirrox", "on", "-indev", str(guest.iso), "-extract", "/esp.img", esp)
    run("mcopy", "-i", esp, "::/EFI/BOOT/BOOTX64.EFI", str(tmp_path / NETBOOT))
    serves = [sys.executable, "-m", "http.server", "--bind", "198.51.100.1", "--directory", str(tmp_path), str(HTTP)]
    files = subprocess.Popen(
        ["ip", "netns", "exec", namespace, *serves], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    nics = '[{nicid=7, identifier="br0", description="a bridge"}]'
    server = Server(tmp_path / "data", netns=namespace, nics=nics, runtime_dir=str(runtime))
    try:
        server.start()
        disk = server.ok("PUT", "/m/media/create", mpid=1, gid=0, name="empty", size=1 << 20)["mid"]
        body = {"name": "net", "gid": 0, "cpus": 1, "memory_mib": 256, "media": [{"mid": disk, "mode": "VIRTIO"}]}
        body |= {"nics": [{"type": "BRIDGE", "host": 7, "boot": 1}]}
        vmid = int(server.ok("PUT", "/v/vm/efi", **body)["vmid"])
        server.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        terminal = server.console(vmid)
        said = terminal.until(b"NBP file downloaded successfully", PATIENCE).decode("utf-8", "replace")
        assert "Start PXE over IPv4" in said and NETBOOT in said, said
        said = terminal.boot()
        assert "Start HTTP Boot over IPv4" in said, said
        assert "inet 198.51.100." in terminal.run("ip -4 addr show eth0")
        terminal.close()
        server.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
    finally:
        server.close()
        files.terminate()
        files.wait()
