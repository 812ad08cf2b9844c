"""Run directories and claims of uids."""

from __future__ import annotations

import inspect
import os
import signal
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from tests.patience import at_last
from tests.ports.subjects import NoMedia
from tests.root import as_root
from velocity.hypervisor.port import FactCause
from velocity.hypervisor.qemu.directories import HostDirectories
from velocity.hypervisor.qemu.processes import start_time, table
from velocity.hypervisor.qemu.run_note import RunEnd
from velocity.hypervisor.qemu.runs import Runs, TooLong
from velocity.hypervisor.qemu.spool import bounds

TAPS = [
    "-netdev", "tap,id=net2,fd=9", "-device", "virtio-net-pci,netdev=net2,mac=52:54:00:00:00:02,romfile=,addr=0xb.0x2",
    "-netdev", "user,id=net0", "-device", "virtio-net-pci,id=nic9,netdev=net0,mac=52:54:00:00:00:09,romfile=,addr=0xb",
    "-netdev", "tap,id=net1,fd=8", "-device", "virtio-net-pci,id=nic10,netdev=net1,mac=02:00:00:00:00:0a,romfile=",
]  # fmt: skip
MACS = {3: "52:54:00:00:00:02", 10: "02:00:00:00:00:0a"}
"""The first one is of an earlier version, which named NICs by their places."""


@pytest.fixture
def runs(runtime: Path) -> Runs:
    made = Runs(runtime, "here", None)
    made.open()
    return made


@pytest.mark.parametrize(
    "note", [b"", b"[]", b'{"boot":"\xff"}', b"\0" * 64], ids=["empty", "list", "no text", "zeros"]
)
def test_a_note_that_cannot_be_read_costs_its_own_run_only(runs: Runs, note: bytes) -> None:
    """A server starts then, and the process table says whether it lives."""
    sick, well = runs.begin(uuid4(), 1, nat=False), runs.begin(uuid4(), 1, nat=False)
    (runs.directory(sick.machine) / "run.json").write_bytes(note)
    look = runs.look()
    assert look.complete
    assert [run.machine for run, _ in look.runs] == [well.machine]


@as_root("uids of machines")
@pytest.mark.holds("ISOLATION-18")
def test_a_machine_reaches_its_own_directory_whatever_the_servers_umask(runtime: Path, tmp_path: Path) -> None:
    """Where there are no namespaces, its process gets there by the directories above, as its own uid."""
    runs = Runs(runtime, "here", range(70000, 70002), tmp_path / "claims")
    umask = os.umask(0o077)
    try:
        runs.open()
        run = runs.begin(uuid4(), 1, nat=False)
    finally:
        os.umask(umask)
    look = [runs.root, runs.directory(run.machine)]
    assert [path.stat().st_mode & 0o111 for path in look] == [0o111, 0o111]


def test_a_process_is_known_by_pid_start_and_boot(runs: Runs) -> None:
    run = runs.begin(uuid4(), 1, nat=False)
    started = start_time(os.getpid())
    assert started is not None
    mine = msgspec.structs.replace(run, pid=os.getpid(), started=started)
    assert runs.process(mine) == os.getpid()
    assert runs.process(msgspec.structs.replace(mine, started=started + 1)) is None, "the pid was reused"
    assert runs.process(msgspec.structs.replace(mine, boot="another")) is None, "the host was restarted"
    assert runs.process(run) is None, "no process was noted, and none bears this machine's name"


FIRST_THREAD_ENDS = """
import ctypes, threading, time
threading.Thread(target=time.sleep, args=(1000,)).start()
print("begun", flush=True)
ctypes.CDLL(None).pthread_exit(None)
"""


