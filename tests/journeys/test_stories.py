"""Whole stories through the command line, with real guests."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.journeys.conftest import StartServer
from tests.journeys.server import cli
from velocity.cli.demo.guest import Guest

pytestmark = pytest.mark.guest


@pytest.mark.holds("IMAGE-5")
@pytest.mark.whole
def test_a_vmdk_is_imported_boots_is_deleted_and_restored_and_boots(
    start_server: StartServer, guest: Guest, tmp_path: Path, whole: bool
) -> None:
    """The second time until the firmware has read the loader from it and starts it; as a whole, until Linux is up."""
    server = start_server()
    raw, image = tmp_path / "disk.raw", tmp_path / "appliance.vmdk"
    extract = ["xorriso", "-osirrox", "on", "-indev", str(guest.iso), "-extract", "/esp.img", str(raw)]
    subprocess.run(extract, check=True, capture_output=True)
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "vmdk", raw, image], check=True)
    cli(server, "media", "import", image)
    vmid = int(cli(server, "vm", "create", "appliance", "--memory", "256M", "--media", "appliance:block"))
    cli(server, "vm", "start", "appliance")
    terminal = server.console(vmid)
    said = terminal.boot()
    assert "GUEST disk vda" in said
    terminal.close()
    variables = server.data / "machines"
    cli(server, "vm", "stop", "appliance", "--force")
    before = {file.name: file.read_bytes() for file in variables.rglob("*vars*")}
    assert before, "its firmware has written its variables"
    cli(server, "vm", "rm", "appliance")
    cli(server, "media", "rm", "appliance")
    assert cli(server, "vm", "list") == ""
    cli(
        server,
        "trash",
        "restore",
        next(line for line in cli(server, "trash", "list").splitlines() if "medium" in line).split()[0],
    )
    cli(server, "trash", "restore", "appliance")
    assert {file.name: file.read_bytes() for file in variables.rglob("*vars*")} == before
    cli(server, "vm", "start", "appliance")
    terminal = server.console(vmid)
    if whole:
        assert "GUEST disk vda" in terminal.boot()
    else:
        assert b"EFI Internal Shell" not in terminal.until(b"BdsDxe: starting", 300)
    terminal.close()
