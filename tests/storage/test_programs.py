"""Programs that read what others made: what they may do, and what is left of it."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, aclosing, asynccontextmanager, contextmanager, suppress
from pathlib import Path

import pytest

from tests.hypervisor.qemu.conftest import descriptors
from tests.patience import eventually
from tests.processes import open_files
from tests.root import as_root
from velocity import spawning
from velocity.storage.directory.files import PoolFiles
from velocity.storage.directory.identity import Identity
from velocity.storage.directory.image_file import ImageFile
from velocity.storage.directory.images import Conversion, Images
from velocity.storage.directory.places import Places
from velocity.storage.directory.shared_descriptor import SharedDescriptor
from velocity.storage.directory.threads import Threads
from velocity.unprivileged import PROCESSES, UIDS, Bounds, own_uid, running

pytestmark = [
    pytest.mark.anyio,
    as_root("namespaces and uids"),
]
WORKER = 200_000 + (UIDS + 1) * (os.getpid() % 20_000)
"""Of this process alone: the kernel counts processes by their uid, those of other runs as well. setrlimit(2)"""
LOOK = """
echo "$(id -u) $(id -g) $(id -G)"
ls -d /etc/* /tmp /home /var /run /root /sys /dev/shm 2>/dev/null | tr '\\n' ' '; echo
echo /proc/[0-9]*
grep -c : /proc/net/dev
echo $(grep -E 'Cap(Eff|Bnd)|NoNewPrivs' /proc/self/status)
ulimit -f; ulimit -v
"""
CROWD = """
import os, time
begun = 0
while begun < 300:
    try:
        child = os.fork()
    except OSError:
        break
    if not child:
        time.sleep(1000)
    begun += 1
print(begun, flush=True)
time.sleep(1000)
"""


def ours() -> Iterator[tuple[str, dict[str, str]]]:
    """The children of this process that read images: the program, and what the kernel says of it."""
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            facts = dict(
                line.split(":\t", 1) for line in (directory / "status").read_text().splitlines() if ":\t" in line
            )
            if facts["PPid"] == str(os.getpid()) and facts["Name"] in ("xz", "zstd", "qemu-img", "sleep"):
                yield facts["Name"], facts | {"net": str((directory / "ns" / "net").readlink())}
        except (OSError, KeyError):
            continue


UNREAPED = """
import ctypes, os, sys
namespace = os.open(f"/proc/{sys.argv[1]}/ns/pid", os.O_RDONLY)
if ctypes.CDLL(None, use_errno=True).setns(namespace, 0x20000000):
    raise OSError(ctypes.get_errno(), "setns")
if not os.fork():
    os._exit(0)
print("ready", flush=True)
sys.stdin.read()
"""
"""Begin a process in another's pid namespace and do not reap it: the namespace's first process, even if killed, cannot
end before that. pid_namespaces(7)"""


@contextmanager
def cannot_end(pid: str) -> Iterator[None]:
    """While a program, the first process of its pid namespace, cannot end, as one that waits for a disk."""
    with subprocess.Popen(
        [sys.executable, "-c", UNREAPED, pid], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == b"ready\n"
        yield


def image(descriptor: int) -> ImageFile:
    return ImageFile(SharedDescriptor(descriptor), Threads("pool", 2))


@asynccontextmanager
async def unpacking(kind: str) -> AsyncIterator[None]:
    """While a packed file is read that does not come to its end."""
    read, more = os.pipe()
    source = image(read)
    told: list[int] = []

    async def unpack() -> None:
        async with aclosing(Images(WORKER).unpacked(source, kind, told.append)) as pieces:
            async for _ in pieces:
                pass

    task = asyncio.create_task(unpack())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        source.file.close()
        os.close(more)


@pytest.mark.holds("IMAGE-8")
@pytest.mark.parametrize("kind", ["xz", "zstd"])
async def test_what_unpacks_has_a_uid_of_its_own_no_privileges_and_no_network(kind: str) -> None:
    async with unpacking(kind):
        await eventually(lambda: any(name == kind for name, _ in ours()))
        ((_, facts),) = list(ours())
        assert set(facts["Uid"].split()) == {str(WORKER + 1)}
        assert set(facts["Gid"].split()) == {str(WORKER)}
        assert (facts["CapEff"], facts["CapBnd"], facts["NoNewPrivs"]) == ("0" * 16, "0" * 16, "1")
        assert facts["NSpid"].split()[1:] == ["1"], "it is alone in a pid namespace"
        assert facts["net"] != str(Path("/proc/self/ns/net").readlink())
    await eventually(lambda: not list(ours()))


@pytest.mark.holds("IMAGE-8")
async def test_what_reads_an_image_sees_nothing_of_the_host() -> None:
    with own_uid(WORKER) as uid:
        async with running(WORKER, uid, ["sh", "-c", LOOK], Bounds(file=1 << 20)) as program:
            said = (await program.stdout.read()).decode().splitlines()
            assert await program.wait() == 0, await program.complaints()
    whom, files, processes, links, privileges, file, memory = said
    assert whom == f"{WORKER + 1} {WORKER} {WORKER}"
    assert set(files.split()) <= {"/etc/alternatives", "/etc/ld.so.cache"}
    assert processes.split()[0] == "/proc/1" and len(processes.split()) <= 3, "itself and what it has begun"
    assert int(links) <= 1, "a loopback that is down at most"
    assert privileges.split() == ["CapEff:", "0" * 16, "CapBnd:", "0" * 16, "NoNewPrivs:", "1"]
    assert (int(file), int(memory)) == ((1 << 20) // 512, (1 << 30) // 1024)


@pytest.mark.holds("IMAGE-8")
async def test_who_takes_a_program_over_begins_so_many_processes() -> None:
    with own_uid(WORKER) as uid:
        async with running(WORKER, uid, ["python3", "-I", "-c", CROWD], Bounds()) as program:
            said = (await program.stdout.readline()).decode()
            assert 70 <= int(said) <= PROCESSES, "qemu-img has up to 64 threads that wait for disks, and a few"


async def test_who_is_left_is_ended() -> None:
    with own_uid(WORKER) as uid:
        async with running(WORKER, uid, ["sleep", "1000"], Bounds()) as program:
            pass
        assert await program.wait() == -9
        with pytest.raises(FileNotFoundError):
            async with running(WORKER, uid, ["no-such-program"], Bounds()):
                pass


def test_each_has_another_uid() -> None:
    with ExitStack() as held:
        uids = {held.enter_context(own_uid(WORKER)) for _ in range(UIDS)}
        assert len(uids) == UIDS and WORKER not in uids
        with pytest.raises(OSError, match="too many"):
            held.enter_context(own_uid(WORKER))
    with own_uid(WORKER) as uid:
        assert uid == WORKER + 1
    with own_uid(None) as uid:
        assert uid is None


@pytest.fixture
def pool(tmp_path: Path) -> PoolFiles:
    places = Places(1, "pool", tmp_path / "pool", tmp_path / "records")
    return PoolFiles(places, Identity(places))


@pytest.mark.holds("IMAGE-8")
async def test_who_was_killed_keeps_its_uid_until_it_has_ended() -> None:
    """It may hang at a disk: nobody else is who it is meanwhile."""
    with ExitStack() as hang:
        with own_uid(WORKER) as uid:
            async with running(WORKER, uid, ["sleep", "1000"], Bounds(give_up=0)):
                await eventually(lambda: any(name == "sleep" for name, _ in ours()))
                ((_, facts),) = list(ours())
                hang.enter_context(cannot_end(facts["Pid"]))
        with own_uid(WORKER) as other:
            assert other != uid

    def is_free() -> bool:
        with own_uid(WORKER) as again:
            return again == uid

    await eventually(is_free)


def owners(file: Path) -> tuple[int, int, int]:
    facts = file.stat()
    return facts.st_uid, facts.st_gid, facts.st_mode & 0o777


OURS = (os.geteuid(), os.getegid(), 0o600)


@pytest.mark.holds("IMAGE-9")
async def test_a_medium_that_was_read_is_the_servers_alone_again(tmp_path: Path) -> None:
    source, target = tmp_path / "source.qcow2", tmp_path / "target.raw"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", source, "1M"], check=True)
    source.chmod(0o600)
    read = image(os.open(source, os.O_RDONLY))
    conversion = Conversion("qcow2", "raw", 1 << 20, foreign=True)
    lent: list[tuple[int, int, int]] = []

    async def convert(number: int) -> None:
        made = target.with_suffix(f".{number}")
        made.touch(0o600)
        os.truncate(made, 1 << 20)
        into = image(os.open(made, os.O_RDWR))
        await images.convert(read, into, conversion, (1, 1), lambda _: lent.append(owners(source)))
        into.file.close()
        assert owners(made) == OURS

    try:
        images = Images(WORKER)
        await asyncio.gather(*(convert(number) for number in range(3)))
    finally:
        read.file.close()
    assert set(lent) == {(os.geteuid(), WORKER, 0o640)}, "as long as one reads it"
    assert owners(source) == OURS


@pytest.mark.holds("IMAGE-9")
def test_a_medium_that_a_crash_left_lent_is_taken_back(pool: PoolFiles) -> None:
    pool.places.path.mkdir()
    file = pool.places.path / "lent.raw"
    file.touch()
    os.chown(file, -1, WORKER)
    file.chmod(0o640)
    pool.open(["lent.raw"], [])
    assert owners(file) == OURS


def children() -> set[int]:
    """Of this process, those included that have ended and are waited for."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            words = stat.read_text().rpartition(")")[2].split()
            found |= {int(stat.parent.name)} if int(words[1]) == os.getpid() else set()
    return found


@pytest.mark.holds("DUR-83")
async def test_a_program_that_cannot_be_begun_leaves_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as the host begins none, each attempt would take two."""

    def fails(*_: object, **__: object) -> int:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(spawning, "spawn", fails)
    before = Counter(open_files(os.getpid()))
    for _ in range(3):
        with pytest.raises(BlockingIOError):
            async with running(None, None, ["true"], Bounds()):
                pass
    assert Counter(open_files(os.getpid())) <= before, "what others had open may be closed meanwhile"


@pytest.mark.holds("DUR-83")
async def test_a_program_that_cannot_be_watched_does_not_run_on() -> None:
    """With however few descriptors left: else it would run under a uid that the next one gets."""
    before, begun, failures = children(), 0, 0
    for left in range(12):
        opened = Counter(open_files(os.getpid()))
        try:
            with descriptors(left), own_uid(WORKER) as uid:
                async with running(WORKER, uid, ["sleep", "600"], Bounds()):
                    begun += 1
        except OSError:
            failures += 1
        assert children() <= before, left
        await eventually(lambda opened=opened: Counter(open_files(os.getpid())) <= opened)  # type: ignore[misc]
    assert begun and failures