@pytest.mark.holds("STATE-26")
def test_a_process_lives_as_long_as_one_of_its_threads(runs: Runs) -> None:
    """One that was killed while another thread waits for a disk is shown as a zombie, and may write to it yet."""
    process = subprocess.Popen([sys.executable, "-c", FIRST_THREAD_ENDS], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None and process.stdout.readline() == "begun\n"
        run = msgspec.structs.replace(
            runs.begin(uuid4(), 1, nat=False), pid=process.pid, started=start_time(process.pid) or 0
        )
        at_last(lambda: state(process.pid) == "Z", "the end of its first thread")
        assert runs.process(run) == process.pid
    finally:
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert (state(process.pid), start_time(process.pid)) == ("Z", None), "nobody has waited for it yet"
        process.communicate()


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_process_is_a_machines_by_its_arguments_and_its_uid(runs: Runs) -> None:
    machine = uuid4()
    pidfile = f"{runs.own(machine)}/pid"
    arguments = ["-name", f"guest=vm-{machine}-7,process=vm", "-pidfile", pidfile, *TAPS]
    process = subprocess.Popen(["sh", "-c", "sleep 1000 & wait", "sh", *arguments], start_new_session=True)
    try:
        at_last(lambda: table([runs.root], {os.geteuid()}), "its arguments")
        one = table([runs.root], {os.geteuid()})[machine]
        assert (one.pid, one.epoch, one.uid, one.nat, one.taps) == (process.pid, 7, os.geteuid(), True, MACS)
        assert table([runs.root], {os.geteuid() + 1}) == {}, "whoever else gives a process such arguments"
        assert table([runs.root.with_name("there")], {os.geteuid()}) == {}, "another installation's"
        runs.directory(machine).mkdir()
        with pytest.raises(FileExistsError):
            runs.left(machine)
        runs.open()
        (run,) = runs.all()
        assert (run.machine, run.epoch, run.pid, run.started) == (machine, 7, process.pid, start_time(process.pid))
        assert runs.process(run) == process.pid
        assert {link[-2:]: (nic.id, nic.mac) for link, nic in ((link, run.nic(link)) for link in run.links)} == {
            "n2": (3, MACS[3]), "n1": (10, MACS[10]),
        }  # fmt: skip
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert runs.process(run) is None


def test_of_a_run_that_has_ended_only_the_note_stays(runs: Runs) -> None:
    run = msgspec.structs.replace(runs.begin(uuid4(), 3, nat=False), end=RunEnd(FactCause.GUEST_PANICKED, "words"))
    runs.note_end(run)
    for _ in range(2):
        runs.end(run)
        assert [file.name for file in runs.directory(run.machine).iterdir()] == ["run.json"]
    runs.open()  # the next server's
    (found,) = runs.all()
    assert (found.epoch, found.end, found.pid) == (3, RunEnd(FactCause.GUEST_PANICKED, "words"), 0)
    assert runs.process(found) is None
    runs.end(msgspec.structs.replace(found, end=None))
    assert list(runs.all()) == []


def test_runs_are_found_again_and_nonsense_is_cleared(runs: Runs, runtime: Path) -> None:
    run = runs.begin(uuid4(), 3, nat=True)
    beginning = runtime / "here" / str(uuid4())
    beginning.mkdir()
    assert list(runs.all()) == [run]
    assert beginning.exists(), "a start in another thread has not written its note yet"
    runs.open()  # as a server does that comes after a crash
    assert not beginning.exists()
    assert list(runs.all()) == [run]
    runs.end(run)
    runs.end(run)
    assert list(runs.all()) == []


def deep(directory: Path, levels: int) -> None:
    """Directories in each other, by steps: the path of the last one is too long to be named."""
    here = os.open(directory, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("below", dir_fd=here)
        below = os.open("below", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)


@pytest.mark.holds("BOUND-26")
def test_what_a_process_left_that_is_deeper_than_recursion_goes(
    runs: Runs, runtime: Path, request: pytest.FixtureRequest
) -> None:
    """Neither the end of its run nor the next server's start stumbles over it."""
    levels, before = 200, sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + levels // 2)
    request.addfinalizer(lambda: sys.setrecursionlimit(before))
    outside = runtime / "outside"
    outside.touch()
    for end in (None, RunEnd(FactCause.KILLED)):
        run = msgspec.structs.replace(runs.begin(uuid4(), 1, nat=False), end=end)
        deep(runs.own(run.machine), levels)
        (runs.own(run.machine) / "link").symlink_to(runtime)
        runs.end(run)
        assert not runs.own(run.machine).exists()
    stray = runtime / "here" / str(uuid4())
    stray.mkdir()
    deep(stray, levels)
    runs.open()
    assert not stray.exists()
    assert outside.exists(), "no link is followed"


def test_what_is_kept_for_machines_that_do_not_run(runs: Runs, tmp_path: Path) -> None:
    state = tmp_path / "machines"
    place = HostDirectories(
        "qemu", "tcg", tmp_path, state, runs, NoMedia(tmp_path), privileged=False, bounds=bounds(tmp_path)
    )
    assert place.kept() == set()
    kept, running, link = uuid4(), uuid4(), uuid4()
    for name in (str(kept), str(running), str(kept).upper(), "backup of mine", kept.hex):
        (state / name).mkdir(parents=True, exist_ok=True)
    (state / str(link)).symlink_to(tmp_path)
    (state / str(uuid4())).touch()
    runs.begin(running, 1, nat=False)
    assert place.kept() == {kept}


def test_the_socket_paths_must_fit(tmp_path: Path) -> None:
    with pytest.raises(TooLong, match="runtime_dir"):
        Runs(tmp_path / ("x" * 80), "here", None).open()


@as_root("uids of machines")
def test_two_servers_never_claim_one_uid(runtime: Path) -> None:
    uids = range(50000, 50003)
    claims = runtime / "claims"
    left, right = Runs(runtime / "a", "left", uids, claims), Runs(runtime / "b", "right", uids, claims)
    left.open()
    right.open()
    one, two, three = (runs.begin(uuid4(), 1, nat=False) for runs in (left, right, left))
    assert {one.uid, two.uid, three.uid} == set(uids)
    with pytest.raises(OSError, match="all uids"):
        right.begin(uuid4(), 1, nat=False)
    left.end(one)
    assert right.begin(uuid4(), 1, nat=False).uid == one.uid


@as_root("uids of machines")
def test_a_uid_is_found_at_once_however_many_run(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = Runs(runtime, "many", range(50000, 50030), runtime / "claims")
    runs.open()
    tried: list[Path] = []
    link = Path.symlink_to

    def take(claim: Path, target: Path) -> None:
        tried.append(claim)
        link(claim, target)

    monkeypatch.setattr(Path, "symlink_to", take)
    begun = [runs.begin(uuid4(), 1, nat=False) for _ in range(20)]
    assert len(tried) == 20, "each one tries those of all that run"
    assert len({run.uid for run in begun}) == 20
    runs.end(begun[0])
    assert runs.begin(uuid4(), 1, nat=False).uid not in {run.uid for run in begun}, "files of an ended run may be there"
