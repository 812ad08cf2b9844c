"""The distribution's own guest agent in a guest: what it tells, and what is done inside by it."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import subprocess
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.conftest import StartServer
from tests.journeys.server import Server, Terminal
from tests.patience import PATIENCE
from velocity.cli.demo.guest import Guest

pytestmark = pytest.mark.guest

PIECE = 512 << 10
BEGIN = """
mkdir -p /var/run /run /root /sbin; tar xf /dev/vda -C /
echo root:x:0:0:root:/root:/bin/sh >/etc/passwd; echo root:x:0: >/etc/group; touch /etc/shadow
ln -s /bin/busybox /sbin/hwclock
printf '#!/bin/sh\\ncat >/tmp/password\\n' >/bin/chpasswd; chmod +x /bin/chpasswd
printf '#!/bin/sh\\npoweroff -f\\n' >/sbin/shutdown; chmod +x /sbin/shutdown
for port in /sys/class/virtio-ports/*; do grep -q guest_agent $port/name && name=${port##*/}; done
qemu-ga -d -m virtio-serial -p /dev/$name -t /run
""".strip().replace("\n", "; ")


DEAF = "for one in $(pidof dd); do kill -9 $(sed -n 's/^PPid:[^0-9]*//p' /proc/$one/status) $one; done"
"""What listens to the power button ends, with the shell that would power off when it has ended."""


def packed(place: Path) -> bytes:
    """qemu-ga with its libraries, as a tar archive of whole sectors."""
    subprocess.run(["apt-get", "download", "qemu-guest-agent"], cwd=place, check=True, capture_output=True)
    (package,) = place.glob("*.deb")
    subprocess.run(["dpkg", "-x", str(package), str(place)], check=True)
    program = place / "usr/sbin/qemu-ga"
    needs = subprocess.run(["ldd", str(program)], check=True, capture_output=True, text=True).stdout
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", dereference=True) as tar:
        tar.add(program, "bin/qemu-ga")
        for library in re.findall(r"(/\S+) \(0x", needs):
            tar.add(library, library.lstrip("/"))
    return archive.getvalue()


def in_guest(server: Server, vmid: int, *command: str, **more: Any) -> dict[str, Any]:
    return server.ok("PUT", "/v/vm/exec", vmid=vmid, command=list(command), timeout=300, **more)


def output(answer: dict[str, Any]) -> str:
    return base64.b64decode(answer["stdout"]).decode()


def begun(server: Server, guest: Guest, archive: bytes) -> tuple[int, Terminal]:
    """A guest with its agent, and its console."""
    iso = {"mid": server.upload("cd", guest.iso.read_bytes()), "mode": "VIRTIO", "readonly": True}
    disk = {"mid": server.upload("agent", archive), "mode": "BLOCK", "readonly": True}
    body = {"name": "vm", "gid": 0, "cpus": 1, "memory_mib": 256, "media": [iso, disk], "nics": [{"type": "NAT"}]}
    vmid = int(server.ok("PUT", "/v/vm/efi", **body)["vmid"])
    server.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    assert "no guest agent runs in it" in server.ok("POST", "/v/vm/guest", vmid=vmid)["why"]
    terminal = server.console(vmid)
    terminal.boot()
    terminal.run(BEGIN, PATIENCE)
    end = time.monotonic() + PATIENCE
    while "agent" not in (told := server.ok("POST", "/v/vm/guest", vmid=vmid)):
        assert time.monotonic() < end, (told, terminal.run("ps; ls -l /dev/vport*"))
        time.sleep(0.2)
    return vmid, terminal


@pytest.mark.holds("GUEST-79")
def test_the_agent_of_the_distribution_tells_and_acts(start_server: StartServer, guest: Guest, tmp_path: Path) -> None:
    server = start_server()
    vmid, terminal = begun(server, guest, packed(tmp_path))
    (nic,) = server.ok("POST", "/v/vm", vmid=vmid)["interfaces"]
    told = server.ok("POST", "/v/vm/guest", vmid=vmid)
    assert told["agent"].startswith("7.") and told["kernel"] == guest.kernel
    assert any(one.get("mac") == nic["mac"] for one in told["nics"])
    ended = in_guest(server, vmid, "sh", "-c", "cat; echo no >&2; exit 3", input=base64.b64encode(b"in").decode())
    assert (output(ended), base64.b64decode(ended["stderr"]), ended["exit_status"]) == ("in", b"no\n", 3)
    many = in_guest(server, vmid, "head", "-c", "3000000", "/dev/zero")
    assert (len(base64.b64decode(many["stdout"])), many["stdout_truncated"], many["exit_status"]) == (1 << 20, True, 0)
    copied(server, vmid)
    server.kill()
    server.start()
    assert output(in_guest(server, vmid, "echo", "again")) == "again\n", "the next server finds the agent, too"
    server.ok("PUT", "/v/vm/guest/keys", vmid=vmid, user="root", keys=["ssh-ed25519 AAAA me"])
    assert output(in_guest(server, vmid, "cat", "/root/.ssh/authorized_keys")).strip() == "ssh-ed25519 AAAA me"
    server.ok("PUT", "/v/vm/guest/password", vmid=vmid, user="root", password="hush hush")
    assert output(in_guest(server, vmid, "cat", "/tmp/password")).strip() == "root:hush hush"
    in_guest(server, vmid, "date", "-s", "@1000000000")
    server.ok("PUT", "/v/vm/state", vmid=vmid, state="PAUSED")
    server.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    end = time.monotonic() + PATIENCE
    while abs(int(output(in_guest(server, vmid, "date", "+%s"))) - time.time()) > 60:
        assert time.monotonic() < end, "its clock is set after a pause"
        time.sleep(0.2)
    assert in_guest(server, vmid, "sh", "-c", DEAF)["exit_status"] == 0
    terminal.close()
    server.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED")
    server.wait_for(vmid, "STOPPED", PATIENCE)


def copied(server: Server, vmid: int) -> None:
    """A file goes in, and comes out as it was."""
    content = b"".join(hashlib.sha256(number.to_bytes(4)).digest() for number in range(40_000))
    for at in range(0, len(content), PIECE):
        piece = base64.b64encode(content[at : at + PIECE]).decode()
        server.ok("PUT", "/v/vm/guest/file", vmid=vmid, path="/tmp/file", content=piece, offset=at)
    found = output(in_guest(server, vmid, "sha256sum", "/tmp/file"))
    assert found.split()[0] == hashlib.sha256(content).hexdigest()
    out, end = b"", False
    while not end:
        read = server.ok("POST", "/v/vm/guest/file", vmid=vmid, path="/tmp/file", offset=len(out))
        out, end = out + base64.b64decode(read["content"]), bool(read["end"])
    assert out == content
