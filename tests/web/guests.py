"""What really stands on the screens of guests: a small Linux and the firmware's own shell and setup."""

from __future__ import annotations

import base64
import io
import time

from PIL import Image

from tests.journeys.server import Server
from tests.patience import PATIENCE
from velocity.cli.demo.guest import Guest

SIZE = {"width": 1024, "height": 640}
NEW = 2.1
"""Seconds after which a display is looked at anew."""


def linux(server: Server, guest: Guest, name: str) -> int:
    """The demo guest under that name, up: its id."""
    mid = server.upload(f"{name}.iso", guest.iso.read_bytes())
    vmid = _vm(server, name, 256, [{"mid": mid, "mode": "VIRTIO"}])
    terminal = server.console(vmid)
    terminal.boot()
    terminal.close()
    return vmid


def types(server: Server, vmid: int, command: str) -> None:
    """In the guest's shell on the serial console, until it is done."""
    terminal = server.console(vmid)
    terminal.run(command)
    terminal.close()


def logs_in(name: str) -> str:
    """Puts the prompt of a host with that name on the guest's screen."""
    return (
        f"killall getty top; hostname {name}; clear >/dev/tty1; "
        r"printf 'Welcome to \\n, Linux \\r on \\m\n\n' >/etc/issue; (setsid getty 38400 tty1 linux &)"
    )


def shows(command: str) -> str:
    """Puts what the command prints on the guest's screen."""
    return f"killall getty top; clear >/dev/tty1; (setsid {command} </dev/tty1 >/dev/tty1 2>&1 &)"


def shot(server: Server, vmid: int) -> bytes:
    """The guest's screen as PPM."""
    time.sleep(NEW)
    answer = server.ok("POST", "/v/vm/screen", vmid=vmid)
    with Image.open(io.BytesIO(base64.b64decode(answer["png"]))) as picture:
        out = io.BytesIO()
        picture.convert("RGB").save(out, "PPM")
    return out.getvalue()


def in_shell(server: Server, name: str) -> int:
    """A VM without media, in its firmware's shell: its id."""
    vmid = _vm(server, name, 128, [])
    terminal = server.console(vmid)
    terminal.shell()
    terminal.close()
    return vmid


def firmware(server: Server) -> tuple[bytes, bytes]:
    """The firmware's shell, and its setup."""
    vmid = in_shell(server, "bare")
    terminal = server.console(vmid)
    terminal.type("ver\r")
    terminal.until(b"UEFI v2", PATIENCE)
    shell = shot(server, vmid)
    terminal.type("exit\r")
    terminal.until(b"Boot Manager", PATIENCE)
    setup = shot(server, vmid)
    terminal.close()
    server.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
    return shell, setup


def _vm(server: Server, name: str, memory: int, media: list[dict[str, str]]) -> int:
    displays = [{"name": "screen", **SIZE}]
    body = {"name": name, "gid": 0, "cpus": 2, "memory_mib": memory, "displays": displays, "media": media}
    vmid = int(server.ok("PUT", "/v/vm/efi", **body, nics=[{"type": "NAT"}] if media else [])["vmid"])
    server.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    return vmid
