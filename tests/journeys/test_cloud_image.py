"""From the name of an image to a shell by ssh, in a guest that has cloud-init. Only with --whole: it takes minutes."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.journeys.cloud_image import cloud_image, lacking
from tests.journeys.conftest import StartServer
from tests.journeys.server import Server

pytestmark = [pytest.mark.guest, pytest.mark.whole]
CACHE = Path.home() / ".cache/velocity-tests"
SECONDS = 900
"""For a guest in software emulation, on a host that does other work too."""


def velocity(server: Server, *words: str) -> str:
    environment = os.environ | {
        "VELOCITY_DATA_DIR": str(server.data),
        "VELOCITY_SERVER": f"http://127.0.0.1:{server.port}",
        "VELOCITY_AUTHKEY": server.key,
        "XDG_STATE_HOME": str(server.data.parent / "state"),
    }
    done = subprocess.run(
        [sys.executable, "-m", "velocity", *words], env=environment, capture_output=True, text=True, timeout=SECONDS,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.holds("CLI-31", "CLI-32")
def test_a_guest_is_launched_by_name_and_logged_in_to(tmp_path: Path, start_server: StartServer, whole: bool) -> None:
    lacks = lacking()
    if not whole or os.geteuid() or lacks or shutil.which("ssh") is None:
        pytest.skip(f"--whole, root, ssh and {', '.join(lacks) or 'no more'} are needed")
    image = cloud_image(CACHE)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "id"], check=True)
    handler = partial(SimpleHTTPRequestHandler, directory=str(image.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as files:
        threading.Thread(target=files.serve_forever, args=(0.1,), daemon=True).start()
        catalogue = tmp_path / "more.toml"
        catalogue.write_text(
            f'[[images]]\nname = "ours"\ntitle = "Ours"\nversion = "1"\nuser = "debian"\n'
            f'url = "http://127.0.0.1:{files.server_port}/{image.name}"\n'
            f'sha256 = "{hashlib.sha256(image.read_bytes()).hexdigest()}"\n'
        )
        server = start_server(catalogues=f'["{catalogue}"]', nat_subnet="10.231.16.0/24")
        words = ("--name", "web", "--user", "ann", "--ssh-key", str(tmp_path / "id.pub"), "--memory", "512M")
        said = velocity(server, "launch", "ours", *words, "--timezone", "Europe/Berlin", "--timeout", str(SECONDS))
        files.shutdown()
    assert "vm ssh web" in said and "ssh ann@10.231.16." in said
    done = "cloud-init status --wait > /dev/null"
    asked = f"{done}; id -un; hostname; sudo -n id -un; readlink /etc/localtime; cat /sys/block/sr0/ro"
    shown = velocity(server, "vm", "ssh", "-i", str(tmp_path / "id"), "web", "--", asked)
    assert shown.split() == ["ann", "web", "root", "/usr/share/zoneinfo/Europe/Berlin", "1"]
