"""Run directories, claims of uids, and the bound of the serial log."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from tests.ports.test_hypervisor import NoMedia
from velocity.hypervisor.qemu.launch import Place
from velocity.hypervisor.qemu.runs import Runs, TooLong, start_time
from velocity.hypervisor.qemu.serial import LOG_LIMIT, MARK, bound, last, of_this_run


@pytest.fixture
def runs(runtime: Path) -> Runs:
    made = Runs(runtime, "here", None)
    made.open()
    return made


def test_a_process_is_known_by_pid_start_and_boot(runs: Runs) -> None:
    run = runs.begin(uuid4(), 1, nat=False)
    started = start_time(os.getpid())
    assert started is not None
    mine = msgspec.structs.replace(run, pid=os.getpid(), started=started)
    assert runs.process(mine) == os.getpid()
    assert runs.process(msgspec.structs.replace(mine, started=started + 1)) is None, "the pid was reused"
    assert runs.process(msgspec.structs.replace(mine, boot="another")) is None, "the host was restarted"
    assert runs.process(run) is None, "no process was noted, and none bears this machine's name"


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


def test_what_is_kept_for_machines_that_do_not_run(runs: Runs, tmp_path: Path) -> None:
    state = tmp_path / "machines"
    place = Place("qemu", "tcg", tmp_path, state, runs, NoMedia(), privileged=False)
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


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a machine a uid of its own")
def test_two_servers_never_claim_one_uid(runtime: Path) -> None:
    uids = range(50000, 50003)
    claims = runtime / "claims"
    left, right = Runs(runtime / "a", "left", uids, claims), Runs(runtime / "b", "right", uids, claims)
    left.open()
    right.open()
    one, two, three = (runs.begin(uuid4(), 1, nat=False) for runs in (left, right, left))
    assert {one.uid, two.uid, three.uid} == set(uids)
    with pytest.raises(OSError, match="every uid"):
        right.begin(uuid4(), 1, nat=False)
    left.end(one)
    assert right.begin(uuid4(), 1, nat=False).uid == one.uid


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a machine a uid of its own")
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


def test_the_serial_log_is_bounded(tmp_path: Path) -> None:
    log = tmp_path / "serial.log"
    log.write_bytes(b"a" * 10 + b"b" * LOG_LIMIT)
    writer = os.open(log, os.O_WRONLY | os.O_APPEND)
    bound(log)
    os.write(writer, b"next")
    os.close(writer)
    assert log.read_bytes() == b"next", "an appending writer begins anew without a hole"
    assert (tmp_path / "serial.log.1").read_bytes() == b"b" * LOG_LIMIT
    bound(log)
    assert log.read_bytes() == b"next"


def test_the_end_of_the_log_is_read_over_both_of_its_files(tmp_path: Path) -> None:
    log = tmp_path / "serial.log"
    assert last(log, 10) == b""
    log.write_bytes(b"new")
    assert last(log, 10) == b"new"
    (tmp_path / "serial.log.1").write_bytes(b"older ")
    assert [last(log, most) for most in (2, 3, 5, 100)] == [b"ew", b"new", b"r new", b"older new"]


def test_a_run_is_told_from_the_one_before() -> None:
    assert of_this_run(b"one" + MARK + b"7\ntwo" + MARK + b"8\nthree\nfour") == b"three\nfour"
    assert of_this_run(b"one" + MARK + b"7\n") == b""
    assert of_this_run(b"it began long ago") == b"it began long ago"
