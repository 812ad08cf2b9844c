"""What a real machine shows and has said: pictures, their text, the log, and all of it after the server's restart."""

from __future__ import annotations

import base64
import io
import urllib.request

import pytest
from PIL import Image

from tests.journeys.conftest import StartServer
from tests.journeys.rfb import viewing
from tests.journeys.server import Server
from tests.patience import PATIENCE
from tests.processes import open_files

pytestmark = pytest.mark.guest

BANNER = "UEFI Interactive Shell"


@pytest.mark.holds("CONSOLE-5", "GUEST-41", "GUEST-86", "STATE-21")
def test_the_firmwares_shell_is_seen_read_and_found(start_server: StartServer) -> None:
    server = start_server()
    display = {"name": "screen", "width": 1280, "height": 720}
    body = {"name": "bare", "gid": 0, "cpus": 1, "memory_mib": 128, "displays": [display]}
    vmid = int(server.ok("PUT", "/v/vm/efi", **body)["vmid"])
    server.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    terminal = server.console(vmid)
    terminal.firmware()
    began = server.processes()
    server.ok("PUT", "/v/vm/reset", vmid=vmid)
    terminal.until(BANNER.encode(), PATIENCE)  # it says so once a boot
    terminal.shell()  # on the same console
    assert server.processes() == began
    with viewing(server, vmid, "screen") as viewer:
        viewer.types("ver\n")  # the firmware knows no virtio keyboard: it has the PS/2 one
        terminal.until(b"UEFI v2", PATIENCE)
    terminal.close()

    shown = server.ok("POST", "/v/vm/screen", vmid=vmid, text=True)
    with Image.open(io.BytesIO(base64.b64decode(shown["png"]))) as picture:
        assert picture.size == (shown["width"], shown["height"])
        assert len(picture.convert("L").getcolors(256) or []) > 1
    assert "Shell" in shown["text"]
    assert image(server, vmid).size[0] == 320
    (hit, *_) = server.ok("POST", "/v/vm/screen/search", text="interactive shell")["hits"]
    assert (hit["vmid"], hit["display"]) == (vmid, "screen")
    (pid,) = server.processes()
    assert lent(pid) == 0
    server.ok("PUT", "/v/vm/state", vmid=vmid, state="PAUSED")

    server.kill()
    server.start()
    again = server.console(vmid)
    again.until(BANNER.encode(), PATIENCE)  # of a guest that says nothing now
    again.close()
    server.ok("POST", "/v/vm/screen", vmid=vmid)
    server.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
    log = server.ok("POST", "/v/vm/log", vmid=vmid, bytes=1 << 20)
    assert BANNER in log["text"]
    assert log["complete"] is True
    server.ok("PUT", "/v/vm/boot", vmid=vmid, firmware_setup=True)
    server.ok("PUT", "/v/vm/state", vmid=vmid, state="PAUSED")
    fresh = server.console(vmid)
    with pytest.raises(TimeoutError):
        fresh.socket.recv(0.2)  # what another run has said is in the log, not on this one's console
    server.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    fresh.until(b"Boot Manager", PATIENCE)  # of the firmware's setup
    fresh.close()


def image(server: Server, vmid: int) -> Image.Image:
    url = f"http://127.0.0.1:{server.port}/v/vm/screen?vmid={vmid}&display=screen&width=320"
    request = urllib.request.Request(url, headers={"authorization": f"Bearer {server.key}"})
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        assert answer.headers["etag"]
        return Image.open(io.BytesIO(answer.read()))


def lent(pid: int) -> int:
    """How many files of ours the process has open."""
    return sum("velocity-screen" in one for one in open_files(pid))
