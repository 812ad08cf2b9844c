"""A host of a server, over its node, in the middle of what people have open: they leave, or the host falls silent."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.host import Host, hosting
from tests.hosts.leaving import Leaving
from tests.hosts.test_over_a_node import Line
from tests.patience import PATIENCE, at_last
from velocity.cli import own_server
from velocity.client import Client
from velocity.contract.machines import Display
from velocity.storage.port import MediaRef

SILENT = "the VM's host does not respond: request a new ticket when it does"


class Distant:
    """A server, and a VM that runs on its other host."""

    def __init__(self, host: Host, line: Line) -> None:
        self.host = host
        self.line = line
        self.client = Client(host.url, host.key)
        displays = [Display(name="one", width=64, height=64)]
        self.vmid = self.client.create_vm(name="web", gid=0, cpus=1, memory_mib=64, host=2, displays=displays).vmid
        self.client.set_vm_state(vmid=self.vmid, state="RUNNING")

    def do(self, work: Coroutine[Any, Any, None]) -> None:
        """In the server's loop."""
        asyncio.run_coroutine_threadsafe(work, self.host.loop).result(PATIENCE)

    def console(self, kind: Literal["serial", "display"]) -> ClientConnection:
        path = self.client.open_console(vmid=self.vmid, kind=kind).path
        return connect(self.host.url.replace("http", "ws") + path, proxy=None, compression=None)

    def tasks(self) -> int:
        async def count() -> int:
            return len(asyncio.all_tasks())

        return asyncio.run_coroutine_threadsafe(count(), self.host.loop).result(PATIENCE)


@pytest.fixture
def distant(tmp_path: Path) -> Iterator[Distant]:
    line = Line(tmp_path)
    with hosting(tmp_path / "data", attach=line.attach) as host:
        made = Distant(host, line)
        with made.client:
            yield made
        made.do(line.close())


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.holds("MANY-216")
def test_of_hundreds_of_streams_that_are_left_nothing_stays(distant: Distant) -> None:
    """Server and node are in this very process: tasks and descriptors are counted of both."""
    pool = distant.line.other.disks.pools[20]
    mid = distant.client.create_medium(mpid=20, gid=0, name="disk", size=1 << 20).mid
    with own_server.way(distant.host.settings) as way:
        assert way is not None
        leaving = Leaving(way, distant.host.key, distant.vmid, str(mid), 20)
        asyncio.run(leaving.leave(20))  # what is made once
        at_last(lambda: not pool.moving, "the end of the first uploads")
        tasks, files = distant.tasks(), descriptors()
        asyncio.run(leaving.leave(300))
        at_last(lambda: distant.tasks() <= tasks, "the end of all tasks")
        at_last(lambda: descriptors() <= files, "the end of all connections")
    at_last(lambda: not pool.moving, "the end of all uploads")
    assert pool.kept.keys() == {MediaRef(20, mid, "raw")}
    (run,) = distant.line.other.fake.runs.values()
    assert run.streams == []
    assert [one.name for one in distant.client.list_media(gid=0).media] == ["disk"]


@pytest.mark.holds("CONSOLE-14")
def test_a_console_whose_host_falls_silent_says_so_and_not_that_the_vm_has_stopped(distant: Distant) -> None:
    with distant.console("serial") as serial, distant.console("display") as display:
        distant.do(distant.line.cut())
        for one in (serial, display):
            with pytest.raises(ConnectionClosed) as closed:
                one.recv(PATIENCE)
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4412, SILENT)
    with pytest.raises(InvalidStatus) as denied:
        distant.console("serial")
    assert denied.value.response.status_code == 503
    assert SILENT.encode() in (denied.value.response.body or b"")
    distant.do(distant.line.heal())
    at_last(lambda: not distant.client.show_vm(vmid=distant.vmid).unreachable_since, "the host's answer")
    with distant.console("serial") as serial:
        serial.send(b"typed")
        assert serial.recv(PATIENCE) == b"typed"
