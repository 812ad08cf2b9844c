"""What people see of a move to another host: consoles that stay, the command line, the history."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.api.test_consoles import CONTROL, Viewer
from tests.host import Host, hosting
from tests.hosts.together import Other, attaching
from tests.patience import PATIENCE, at_last
from velocity.client import Client
from velocity.contract.machines import Display
from velocity.hypervisor.fake import FakeRun
from velocity.hypervisor.port import MovePhase
from velocity.machines.consoles.following import unheard


@pytest.fixture
def b() -> Other:
    return Other(2, "b", (20, "fast"))


@pytest.fixture
def host(tmp_path: Path, b: Other) -> Iterator[Host]:
    with hosting(tmp_path / "data", attach=attaching(b)) as made:
        yield made


def say(host: Host, run: FakeRun, words: bytes) -> None:
    host.loop.call_soon_threadsafe(run.say, words)


@pytest.mark.holds("MANY-81")
def test_consoles_stay_open_and_say_nothing_twice(host: Host, b: Other) -> None:
    with Client(host.url, host.key) as client:
        displays = [Display(name="one", width=64, height=64)]
        vmid = client.create_vm(name="web", gid=0, cpus=1, memory_mib=64, host=1, displays=displays).vmid
        client.set_vm_state(vmid=vmid, state="RUNNING")
        url = host.url.replace("http", "ws")
        ticket, late = (client.open_console(vmid=vmid, kind="serial").path for _ in range(2))
        (run,) = host.hypervisor.runs.values()
        with connect(url + ticket, subprotocols=[CONTROL], proxy=None, compression=None) as socket:
            viewer = Viewer(socket)
            viewer.next()
            say(host, run, b"before ")
            viewer.hears(b"before ")
            display = client.open_console(vmid=vmid, kind="display").path
            with connect(url + display, subprotocols=None, proxy=None, compression=None) as screen:
                host.ok("vm", "move", "web", "--host", "b")
                (there,) = b.fake.runs.values()
                with pytest.raises(ConnectionClosed) as closed:
                    screen.recv(5)
                assert closed.value.rcvd is not None
                assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (
                    4411, "the VM continues on another host: open its display again",
                )  # fmt: skip
            say(host, there, b"after ")
            viewer.hears(b"after ")
            assert viewer.said == b"before after "
            socket.send(b"typed")
            viewer.until(keyboard={"holder": "root", "yours": True})
            viewer.hears(b"typed")
            assert bytes(there.said).endswith(b"typed")
            with connect(url + late, subprotocols=[CONTROL], proxy=None, compression=None) as other:
                both = Viewer(other)
                both.until(viewers=["root", "root"])


@pytest.mark.holds("MANY-259")
def test_a_console_follows_its_guest_before_its_source_is_cleared(host: Host, b: Other) -> None:
    with Client(host.url, host.key) as client:
        vmid = client.create_vm(name="web", gid=0, cpus=1, memory_mib=64, host=1).vmid
        client.set_vm_state(vmid=vmid, state="RUNNING")
        machines, goes = host.hypervisor.machines, asyncio.Event()
        stop = machines.stop

        async def stop_later(*which: Any, **more: Any) -> int:
            await goes.wait()
            return await stop(*which, **more)

        with opened(host, client, vmid) as socket:
            viewer = Viewer(socket)
            viewer.next()
            machines.stop = stop_later  # type: ignore[method-assign]
            host.ok("vm", "move", "web", "--host", "b")
            (there,) = b.fake.runs.values()
            say(host, there, b"after")
            viewer.hears(b"after")
            socket.send(b" typed")
            viewer.until(keyboard={"holder": "root", "yours": True})
            viewer.hears(b" typed")
            assert len(host.hypervisor.runs) == 1
        host.loop.call_soon_threadsafe(goes.set)
        at_last(lambda: host.hypervisor.runs == {}, "the end of what it left")


def opened(host: Host, client: Client, vmid: int) -> Any:
    url = host.url.replace("http", "ws") + client.open_console(vmid=vmid, kind="serial").path
    return connect(url, subprotocols=[CONTROL], proxy=None, compression=None)


@pytest.mark.holds("MANY-186")
def test_what_is_typed_while_a_vm_is_handed_over_is_read_where_it_goes_on(host: Host, b: Other) -> None:
    with Client(host.url, host.key) as client:
        vmid = client.create_vm(name="web", gid=0, cpus=1, memory_mib=64, host=1).vmid
        client.set_vm_state(vmid=vmid, state="RUNNING")
        with opened(host, client, vmid) as socket:
            viewer, mobility = Viewer(socket), host.hypervisor.mobility
            socket.send(b"one ")
            viewer.until(keyboard={"holder": "root", "yours": True})
            viewer.hears(b"one ")
            hold = mobility.holds[MovePhase.HANDING_OVER] = asyncio.Event()
            tid = host.ok("vm", "move", "web", "--host", "b", "--detach").strip()
            at_last(lambda: MovePhase.HANDING_OVER in mobility.under_way.values())
            socket.send(b"two one ")
            mobility.holds.clear()
            host.loop.call_soon_threadsafe(hold.set)
            host.ok("task", "wait", f"id:{tid}")
            viewer.hears(b"two one ")
            (there,) = b.fake.runs.values()
            there.reads = False
            socket.send(b"three ")
            at_last(lambda: bytes(there.unread) == b"three ")
            host.ok("vm", "move", "web", "--host", "id:1")
            (here,) = host.hypervisor.runs.values()
            assert bytes(here.unread) == b"three "
            host.loop.call_soon_threadsafe(here.read)
            socket.send(b"four ")
            viewer.hears(b"four ")
            assert viewer.said == b"one two one three four "


@pytest.mark.holds("CONSOLE-15")
def test_who_leaves_while_what_they_typed_waits_is_let_go_of(host: Host, b: Other) -> None:
    """Nobody would hear of it otherwise, for as long as the VM stands between two hosts."""
    with Client(host.url, host.key) as client:
        vmid = client.create_vm(name="web", gid=0, cpus=1, memory_mib=64, host=1).vmid
        client.set_vm_state(vmid=vmid, state="RUNNING")
        (run,) = host.hypervisor.runs.values()
        mobility = host.hypervisor.mobility
        with opened(host, client, vmid) as socket:
            viewer = Viewer(socket)
            socket.send(b"one ")
            viewer.until(keyboard={"holder": "root", "yours": True})
            viewer.hears(b"one ")
            hold = mobility.holds[MovePhase.HANDING_OVER] = asyncio.Event()
            tid = host.ok("vm", "move", "web", "--host", "b", "--detach").strip()
            at_last(lambda: MovePhase.HANDING_OVER in mobility.under_way.values())
            socket.send(b"two ")
            assert len(run.streams) == 1
        at_last(lambda: run.streams == [], "the end of the console")
        mobility.holds.clear()
        host.loop.call_soon_threadsafe(hold.set)
        host.ok("task", "wait", f"id:{tid}")


@pytest.mark.holds("MANY-244")
def test_who_looks_at_a_run_that_is_lost_does_not_keep_others_from_typing_into_the_next_one(
    host: Host, b: Other
) -> None:
    """Of a host that stands still with its connections open, the console may be open yet."""
    with Client(host.url, host.key) as client:
        vmid = client.create_vm(name="web", gid=0, cpus=1, memory_mib=64, host=2).vmid
        client.set_vm_state(vmid=vmid, state="RUNNING")
        with opened(host, client, vmid) as socket:
            socket.send(b"typed")
            Viewer(socket).until(keyboard={"holder": "root", "yours": True})
            host.loop.call_soon_threadsafe(b.fake.faults.lose, b.host)
            asyncio.run_coroutine_threadsafe(b.fake.heard(), host.loop).result(PATIENCE)
            at_last(lambda: bool(client.show_vm(vmid=vmid).unreachable_since), "that its host is silent")
            client.confirm_dead(host=2, name="b")
            client.set_vm_state(vmid=vmid, state="RUNNING")
            (there,) = host.hypervisor.runs.values()
            with opened(host, client, vmid) as other:
                viewer = Viewer(other)
                other.send(b"heard")
                viewer.until(keyboard={"holder": "root", "yours": True})
                viewer.hears(b"heard")
                assert viewer.said == bytes(there.said) == b"heard"


@pytest.mark.holds("MANY-186")
def test_who_types_through_moves_there_and_back_loses_nothing(host: Host, b: Other) -> None:
    with Client(host.url, host.key) as client:
        vmid = client.create_vm(name="web", gid=0, cpus=1, memory_mib=64, host=1).vmid
        client.set_vm_state(vmid=vmid, state="RUNNING")
        with opened(host, client, vmid) as socket:
            viewer, done, count = Viewer(socket), threading.Event(), 0

            def type_lines() -> int:
                for number in itertools.count():
                    socket.send(b"%07d\n" % number)
                    if done.wait(0.001):
                        return number + 1
                raise AssertionError

            with ThreadPoolExecutor(1) as pool:
                typing = pool.submit(type_lines)
                viewer.until(keyboard={"holder": "root", "yours": True})
                for to in ("b", "id:1", "b"):
                    host.ok("vm", "move", "web", "--host", to)
                done.set()
                count = typing.result()
            viewer.hears(b"%07d\n" % (count - 1))
            assert viewer.said == b"".join(b"%07d\n" % number for number in range(count))


@pytest.mark.holds("MANY-81")
@pytest.mark.parametrize(
    ("said", "heard", "new"),
    [(b"one two", b"one ", b"two"), (b"one", b"one", b""), (b"other", b"one", b"other"), (b"all", b"", b"all")],
)
def test_what_was_not_heard_is_found(said: bytes, heard: bytes, new: bytes) -> None:
    assert unheard(said, heard) == new


@pytest.mark.holds("MANY-82")
def test_a_vm_moves_by_the_command_line(host: Host, b: Other) -> None:
    host.ok("vm", "create", "web", "--host", "id:1", "--memory", "64M", "--cpus", "1")
    host.ok("vm", "start", "web")
    hosts = json.loads(host.ok("vm", "hosts", "web", "--json"))["hosts"]
    assert [(one["host"], one["name"], one.get("lacks")) for one in hosts] == [(2, "b", None)]
    assert host.ok("vm", "hosts", "web") == "b (2): can have it\n"
    planned = host.ok("vm", "move", "web", "--host", "b", "--plan")
    assert "would change vm web (1) in /: host vm -> b" in planned
    assert "at once, while it runs: host" in planned
    assert b.fake.runs == {}
    hold = host.hypervisor.mobility.holds[MovePhase.MEMORY] = asyncio.Event()
    tid = host.ok("vm", "move", "web", "--host", "b", "--detach").strip()
    assert f"b (task {tid})" in host.ok("vm", "show", "web")
    host.hypervisor.mobility.holds.clear()
    host.loop.call_soon_threadsafe(hold.set)
    assert host.ok("task", "wait", f"id:{tid}").strip() == "1"
    assert len(b.fake.runs) == 1
    assert json.loads(host.ok("vm", "show", "web", "--json"))["host"]["name"] == "b"
    refused = host.run("vm", "move", "web", "--host", "b")
    assert refused.exit_code != 0
    assert "is on host 'b' already: it can move to vm (1)" in str(refused.exception)
    back = host.run("vm", "move", "web", "--host", "id:1")
    assert back.stderr.strip().endswith("web is on host vm (1) now")
    host.ok("vm", "move", "web", "--host", "b")
    for words in (("--host", "b", "--to", "/"), ("--host", "b", "--leave-disks"), ("--to", "/", "--detach"), ()):
        assert host.run("vm", "move", "web", *words).exit_code == 2
    drained = host.run("node", "drain", "id:1", "--move")
    assert (drained.exit_code, drained.stderr.strip().endswith("moved 0 of 0 VMs")) == (0, True), drained.output
    host.ok("node", "activate", "id:1")
    host.ok("vm", "move", "web", "--host", "id:1")
    assert b.fake.runs == {}


@pytest.mark.holds("MANY-82")
def test_the_history_tells_who_moved_what_and_where_to(host: Host) -> None:
    with Client(host.url, host.key) as client:
        vmid = client.create_vm(name="web", gid=0, cpus=1, memory_mib=64, host=1).vmid
        host.ok("vm", "move", "web", "--host", "b")
        entries = client.list_history(gid=0).entries
        assert (entries[0].operation, entries[0].target) == ("move_vm_to_host", f"vmid={vmid} host=1->2 name=web")
