"""The server dies and comes back; guests do not notice, and nothing that happened meanwhile is missed."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.claims import claims
from tests.journeys.conftest import Lasting, StartServer
from tests.journeys.server import Server
from tests.patience import PATIENCE, at_last
from tests.root import as_root
from velocity.priority import NICE, SESSION

pytestmark = pytest.mark.guest


def vm(server: Server, name: str, *media: Mapping[str, object], **more: object) -> int:
    body = {"name": name, "gid": 0, "cpus": 1, "memory_mib": 256, "media": list(media), **more}
    return int(server.ok("PUT", "/v/vm/efi", **body)["vmid"])


def nice_of_session(pid: int) -> str | None:
    """Among other sessions; None where the kernel has no autogroups. sched(7)"""
    file = Path(f"/proc/{pid}/autogroup")
    return file.read_text().split()[-1] if file.exists() and file.read_text() else None


@pytest.mark.holds("GUEST-2")
def test_guests_outlive_a_killed_server(start_server: StartServer) -> None:
    server = start_server()
    first, second = vm(server, "first"), vm(server, "second")  # in their firmware
    sleeper, autostarted = vm(server, "sleeper"), vm(server, "autostarted", autostart=True)
    for one in (first, second):
        server.ok("PUT", "/v/vm/state", vmid=one, state="RUNNING")
    server.ok("PUT", "/v/vm/state", vmid=second, state="PAUSED")
    terminal = server.console(first)
    terminal.shell()

    before = server.processes()
    assert len(before) == 2
    assert server.process is not None
    assert os.getpriority(os.PRIO_PROCESS, server.process.pid) == NICE
    assert nice_of_session(server.process.pid) in (str(SESSION), None), "less than at its start"
    threads = [int(thread.name) for pid in before for thread in Path(f"/proc/{pid}/task").iterdir()]
    assert {os.getpriority(os.PRIO_PROCESS, thread) for thread in threads} == {0}, "no guest goes before others"
    server.kill()
    assert server.processes() == before, "the guests go on"

    server.start()
    assert server.state(first)["state"] == "RUNNING"
    assert server.state(second)["state"] == "PAUSED"
    assert server.state(sleeper)["state"] == "STOPPED"
    server.wait_for(autostarted, "RUNNING", PATIENCE)
    assert set(before) < set(server.processes())
    again = server.console(first)
    again.until(b"Shell>", PATIENCE)  # said before, and shown to who comes
    again.type("ver\r")
    again.until(b"UEFI v2", PATIENCE)  # the console of an adopted guest works

    # While nobody watches, one guest powers itself off and the process of another is killed.
    again.type("ver\rstall 3000000\rreset -s\r")
    again.until(b"UEFI v2", PATIENCE)  # it has got all of this, which came in one message
    of_second = pid_of(server, second)
    server.kill()
    os.kill(of_second, signal.SIGKILL)
    at_last(lambda: len(server.processes()) <= 1)
    server.start()
    assert reason(server, first) == ("STOPPED", "guest-shutdown")
    assert reason(server, second) == ("STOPPED", "killed")
    assert server.state(autostarted)["state"] == "RUNNING"
    assert len(server.processes()) == 1

    last = server.end()
    assert last == "The server has ended; 1 guest still running."
    assert len(server.processes()) == 1
    server.start()


@pytest.mark.holds("GUEST-7")
def test_adoption_is_quick_and_a_reused_pid_is_no_guest(start_server: StartServer) -> None:
    server = start_server()
    one = vm(server, "one")
    server.ok("PUT", "/v/vm/state", vmid=one, state="RUNNING")
    (pid,) = server.processes()
    server.kill()
    # The process ends, and its pid belongs to another one as far as the note of the run can tell.
    os.kill(pid, signal.SIGKILL)
    words = Path(f"/proc/{pid}/cmdline")
    at_last(lambda: not words.exists() or not words.read_bytes(), "that it has ended")
    (note,) = runs(server)
    note.write_text(note.read_text().replace(f'"pid":{pid}', f'"pid":{os.getpid()}'))
    server.start()
    assert reason(server, one) == ("STOPPED", "killed")
    os.kill(os.getpid(), 0)


@as_root("a pool that is a small file system")
def test_a_guest_that_fills_its_pool_is_paused_and_goes_on(lasting: Lasting) -> None:
    server, one, small = lasting.server, lasting.vmid, lasting.small
    ballast = server.ok("PUT", "/m/media/create", mpid=2, gid=0, name="ballast", size=1 << 20)["mid"]
    (small / f"{ballast}.raw").write_bytes(b"x" * (1 << 20))
    terminal = server.console(one)
    terminal.type("dd if=/dev/zero of=/dev/vda bs=64k count=40 conv=fsync; echo wrote=$?\n")
    assert server.wait_for(one, "PAUSED", PATIENCE)["reason"]["cause"] == "disk-full"
    server.ok("DELETE", "/m/media", mid=ballast)
    assert server.ok("PUT", "/v/vm/state", vmid=one, state="RUNNING")["state"] == "RUNNING"
    terminal.until(b"wrote=0", PATIENCE)
    assert server.state(one)["state"] == "RUNNING"
    terminal.close()


@pytest.mark.holds("GUEST-8")
def test_what_happens_to_a_guest_is_told(lasting: Lasting) -> None:
    server, one = lasting.server, lasting.vmid
    terminal = server.console(one)
    terminal.type("echo c >/proc/sysrq-trigger\n")
    panicked = server.wait_for(one, "PAUSED", PATIENCE)
    assert panicked["reason"]["cause"] == "guest-panicked"
    assert server.ok("PUT", "/v/vm/state", vmid=one, state="STOPPED", force=True)["state"] == "STOPPED"

    assert server.ok("PUT", "/v/vm/state", vmid=one, state="PAUSED")["state"] == "PAUSED", "held"
    assert "reason" not in server.state(one)
    assert server.ok("PUT", "/v/vm/state", vmid=one, state="STOPPED")["state"] == "STOPPED", "held just ends"
    server.ok("PUT", "/v/vm/state", vmid=one, state="RUNNING")
    os.kill(pid_of(server, one), signal.SIGKILL)
    assert server.wait_for(one, "STOPPED", PATIENCE)["reason"]["cause"] == "killed"
    server.ok("PUT", "/v/vm/state", vmid=one, state="RUNNING")
    os.kill(pid_of(server, one), signal.SIGTERM)
    assert server.wait_for(one, "STOPPED", PATIENCE)["reason"]["cause"] == "host-signal"
    at_last(lambda: runs(server) == [], "that its end is written down")
    assert not claims(Path(server.settings["runtime_dir"]))


@pytest.mark.holds("GUEST-9")
def test_a_start_that_fails_leaves_nothing(start_server: StartServer) -> None:
    server = start_server()
    mid = server.ok("PUT", "/m/media/create", mpid=1, gid=0, name="d", size=1 << 20)["mid"]
    one = vm(server, "one", {"mid": mid, "mode": "BLOCK"})
    (file,) = (server.data / "media").glob("*.raw")
    file.rename(file.with_suffix(".away"))
    status, answer = server.call("PUT", "/v/vm/state", vmid=one, state="RUNNING")
    assert (status, answer["code"]) == (500, 13230)
    assert str(server.data) not in answer["message"]
    assert reason(server, one) == ("STOPPED", "start-failed")
    assert server.processes() == []
    assert runs(server) == []
    file.with_suffix(".away").rename(file)
    assert server.ok("PUT", "/v/vm/state", vmid=one, state="RUNNING")["state"] == "RUNNING"


def runs(server: Server) -> list[Path]:
    """The notes of runs."""
    return list(Path(server.settings["runtime_dir"]).glob("*/*/run.json"))


def reason(server: Server, vmid: int) -> tuple[str, str]:
    info = server.ok("POST", "/v/vm", vmid=vmid)
    return info["state"], info["reason"]["cause"]


def pid_of(server: Server, vmid: int) -> int:
    """The process of that VM: the one whose uid its isolation names."""
    uid = server.ok("POST", "/v/vm", vmid=vmid)["isolation"]["uid"]
    (pid,) = [pid for pid in server.processes() if Path(f"/proc/{pid}").stat().st_uid == uid]
    return pid
