"""From the name of an image to a shell by ssh, and what changes while that guest runs, each step seen from inside.

Only with --whole: the guest has cloud-init, sshd and the agent, and boots in minutes under software emulation.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.journeys.conftest import StartServer
from tests.journeys.server import Server, free_port
from tests.journeys.test_live_moving import done
from tests.patience import at_last
from tests.serving import serving
from velocity.cli.demo import image

pytestmark = [pytest.mark.guest, pytest.mark.whole]
ROOT = Path(__file__).resolve().parents[2]
CACHE = Path.home() / ".cache/velocity"
"""As `make demo` has it."""
SECONDS = 900
"""For a guest in software emulation, on a host that does other work too."""
MIB = 1 << 20
POOLS = {1: "default", 2: "other"}
SERVED = 8000
SERVES = f"python3 -m http.server {SERVED} --directory /var/tmp"


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
        pytest.skip(f"needs --whole (make whole), {', '.join(['root', *lacking])}")


def launched(tmp_path: Path, start_server: StartServer) -> tuple[Server, CommandLine]:
    """A server, and the VM web of an image that its catalogue has by name."""
    built = image.build(CACHE, kernels=image.WITH_GRAPHICS)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "id"], check=True)
    handler = partial(SimpleHTTPRequestHandler, directory=str(built.parent))
    files = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    with serving(files):
        catalogue = tmp_path / "more.toml"
        catalogue.write_text(
            f'[[images]]\nname = "ours"\ntitle = "Ours"\nversion = "1"\nuser = "debian"\n'
            f'url = "http://127.0.0.1:{files.server_port}/{built.name}"\n'
            f'sha256 = "{hashlib.sha256(built.read_bytes()).hexdigest()}"\n'
        )
        pools = ", ".join(f'{{mpid={mpid}, name="{name}", path="{tmp_path / name}"}}' for mpid, name in POOLS.items())
        server = start_server(catalogues=f'["{catalogue}"]', nat_subnet="10.231.16.0/24", pools=f"[{pools}]")
        velocity = CommandLine(server, "web")
        said = velocity(
            "launch", "ours", "--name", "web", "--user", "ann", "--ssh-key", str(tmp_path / "id.pub"),
            "--cpus", "2", "--memory", "768M", "--max-memory", "2G", "--drive", "virtio",
            "--display", "screen=1280x1024", "--timezone", "Europe/Berlin", "--timeout", str(SECONDS),
        )  # fmt: skip
    assert "vm ssh web" in said and "ssh ann@10.231.16." in said
    return server, velocity


@pytest.mark.holds("CLI-31", "CLI-32", "GUEST-88", "GUEST-90", "GUEST-91")
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
    moved(server, velocity, disk(server, velocity), tmp_path)
    frozen(server, velocity, vm["vmid"])
    forward(server, velocity, vm["vmid"], (tmp_path / "sent").read_bytes())
    display(server, velocity, vm["vmid"])
    nic(server, velocity, vm["vmid"])
    memory(velocity)
    clock(server, velocity, vm["vmid"])
    assert velocity(*ssh, "uname -n") == "web\n", "it is the same run, and reached as before"


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


class Disk(NamedTuple):
    """As the server knows it, and as the guest calls it."""

    mid: str
    name: str


def disk(server: Server, velocity: CommandLine) -> Disk:
    """Added, formatted, written and grown; what was written stays."""
    mid = server.ok("PUT", "/m/media/create", mpid=1, gid=0, name="data", size=64 * MIB)["mid"]
    before = set(velocity.inside("ls /sys/block").split())
    assert "is attached to web\n" in velocity("vm", "attach", "web", "data:block")
    (name,) = set(velocity.sees("ls /sys/block", lambda said: len(set(said.split()) - before) == 1).split()) - before
    velocity.inside(f"mkfs.ext4 -q /dev/{name} && mkdir /data && mount /dev/{name} /data && echo kept >/data/file")
    velocity("media", "set", "data", "--size", "128M")
    velocity.sees(f"cat /sys/block/{name}/size", lambda said: int(said) * 512 == 128 * MIB)
    size = velocity.inside(f"resize2fs /dev/{name} >/dev/null 2>&1; sync; cat /data/file; df -m --output=size /data")
    assert size.split()[0] == "kept" and int(size.split()[-1]) > 64, size
    return Disk(mid, name)


WRITES = """
cd /data && rm -f stop && n=0
while ! [ -e stop ] && [ $n -lt 5000 ]; do
    n=$((n + 1))
    dd if=/dev/urandom of=part$((n % 8)) bs=64k count=16 conv=fsync
    sha256sum part? >sums
    echo $n >count
