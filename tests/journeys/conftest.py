"""Servers for journeys; whatever a journey leaves, its guests are ended."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from websockets.exceptions import WebSocketException

from tests.journeys.server import Server
from tests.patience import PATIENCE
from velocity.cli.demo.guest import Guest

StartServer = Callable[..., Server]


@pytest.fixture
def start_server(tmp_path: Path, runtime: Path) -> Iterator[StartServer]:
    servers: list[Server] = []

    def start(**options: str) -> Server:
        server = Server(tmp_path / f"data{len(servers)}", runtime_dir=str(runtime), **options)
        servers.append(server)
        server.start()
        return server

    yield start
    for server in servers:
        server.close()
        assert server.processes() == [], "a journey left machines behind"


class Lasting:
    """A server with a guest that stays up from one test to the next: booting it is most of what they would cost.

    The guest has the demo's ISO, a disk in a pool that has room for little, and an empty USB drive. Each test leaves it
    as it was, or ended: then the next one finds it booted anew.
    """

    def __init__(self, place: Path, guest: Guest) -> None:
        self._place = place
        self._guest = guest
        self._begun = 0
        self._undo = contextlib.ExitStack()

    def up(self) -> None:
        """Its shell waits."""
        if self._begun == 0 or not self._answers() or self._attached() != self._media:
            self.end()
            self._begin()

    def end(self) -> None:
        """Of the guest and the server."""
        self._undo.close()

    def _close(self, server: Server) -> None:
        if server.process is not None and server.process.poll() is not None:
            server.start()  # a test has failed half-way: the guest is still to be ended
        server.close()
        assert server.processes() == [], "a journey left machines behind"

    def _answers(self) -> bool:
        try:
            terminal = self.server.console(self.vmid)
            try:
                return "42" in terminal.run("echo $((6 * 7))", PATIENCE)
            finally:
                terminal.close()
        except (AssertionError, OSError, WebSocketException):
            return False

    def _attached(self) -> list[object]:
        """What a test that failed half-way has left is not what the next one expects."""
        vm = self.server.ok("POST", "/v/vm", vmid=self.vmid)
        return [vm["drives"], *([one["mid"], one["mode"]] for one in vm["media"])]

    def _begin(self) -> None:
        self._begun += 1
        place = self._place / str(self._begun)
        self.big, self.small = place / "big", place / "small"
        self.small.mkdir(parents=True)
        if os.geteuid() == 0:  # for others it has as much room as all
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(self.small)], check=True)
            self._undo.callback(subprocess.run, ["umount", str(self.small)], check=True)
        runtime = Path(tempfile.mkdtemp(prefix="vel-"))
        self._undo.callback(shutil.rmtree, runtime)
        pools = f'[{{mpid=1, name="default", path="{self.big}"}}, {{mpid=2, name="small", path="{self.small}"}}]'
        self.server = server = Server(place / "data", runtime_dir=str(runtime), pools=pools, move_address="127.0.0.1")
        self._undo.callback(self._close, server)
        server.start()
        disk = server.ok("PUT", "/m/media/create", mpid=2, gid=0, name="disk", size=64 << 20)["mid"]
        iso = server.upload("guest.iso", self._guest.iso.read_bytes())
        media = [{"mid": iso, "mode": "USB"}, {"mid": disk, "mode": "BLOCK"}]
        body = {"name": "lasting", "gid": 0, "cpus": 1, "memory_mib": 256, "media": media, "drives": [{"mode": "USB"}]}
        body |= {"max_cpus": 2, "max_memory_mib": 512, "displays": [{"name": "screen", "width": 1280, "height": 720}]}
        self.vmid = int(server.ok("PUT", "/v/vm/efi", **body)["vmid"])
        server.ok("PUT", "/v/vm/state", vmid=self.vmid, state="RUNNING")
        terminal = server.console(self.vmid)
        terminal.boot()
        terminal.close()
        self._media = self._attached()


@pytest.fixture(scope="package")
def kept_up(tmp_path_factory: pytest.TempPathFactory, guest: Guest) -> Iterator[Lasting]:
    made = Lasting(tmp_path_factory.mktemp("lasting"), guest)
    yield made
    made.end()


@pytest.fixture
def lasting(kept_up: Lasting, room_for_guests: None) -> Lasting:
    """It boots, if it has to, where there is room for a guest."""
    kept_up.up()
    return kept_up
