"""From the name of an image to a shell by ssh, and what changes while that guest runs, each step seen from inside.

Only with --whole: the guest has cloud-init, sshd and the agent, and boots in minutes under software emulation.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.journeys.conftest import StartServer
from tests.journeys.server import Server
from velocity.cli.demo import image

pytestmark = [pytest.mark.guest, pytest.mark.whole]
ROOT = Path(__file__).resolve().parents[2]
CACHE = Path.home() / ".cache/velocity"
"""As `make demo` has it."""
SECONDS = 900
"""For a guest in software emulation, on a host that does other work too."""
MIB = 1 << 20


class CommandLine:
    """The command line, of a server; `inside` a guest of it, by its agent."""

    def __init__(self, server: Server, vm: str) -> None:
        self._vm = vm
        self._environment = os.environ | {
            "VELOCITY_DATA_DIR": str(server.data),
            "VELOCITY_SERVER": f"http://127.0.0.1:{server.port}",
            "VELOCITY_AUTHKEY": server.key,
            "XDG_STATE_HOME": str(server.data.parent / "state"),
        }

    def __call__(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "velocity", *words], env=self._environment, capture_output=True, text=True,
            timeout=SECONDS, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout

    def inside(self, script: str) -> str:
        return self("vm", "exec", "--timeout", "300", self._vm, "--", "sh", "-c", script).strip()

    def sees(self, script: str, wanted: Callable[[str], bool]) -> str:
        """What it says inside, once it is as wanted."""
        end = time.monotonic() + 120
        while not wanted(said := self.inside(script)):
            assert time.monotonic() < end, (script, said)
            time.sleep(0.5)
        return said


def needs(whole: bool, *programs: str) -> None:
    lacking = [one for one in (*image.PROGRAMS, "ssh", *programs) if shutil.which(one) is None]
    if not whole or os.geteuid() or lacking:
        pytest.skip(f"--whole, root and {', '.join(lacking) or 'no more'} are needed")


def launched(tmp_path: Path, start_server: StartServer) -> tuple[Server, CommandLine]:
    """A server, and the VM web of an image that its catalogue has by name."""
    built = image.build(CACHE)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "id"], check=True)
    handler = partial(SimpleHTTPRequestHandler, directory=str(built.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as files:
        threading.Thread(target=files.serve_forever, args=(0.1,), daemon=True).start()
        catalogue = tmp_path / "more.toml"
        catalogue.write_text(
            f'[[images]]\nname = "ours"\ntitle = "Ours"\nversion = "1"\nuser = "debian"\n'
            f'url = "http://127.0.0.1:{files.server_port}/{built.name}"\n'
            f'sha256 = "{hashlib.sha256(built.read_bytes()).hexdigest()}"\n'
        )
        server = start_server(catalogues=f'["{catalogue}"]', nat_subnet="10.231.16.0/24")
        velocity = CommandLine(server, "web")
        said = velocity(
            "launch", "ours", "--name", "web", "--user", "ann", "--ssh-key", str(tmp_path / "id.pub"),
            "--cpus", "2", "--memory", "768M", "--max-memory", "2G", "--drive", "virtio",
            "--timezone", "Europe/Berlin", "--timeout", str(SECONDS),
        )  # fmt: skip
        files.shutdown()
    assert "vm ssh web" in said and "ssh ann@10.231.16." in said
    return server, velocity


@pytest.mark.holds("CLI-31", "CLI-32", "GUEST-88")
def test_a_guest_is_launched_by_name_logged_in_to_and_changed(
    tmp_path: Path, start_server: StartServer, whole: bool
) -> None:
    needs(whole, "xorriso")
    server, velocity = launched(tmp_path, start_server)
    ssh = ("vm", "ssh", "-i", str(tmp_path / "id"), "web", "--")
    assert velocity(*ssh, "uname -n") == "web\n"
    done = "cloud-init status --wait > /dev/null"
    asked = f"{done}; id -un; sudo -n id -un; readlink /etc/localtime; cat /sys/block/sr0/ro"
    assert velocity(*ssh, asked).split() == ["ann", "root", "/usr/share/zoneinfo/Europe/Berlin", "1"]
    (vm,) = server.ok("POST", "/v/vm/list", gid=0)["vms"]
    words_and_files(velocity, tmp_path)
    discs(velocity, tmp_path)
    disk(server, velocity, vm["vmid"])
    nic(server, velocity, vm["vmid"])
    memory(velocity)
    clock(server, velocity, vm["vmid"])
    assert velocity(*ssh, "uname -n") == "web\n", "it is the same run, and reached as before"


# A port that is forwarded, a display that is resized, a disk that is moved: each a function here, called above.


def words_and_files(velocity: CommandLine, place: Path) -> None:
    assert velocity("vm", "exec", "web", "--", "printf", "%s|", "a b", "$HOME") == "a b|$HOME|"
    (place / "sent").write_bytes(os.urandom(MIB))
    velocity("vm", "cp", str(place / "sent"), "web:/var/tmp/")
    velocity("vm", "cp", "web:/var/tmp/sent", str(place / "came"))
    assert (place / "came").read_bytes() == (place / "sent").read_bytes()


def discs(velocity: CommandLine, place: Path) -> None:
    """One after the other in the drive that the VM has beside the CD of cloud-init."""
    read = "for one in /dev/sr*; do blkid -p -o value -s LABEL $one; done; true"
    for name in ("ONE", "OTHER"):
        (place / name).mkdir()
        iso = place / f"{name}.iso"
        subprocess.run(["xorriso", "-as", "mkisofs", "-quiet", "-V", name, "-o", iso, place / name], check=True)
        velocity("media", "upload", str(iso), "--name", name)
        velocity("vm", "cd", "insert", "web", name)
        velocity.sees(read, lambda said, name=name: said.split()[-1:] == [name] or name in said.split())  # type: ignore[misc]
    velocity("vm", "cd", "eject", "web")
    velocity.sees(read, lambda said: "OTHER" not in said.split())


def disk(server: Server, velocity: CommandLine, vmid: int) -> None:
    """Added, formatted, written and grown; what was written stays."""
    mid = server.ok("PUT", "/m/media/create", mpid=1, gid=0, name="data", size=64 * MIB)["mid"]
    before = set(velocity.inside("ls /sys/block").split())
    media = server.ok("POST", "/v/vm", vmid=vmid)["media"]
    altered = server.ok("PATCH", "/v/vm", vmid=vmid, media=[*media, {"mid": mid, "mode": "BLOCK"}])
    assert altered["waiting"] == [], altered
    (name,) = set(velocity.sees("ls /sys/block", lambda said: len(set(said.split()) - before) == 1).split()) - before
    velocity.inside(f"mkfs.ext4 -q /dev/{name} && mkdir /data && mount /dev/{name} /data && echo kept >/data/file")
    velocity("media", "set", "data", "--size", "128M")
    velocity.sees(f"cat /sys/block/{name}/size", lambda said: int(said) * 512 == 128 * MIB)
    size = velocity.inside(f"resize2fs /dev/{name} >/dev/null 2>&1; sync; cat /data/file; df -m --output=size /data")
    assert size.split()[0] == "kept" and int(size.split()[-1]) > 64, size


def nic(server: Server, velocity: CommandLine, vmid: int) -> None:
    read = "cat /sys/class/net/*/address"
    (first,) = server.ok("POST", "/v/vm", vmid=vmid)["interfaces"]
    velocity("vm", "set", "web", "--nic", "nat:id=1", "--nic", "nat")
    second = server.ok("POST", "/v/vm", vmid=vmid)["interfaces"][1]["mac"]
    assert second != first["mac"]
    velocity.sees(read, lambda said: {first["mac"], second} <= set(said.split()))
    velocity("vm", "set", "web", "--nic", "nat:id=1")
    velocity.sees(read, lambda said: first["mac"] in said and second not in said)


def memory(velocity: CommandLine) -> None:
    read = "awk '/MemTotal/{print $2}' /proc/meminfo"
    before = int(velocity.inside(read))
    velocity("vm", "set", "web", "--memory", "1280M")
    velocity.sees(read, lambda said: int(said) > before + 400 * 1024)


def clock(server: Server, velocity: CommandLine, vmid: int) -> None:
    """Wrong by two minutes, as after a pause of that length, and right after a short one."""
    late = 120

    def error(said: str) -> float:
        return time.time() - float(said)

    velocity.inside(f"date -s @$(( $(date +%s) - {late} ))")
    assert error(velocity.inside("date +%s.%N")) > late / 2
    server.ok("PUT", "/v/vm/state", vmid=vmid, state="PAUSED")
    velocity("vm", "resume", "web")
    velocity.sees("date +%s.%N", lambda said: abs(error(said)) < late / 4)


@pytest.mark.holds("CLI-37")
def test_the_demo_ends_logged_in_and_leaves_nothing(tmp_path: Path, whole: bool) -> None:
    needs(whole)
    environment = os.environ | {"VELOCITY_DATA_DIR": str(tmp_path / "demo"), "XDG_STATE_HOME": str(tmp_path / "state")}
    words = [sys.executable, str(ROOT / "scripts/demo")]
    how = {"env": environment, "capture_output": True, "text": True, "stdin": subprocess.DEVNULL, "timeout": SECONDS}
    try:
        demo = subprocess.run(words, check=False, **how)  # type: ignore[call-overload]
        assert (demo.returncode, demo.stdout.strip()) == (0, "demo"), demo.stderr
    finally:
        removed = subprocess.run([*words, "--remove"], check=False, **how)  # type: ignore[call-overload]
    assert removed.returncode == 0, removed.stderr
    assert not (tmp_path / "demo").exists()
