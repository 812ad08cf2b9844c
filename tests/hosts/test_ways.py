"""The way to a host lasts until that is removed, however long it is lost and whatever goes wrong meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from tests.hosts.installation import Installation, Machine
from tests.patience import eventually
from velocity.hosts import connector
from velocity.hypervisor.port import HostId
from velocity.node import identity
from velocity.node.remote import Connection

pytestmark = pytest.mark.anyio


async def lose(one: Machine) -> int:
    """Its port."""
    assert one.running is not None
    port = one.running.port
    await one.stop()
    return port


async def find_again(here: Installation, one: Machine, host: HostId, port: int) -> None:
    own = identity.read(one.settings.data_dir)
    assert own is not None
    await one.serve(own, port)
    await here.until(host, lambda now: now.state == "online")


@pytest.mark.holds("MANY-230")
async def test_a_host_that_was_lost_for_long_is_found_again(
    here: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, host = await here.join("b")
    port = await lose(one)
    asked, call = 0, Connection.call

    def counted(self: Connection, what: Any) -> Any:
        nonlocal asked
        asked += 1
        return call(self, what)

    monkeypatch.setattr(connector, "AGAIN", (1e-6, 1e-6))
    monkeypatch.setattr(connector, "REDIAL", 10**6)
    monkeypatch.setattr(Connection, "call", counted)
    await eventually(lambda: asked > 1100, "that it is asked 1100 times in vain, as in an hour,")
    await find_again(here, one, host, port)


@pytest.mark.holds("MANY-230")
async def test_a_fault_of_ours_while_a_host_is_lost_ends_no_way_to_it(
    here: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, host = await here.join("b")
    failed = False

    def fails(host: HostId, words: str) -> None:
        nonlocal failed
        failed = True
        raise RuntimeError("nobody foresaw that")

    monkeypatch.setattr(here.hosts, "doubt", fails)
    port = await lose(one)
    await eventually(lambda: failed)
    await find_again(here, one, host, port)