done
"""


def moved(server: Server, velocity: CommandLine, disk: Disk, place: Path) -> None:
    """To another pool and back while the guest writes: what it has is what lies there."""
    (place / "writes").write_text(WRITES)
    velocity("vm", "cp", str(place / "writes"), "web:/var/tmp/")
    count = "cat /data/count || echo 0"
    for mpid, unit in ((2, "there"), (1, "back")):
        velocity.inside(f"rm -f /data/count; systemd-run -q --unit {unit} sh /var/tmp/writes")
        velocity.sees(count, lambda said: int(said or 0) > 1)
        if mpid == 2:
            velocity("media", "move", "data", "--to-pool", POOLS[mpid])
        else:
            done(server, "/m/media/move", mid=disk.mid, mpid=mpid)
        during = int(velocity.inside(count) or 0)
        velocity.sees(count, lambda said, during=during: int(said or 0) > during)  # type: ignore[misc]
        ended = f"touch /data/stop; while systemctl -q is-active {unit}; do sleep 1; done"
        checked = "cd /data && sha256sum --quiet -c sums && cat file && cd / && umount /data"
        digest = velocity.inside(f"{ended}; {checked} && sha256sum /dev/{disk.name}")
        (file,) = [one for pool in POOLS.values() for one in (place / pool).glob(f"{disk.mid}.*")]
        assert file.parent.name == POOLS[mpid]
        assert digest.split()[:2] == ["kept", hashlib.sha256(file.read_bytes()).hexdigest()]
        velocity.inside(f"mount /dev/{disk.name} /data")


STAMPS = "while sleep 0.1; do date +%s.%N >>/data/stamps; done"


def frozen(server: Server, velocity: CommandLine, vmid: int) -> None:
    """Whoever writes waits meanwhile; what a server has frozen that was killed, the next one thaws."""
    velocity.inside(f"systemd-run -q --unit stamps sh -c '{STAMPS}'")
    velocity.sees("cat /data/stamps || true", bool)
    velocity("vm", "freeze", "web", "--", "sleep", "5")
    stamps = [float(one) for one in velocity.inside("cat /data/stamps").split()]
    assert max(later - one for one, later in itertools.pairwise(stamps)) > 4
    velocity("vm", "freeze", "web", "--timeout", "2")
    server.kill()
    server.start()
    at_last(lambda: "frozen_until" not in server.ok("POST", "/v/vm", vmid=vmid), "it is thawed")
    velocity.sees("wc -l </data/stamps", lambda said: int(said) > len(stamps))
    velocity.inside("systemctl stop stamps")


def forward(server: Server, velocity: CommandLine, vmid: int, sent: bytes) -> None:
    """What the guest serves is had by a port of the host, from when that is added until it is taken away."""
    log = "/var/tmp/served"
    velocity.inside(f"systemd-run -q --unit served -p StandardError=file:{log} {SERVES}")
    velocity.sees(f"ss -Hltn 'sport = :{SERVED}'", bool)
    first, second = free_port(), free_port()

    def had(port: int) -> bytes:
        return httpx.get(f"http://127.0.0.1:{port}/sent", timeout=120, trust_env=False).content

    velocity("vm", "set", "web", "--forward", f"{first}:{SERVED}")
    assert had(first) == sent
    altered = server.ok("PATCH", "/v/vm", vmid=vmid, forwards=[{"host_port": second, "guest_port": SERVED}])
    assert altered["waiting"] == [], altered
    assert had(second) == sent
    with pytest.raises(httpx.ConnectError):
        had(first)
    velocity("vm", "set", "web", "--forward", "none")
    with pytest.raises(httpx.ConnectError):
        had(second)
    assert velocity.inside(f"systemctl stop served; grep -c 'GET /sent' {log}") == "2"


def display(server: Server, velocity: CommandLine, vmid: int) -> None:
    """Its text console follows to a size that it has room for, and to no other: that waits, and the screen stays."""

    def seen() -> tuple[str, int, int]:
        read = "grep -m 1 -o 'mode: \"[^\"]*' /mnt/dri/0/state"
        mode = velocity.inside(f"mount -t debugfs none /mnt; {read}; umount /mnt")
        picture = server.ok("POST", "/v/vm/screen", vmid=vmid)
        return mode.partition('"')[2], picture["width"], picture["height"]

    assert seen() == ("1280x1024", 1280, 1024)
    velocity("vm", "set", "web", "--display", "screen=1024x768")
    assert server.ok("POST", "/v/vm", vmid=vmid)["waiting"] == []
    at_last(lambda: seen() == ("1024x768", 1024, 768), "the guest and its screen are of that size")
    altered = server.ok("PATCH", "/v/vm", vmid=vmid, displays=[{"name": "screen", "width": 2560, "height": 1440}])
    assert altered["waiting"] == ["displays"] and "virtio-gpu" in altered["waits"]["displays"], altered
    at_last(lambda: seen() == ("1024x768", 1024, 768), "it is as before")
    altered = server.ok("PATCH", "/v/vm", vmid=vmid, displays=[{"name": "screen", "width": 1280, "height": 1024}])
    assert altered["waiting"] == [], altered
    at_last(lambda: seen() == ("1280x1024", 1280, 1024), "and back")


def nic(server: Server, velocity: CommandLine, vmid: int) -> None:
    read = "cat /sys/class/net/*/address; true"  # a NIC that has just come gets another name in between
    (first,) = server.ok("POST", "/v/vm", vmid=vmid)["interfaces"]
    velocity("vm", "nic", "add", "web", "nat")
    second = server.ok("POST", "/v/vm", vmid=vmid)["interfaces"][1]["mac"]
    assert second != first["mac"]
    velocity.sees(read, lambda said: {first["mac"], second} <= set(said.split()))
    velocity("vm", "nic", "rm", "web", "2")
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


def check_session(words: list[str], environment: dict[str, str]) -> None:
    """On a terminal, it ends in a shell of the guest; how that ends is no failure."""
    ours, its = os.openpty()
    with os.fdopen(ours, "r+b", buffering=0) as terminal:
        demo = subprocess.Popen(words, env=environment, stdin=its, stdout=its, stderr=its, start_new_session=True)
        os.close(its)
        said, end = b"", time.monotonic() + SECONDS
        for wanted, typed in ((b":~$ ", b"id -un; tty; exit 3\r"), (b"demo-remove", b"")):
            while wanted not in said:
                assert time.monotonic() < end and demo.poll() is None, said
                if select.select([terminal], [], [], 1)[0]:
                    said += terminal.read(4096)
            terminal.write(typed)
        assert b"demo\r\n/dev/pts/" in said
        with contextlib.suppress(OSError):  # it has no other end any more
            while terminal.read(4096):
                pass
        assert demo.wait(SECONDS) == 0


def as_user(user: str, place: Path) -> list[str]:
    """What runs the words behind it as that user, who owns the place and has the image in a cache there."""
    others = ["setpriv", "--reuid", user, "--regid", "nogroup", "--clear-groups"] if user != "root" else []
    # What the demo itself runs, and by a shell: setpriv's own first program is opened with the rights of root.
    verb = [*others, "sh", "-c", f"{ROOT}/.venv/bin/velocity --version"]
    if subprocess.run(verb, capture_output=True, check=False).returncode:
        pytest.skip("needs a checkout and a Python that other users may read")
    cache = place / "cache" / "velocity"
    cache.mkdir(parents=True)
    shutil.copy(image.build(CACHE), cache)
    for one in (place, *place.rglob("*")):
        shutil.chown(one, user)
    return others


@pytest.mark.holds("CLI-37")
@pytest.mark.parametrize("user", ["root", "nobody"])
def test_the_demo_ends_logged_in_and_leaves_nothing(user: str, whole: bool) -> None:
    needs(whole, "setpriv")
    with tempfile.TemporaryDirectory(prefix="velocity-demo-") as directory:
        place = Path(directory)
        words = [*as_user(user, place), sys.executable, str(ROOT / "scripts/demo")]
        environment = os.environ | {
            "HOME": directory, "XDG_CACHE_HOME": str(place / "cache"), "VELOCITY_DATA_DIR": str(place / "demo"),
        }  # fmt: skip
        environment.pop("XDG_STATE_HOME", None)
        how = {"env": environment, "capture_output": True, "text": True, "stdin": subprocess.DEVNULL}
        try:
            demo = subprocess.run(words, check=False, timeout=SECONDS, **how)  # type: ignore[call-overload]
            assert (demo.returncode, demo.stdout.strip()) == (0, "demo"), demo.stderr
            check_session(words, environment)
        finally:
            removed = subprocess.run([*words, "--remove"], check=False, timeout=SECONDS, **how)  # type: ignore[call-overload]
        assert removed.returncode == 0, removed.stderr
        assert [one.name for one in place.iterdir()] == ["cache"]
