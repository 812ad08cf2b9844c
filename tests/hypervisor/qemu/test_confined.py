"""What whoever has broken out of QEMU still cannot do: tried from inside, as the guest's very process."""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from tests.hypervisor.qemu import intruder
from tests.patience import eventually
from tests.ports.subjects import QemuSubject, machine, spec
from tests.root import as_root
from velocity import sandbox
from velocity.hypervisor.port import NatSpec, Stop
from velocity.hypervisor.qemu import resolver, scopes

pytestmark = [pytest.mark.anyio, pytest.mark.guest]

HIDDEN = (
    "/etc/passwd", "/etc/shadow", "/etc/hosts", "/etc/hostname", "/etc/ssl", "/etc/systemd", "/root", "/home",
    "/boot", "/var/lib", "/var/log", "/opt", "/srv", "/mnt", "/media", "/run/lock", "/proc/self", "/proc/1",
    "/proc/kcore", "/proc/net", "/proc/sys", "/proc/sysrq-trigger", "/proc/mounts", "/sys/class", "/sys/kernel",
    "/sys/fs/cgroup", "/dev/mem", "/dev/kmsg", "/dev/vda", "/dev/sda", "/dev/nvme0n1", "/dev/kvm", "/dev/fuse",
    "/dev/net/tun", "/dev/vhost-net", "/dev/loop-control", "/dev/tty", "/dev/console", "/dev/pts", "/dev/shm",
    "/dev/mqueue", "/dev/cpu_dma_latency", "/dev/hpet", "/dev/port", "/dev/ptmx",
)  # fmt: skip
"""Whatever of this the host has."""
UNWRITABLE = ("/", "/tmp", "/var/tmp", "/dev/shm", "/dev", "/usr", "/usr/bin", "/usr/lib", "/etc", "/run", "/proc")
CLOSED = ("127.0.0.1", "127.0.0.9", "0.0.0.0", "::1", "::ffff:127.0.0.1")
METADATA = ("169.254.169.254", "168.63.129.16", "100.100.100.200")
QUEUE = "/velocity-test"
UNBOUNDED = "its memory is not limited"
"""What holds only where systemd and control groups of version 2 are: `test_scopes.py`."""


class Host:
    """What there is on the host for the intruder to find."""

    def __init__(self, open_: ExitStack) -> None:
        listener = open_.enter_context(socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True))
        self.port: int = listener.getsockname()[1]
        self.abstract = f"velocity-{uuid4()}"
        named = open_.enter_context(socket.socket(socket.AF_UNIX))
        named.bind("\0" + self.abstract)
        named.listen()
        libc = ctypes.CDLL(None, use_errno=True)
        self.key = int(uuid4().int % (1 << 30)) + 1
        segment = libc.shmget(self.key, 4096, 0o1666)
        queue = libc.mq_open(QUEUE.encode(), os.O_CREAT | os.O_RDWR, 0o666, None)
        assert segment >= 0 and queue >= 0
        open_.callback(libc.shmctl, segment, 0, None)  # IPC_RMID
        open_.callback(libc.mq_unlink, QUEUE.encode())
        open_.callback(os.close, queue)


@pytest.fixture
def host() -> Iterator[Host]:
    with ExitStack() as open_:
        yield Host(open_)


def told(qemu: QemuSubject, host: Host, own: Path, other: Path, pid: int, *, nat: bool) -> dict[str, object]:
    """What the intruder is to try. Of what is hidden, only what is there counts."""
    data, run = qemu.options.data_dir, own.parent
    hidden = [
        *map(Path, HIDDEN), data, *data.iterdir(), *(data / "machines").rglob("*"), *(data / "firmware").rglob("*"),
        data / "cache" / "qemu.json", *(path for path in run.iterdir() if path != own), other, *other.iterdir(),
        Path(__file__), Path(sys.executable).resolve(),
    ]  # fmt: skip
    shown = data / "cache" / "resolver" if nat else data  # the way to it is there, and nothing beside it
    return {
        "hidden": [str(path) for path in hidden if path.exists() and path not in (shown, *shown.parents)],
        "unwritable": [*UNWRITABLE, str(run), str(qemu.root), *([str(shown)] if nat else [])],
        "sockets": [str(run / "qmp.sock"), str(other / "qmp.sock"), str(other / "own" / "display0.sock")],
        "tcp": [(address, host.port) for address in CLOSED] + [(address, 80) for address in METADATA],
        "udp": [("127.0.0.1", host.port), ("169.254.169.254", 53)],
        "abstract": [] if nat else [host.abstract],
        "own": str(own),
        "server": os.getpid(),
        "other": pid,
        "shm": host.key,
        "queue": QUEUE,
    }


