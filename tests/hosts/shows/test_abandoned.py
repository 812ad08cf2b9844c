"""Ten thousand streams of another host that are opened and left: server and node are as large afterwards as before."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import pytest

from tests.hosts.leaving import Leaving
from tests.hosts.namespaces import NODE, SERVER, RealHost, RealHosts
from tests.patience import at_last
from velocity.cli import own_server
from velocity.config import Settings
from velocity.contract.machines import Display

pytestmark = [pytest.mark.hosts, pytest.mark.guest]
FIRST, REST = 2_500, 7_500
"""Streams after which the allocator has most of what it keeps for the next uploads; and those that are counted."""
ONCE = 16
"""Descriptors that are opened once and kept."""
GROWTH = 32 << 10
"""KiB: a call that is never cancelled takes 80 of them (grpc 43462)."""


@dataclass(frozen=True)
class Taken:
    """What a unit's process takes: KiB of memory of its own, and descriptors."""

    memory: int
    files: int

    @classmethod
    def by(cls, host: RealHost, unit: str) -> Self:
        process = host.files / "proc" / (host.files / "run/units" / f"{unit}.main").read_text()
        lines = (line.split() for line in (process / "status").read_text().splitlines())
        memory = next(int(words[1]) for words in lines if words[0] == "RssAnon:")
        return cls(memory, len(list((process / "fd").iterdir())))


@pytest.mark.holds("MANY-216")
def test_of_ten_thousand_streams_that_are_left_nothing_stays(hosts: RealHosts, say: Callable[[str], None]) -> None:
    client, b = hosts.client, hosts.number("b")
    units = [(hosts["a"], SERVER), (hosts["b"], NODE)]
    (pool,) = client.show_node(host=b).pools
    mid = client.create_medium(mpid=pool.mpid, gid=0, name="left", size=1 << 20).mid
    displays = [Display(name="one", width=64, height=64)]
    vmid = client.create_vm(name="left", gid=0, cpus=1, memory_mib=64, host=b, displays=displays).vmid
    client.set_vm_state(vmid=vmid, state="RUNNING")
    files = [Taken.by(*one).files for one in units]
    with own_server.way(Settings(data_dir=hosts["a"].data)) as way:
        assert way is not None and client.authkey is not None
        leaving = Leaving(way, client.authkey, vmid, str(mid), pool.mpid)
        asyncio.run(leaving.leave(FIRST))
        before = [Taken.by(*one) for one in units]
        begun = time.monotonic()
        asyncio.run(leaving.leave(REST))
        took = time.monotonic() - begun
    at_last(
        lambda: all(Taken.by(*one).files <= had + ONCE for one, had in zip(units, files, strict=True)),
        "the end of all that was left",
    )
    grown = [Taken.by(*one).memory - had.memory for one, had in zip(units, before, strict=True)]
    say(f"hosts: {REST} streams were left in {took:.0f} s: the server is {grown[0]} KiB larger, the node {grown[1]}")
    assert max(grown) <= GROWTH
    client.delete_medium(mid=mid, purge=True)
