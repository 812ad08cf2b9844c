"""What the life of a VM costs beside QEMU itself: what is said to its monitor, processes and threads that are begun."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from tests.api.world import World, world
from tests.counts import between
from tests.patience import eventually
from velocity.hypervisor.qemu.driver import QemuHypervisor
from velocity.hypervisor.qemu.options import Options
from velocity.storage.port import MediaFiles

pytestmark = [pytest.mark.anyio, pytest.mark.guest]

PROCESSES = frozenset({"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"})
_listening: list[Counter[str]] = []


def _hear(event: str, _arguments: Any) -> None:
    if event in PROCESSES:
        for counter in _listening:
            counter["processes"] += 1


sys.addaudithook(_hear)  # it stays, as there is no way to take one away


@contextmanager
def begun() -> Iterator[Counter[str]]:
    """Processes and threads that Python begins inside. A thread is counted by its own first call."""
    counter: Counter[str] = Counter()

    def first(_frame: FrameType, _event: str, _argument: Any) -> None:
        sys.setprofile(None)
        counter["threads"] += 1

    _listening.append(counter)
    threading.setprofile(first)
    try:
        yield counter
    finally:
        threading.setprofile(None)
        _listening.remove(counter)


class Threads(ThreadPoolExecutor):
    """The loop's threads, and the names of what was given to them."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[str] = []

    def submit(self, work: Callable[..., Any], /, *arguments: Any, **more: Any) -> Future[Any]:
        self.given.append(work.args[0].__qualname__)  # type: ignore[attr-defined]
        return super().submit(work, *arguments, **more)


@pytest.fixture
def said(tmp_path: Path) -> Path:
    return tmp_path / "said"


@pytest.fixture
async def w(tmp_path: Path, runtime: Path, said: Path, anyio_backend: str) -> AsyncIterator[World]:
    """A server whose QEMU is real. Machines have no uids: who stands between the two belongs to the test's user."""
    program = tmp_path / "qemu"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{between.__file__}" "{said}" "$@"\n')
    program.chmod(0o700)

    async def driver(media: MediaFiles) -> QemuHypervisor:
        made = QemuHypervisor(Options(tmp_path / "data", runtime, "auto", None, str(program)), media)
        await made.prepare()
        return made

    async with world(tmp_path / "data", driver=driver) as made:
        await made.server.services.metrics.close()  # on a busy host a look of theirs, every ten seconds, fell into it
        await made.server.services.addresses.close()
        yield made
        for vm in (await made.ok("POST", "/v/vm/list", gid=0))["vms"]:  # what a test that failed has left running
            await made.ok("PUT", "/v/vm/state", vmid=vm["vmid"], state="STOPPED", force=True)


NOW_AND_THEN = {"_update", "look"}
"""What looks at the host's resolvers and packet filters every few seconds, whatever is asked of VMs."""
LIFE: tuple[tuple[str, list[str], int, list[str]], ...] = (
    ("RUNNING", ["qmp_capabilities", "cont"], 66, ["launch"]),
    ("PAUSED", ["stop"], 27, []),
    ("RUNNING", ["cont", "query-chardev"], 27 + 36, []),
    ("STOPPED", ["quit"], 27, ["Path.touch", "WatchedRuns.clear"]),
)
"""State that is asked for; the commands that QEMU's monitor gets, their bytes at most, what is done in a thread.

Behind the answer to a resumption, it is looked whether there is a guest agent that sets the clock. At the end of a run
that is to note, while QEMU ends, that it was asked for; and to clear what it leaves with that note, once the end is
written down, behind the answer.
"""


async def test_what_the_life_of_a_vm_costs(w: World, said: Path, runtime: Path) -> None:
    """Made of what is sent into QEMU's own socket, as each byte costs it 6 us; and of works, threads and processes."""
    media = [{"mid": await w.medium(), "mode": "BLOCK"}]
    displays = [{"name": "screen", "width": 800, "height": 600}]
    vmid = await w.vm(media=media, nics=[{"type": "NAT"}], displays=displays)
    asyncio.get_running_loop().set_default_executor(threads := Threads())
    begun_threads = others = 0
    for _life in ("cold", "warm"):
        for state, commands, most, works in LIFE:
            said.write_bytes(b"")
            threads.given.clear()
            with begun() as counter:
                await w.ok("PUT", "/v/vm/state", vmid=vmid, state=state, force=True)
                await w.server.services.fleet.agents.settle()
                if state == "STOPPED":  # its end is acknowledged behind the answer
                    await eventually(lambda: not list(runtime.glob("*/*")))
            sent = said.read_bytes()
            listed = json.loads(b"[" + sent.replace(b"}{", b"},{") + b"]")
            assert [one["execute"] for one in listed] == commands
            assert len(sent) <= most, sent
            # What is left is cleared again with its note, if its end was not written down within two seconds.
            given = [one for one in threads.given if one not in NOW_AND_THEN]
            assert [one for one, _ in itertools.groupby(given)] == works
            assert counter["processes"] == works.count("launch"), "QEMU alone, without a shell or a guard"
            begun_threads += counter["threads"]
            others += sum(one in NOW_AND_THEN for one in threads.given)
    once = sum(len(works) for *_, works in LIFE)
    # A work that comes in the moment before the thread of the last one is idle begins another: so not `once` exactly.
    assert begun_threads < 2 * once + others, "threads are used again, whichever of the two lives begins them"