@as_root("namespaces and uids")
@pytest.mark.parametrize("nat", [True, False], ids=["with NAT", "without"])
@pytest.mark.holds("ISOLATION-6", "BOUND-24")
async def test_who_breaks_out_of_qemu_is_still_confined(qemu: QemuSubject, host: Host, nat: bool) -> None:
    who, other = machine(), machine()
    wanted = spec(qemu.hypervisor, held=True)
    await qemu.hypervisor.machines.start(
        who,
        msgspec.structs.replace(wanted, nics=(NatSpec(nic=1, mac="52:54:00:00:00:01"),) if nat else ()),
        deadline=60,
    )
    await qemu.hypervisor.machines.start(other, wanted, deadline=60)
    holds = await qemu.hypervisor.hosts.confinement(who, deadline=30)
    assert holds is not None and [gap for gap in holds.gaps if not gap.startswith(UNBOUNDED)] == []
    assert holds.thread_limit is not None and holds.thread_limit <= scopes.THREADS and not holds.core_dumps
    assert holds.namespaces == ("mount", "ipc", "pid") and not holds.sees_host_files
    assert holds.oom_score_adj > int(Path("/proc/self/oom_score_adj").read_text())
    runs = qemu.driver.watched.place.runs
    own, others = runs.own(who.machine), runs.directory(other.machine)
    command = [sys.executable, "-I", intruder.__file__, str(qemu.pid(who)), str(holds.uid)]
    told_ = json.dumps(told(qemu, host, own, others, qemu.pid(other), nat=nat))
    done = await asyncio.to_thread(
        subprocess.run, command, input=told_, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout, done.stderr
    tried = json.loads(done.stdout)
    assert {name: error for name, error in tried["may"].items() if error} == {}
    assert [name for name, error in tried["forbidden"].items() if not error] == []
    assert len(tried["forbidden"]) >= 60
    for one in (who, other):
        await qemu.hypervisor.machines.stop(one, Stop.NOW, deadline=30)
        await qemu.hypervisor.machines.acknowledge(one, deadline=30)


@as_root("namespaces and uids")
async def test_a_first_process_of_a_namespace_hears_the_host(qemu: QemuSubject) -> None:
    """Its pid is the one on the host, and what has ended it is known as ever."""
    who = machine()
    await qemu.hypervisor.machines.start(who, spec(qemu.hypervisor, held=True), deadline=60)
    status = Path(f"/proc/{qemu.pid(who)}/status").read_text()
    assert f"NSpid:\t{qemu.pid(who)}\t1\n" in status
    assert f"PPid:\t{os.getpid()}\n" in status, "no process stands between"


def test_a_program_that_cannot_begin_is_an_error_and_leaves_the_server_where_it_was() -> None:
    view = None if sandbox.missing() else sandbox.View()
    with pytest.raises(FileNotFoundError):
        sandbox.spawn(view, ["no-such-program"], stdin=0, stdout=1, stderr=2, env={})
    assert Path(__file__).exists()


async def test_resolvers_follow_those_of_the_host(tmp_path: Path) -> None:
    source, kept = tmp_path / "resolv.conf", tmp_path / "kept"
    source.write_text("nameserver 192.0.2.1\n")
    resolver.copy(kept, source)
    following = asyncio.create_task(resolver.follow(kept, source, every=0.01))
    draft = tmp_path / "draft"
    draft.write_text("nameserver 192.0.2.2\n")
    draft.rename(source)
    try:
        await eventually(lambda: (kept / "resolv.conf").read_text() == "nameserver 192.0.2.2\n")
    finally:
        following.cancel()
    assert (kept / "resolv.conf").stat().st_mode & 0o777 == 0o644
