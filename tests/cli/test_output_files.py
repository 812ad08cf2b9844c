"""Files that commands write: whole or not at all, and devices and pipes stay what they are."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.test_guest import agent as agent
from tests.cli.test_plain import VELOCITY
from tests.cli.test_pools import between
from tests.host import Host
from tests.patience import PATIENCE, at_last
from velocity.client import Client
from velocity.hypervisor.fake import FakeAgent

LIMIT = 64 << 10


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """What stands for /dev/stdout and /dev/null."""
    made = tmp_path / "pipe"
    os.mkfifo(made)
    return made


def through(pipe: Path, write: Callable[[], object]) -> bytes:
    """What came through it."""
    came: list[bytes] = []
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)  # nobody waits for the other end
    thread = threading.Thread(target=write)
    thread.start()
    thread.join(PATIENCE)
    try:
        while piece := os.read(reader, 1 << 16):
            came.append(piece)
    except BlockingIOError:
        pass
    finally:
        os.close(reader)
    return b"".join(came)


@pytest.mark.holds("CLI-52")
def test_a_pipe_or_a_device_gets_the_bytes_and_stays(host: Host, agent: FakeAgent, pipe: Path, tmp_path: Path) -> None:
    agent.files["/etc/note"] = bytearray(b"of the guest")
    assert through(pipe, lambda: host.run("vm", "cp", "web:/etc/note", str(pipe))) == b"of the guest"
    assert through(pipe, lambda: host.run("db", "export", str(pipe))).startswith(b'{"velocity"')
    assert stat.S_ISFIFO(pipe.lstat().st_mode)
    link, real = tmp_path / "link", tmp_path / "real"
    link.symlink_to(real)
    for words in (("vm", "cp", "web:/etc/note", str(link)), ("db", "export", str(link))):
        host.ok(*words)
        assert link.is_symlink() and real.stat().st_size > 0
        real.unlink()


@pytest.mark.holds("CLI-63")
def test_what_is_redirected_keeps_what_it_had_and_a_private_file_stays_private(
    host: Host, agent: FakeAgent, tmp_path: Path
) -> None:
    agent.files["/etc/note"] = bytearray(b"of the guest")
    log = tmp_path / "log"
    log.write_bytes(b"before ")
    for words in (["vm", "cp", "web:/etc/note", "/dev/stdout"], ["db", "export", "/dev/fd/1"]):
        with log.open("ab") as out:
            subprocess.run([VELOCITY, *words], stdout=out, env=os.environ | host.environment, check=True)
    assert log.read_bytes().startswith(b'before of the guest{"velocity"')
    private = tmp_path / "private"
    private.touch(0o600)
    host.ok("vm", "cp", "web:/etc/note", str(private))
    assert private.read_bytes() == b"of the guest" and stat.S_IMODE(private.stat().st_mode) == 0o600


@pytest.mark.holds("CLI-53")
def test_what_a_signal_ends_leaves_no_frozen_guest(host: Host, agent: FakeAgent) -> None:
    begun = subprocess.Popen(
        [VELOCITY, "vm", "freeze", "web", "--", "sleep", "1000"], env=os.environ | host.environment,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip

    def asked() -> list[str]:
        return [command for _, command, _ in host.hypervisor.guests.asked]

    children = Path(f"/proc/{begun.pid}/task/{begun.pid}/children")
    at_last(lambda: "guest-fsfreeze-freeze" in asked() and bool(children.read_text()), "the program that copies")
    begun.send_signal(signal.SIGTERM)
    assert begun.wait(PATIENCE) == 128 + signal.SIGTERM
    assert asked()[-1] == "guest-fsfreeze-thaw"


@pytest.mark.holds("CLI-53")
def test_who_interrupts_the_freezing_has_the_guest_thawed(host: Host, agent: FakeAgent) -> None:
    """The server may have frozen it, although nobody waits for that any more."""
    with between(host.url) as (way, after):
        after["/v/vm/freeze"] = lambda: os.kill(os.getpid(), signal.SIGINT)
        ended = host.run("vm", "freeze", "web", VELOCITY_SERVER=way)
    assert ended.exit_code != 0
    assert [command for _, command, _ in host.hypervisor.guests.asked][-1] == "guest-fsfreeze-thaw"


@pytest.mark.holds("CLI-54")
def test_a_download_has_its_name_when_it_is_complete(host: Host, tmp_path: Path) -> None:
    (tmp_path / "whole").write_bytes(os.urandom(1 << 20))
    target = tmp_path / "to" / "copy"
    target.parent.mkdir()
    with Client(host.url, host.key) as sender, Client(host.url, host.key) as client:
        mid = sender.upload(tmp_path / "whole", mpid=1, gid=0, name="a", type="DISK").mid
        named: list[bool] = []
        client.download(mid, target, progress=lambda done, total: named.append(target.exists()))
        assert named and not any(named), "whoever is killed leaves none that looks whole"
        assert list(target.parent.iterdir()) == [target]
        assert target.read_bytes() == (tmp_path / "whole").read_bytes()
        target.unlink()

        def somebody_else(done: int, total: int) -> None:
            target.write_text("mine")

        refused = pytest.raises(Exception, match="already exists: choose another name")
        with refused:
            client.download(mid, target, progress=somebody_else)
        assert target.read_text() == "mine" and list(target.parent.iterdir()) == [target]
    target.unlink()
    full = subprocess.run(
        ["prlimit", f"--fsize={LIMIT}", VELOCITY, "media", "download", "a", str(target)], capture_output=True,
        text=True, env=os.environ | host.environment, check=False,
    )  # fmt: skip
    assert full.returncode == 1 and f"{target}: File too large" in full.stderr
    assert list(target.parent.iterdir()) == []
