"""What a host tells of itself that has to be as on the server: its time, and the uids of its guests."""

from __future__ import annotations

import socket

import pytest
from msgspec import UNSET, structs

from tests.hosts.installation import Installation
from velocity.hosts.members import Hello
from velocity.hosts.port import OfferedPool
from velocity.node import agent
from velocity.node.agent import Agent

pytestmark = pytest.mark.anyio


class Late(Agent):
    """Its machine's clock is off by so many seconds."""

    off = 0.0

    async def hello(self, api: int, *, deadline: float) -> Hello:
        told = await super().hello(api, deadline=deadline)
        return structs.replace(told, now=told.now + self.off)


@pytest.mark.holds("MANY-182")
@pytest.mark.parametrize(
    ("off", "words"), [(-210.0, "its clock is 3 min behind this server's"), (7500.0, "2 h ahead of this server's")]
)
async def test_a_clock_that_is_off_is_told_until_it_is_right(
    here: Installation, monkeypatch: pytest.MonkeyPatch, off: float, words: str
) -> None:
    monkeypatch.setattr(agent, "Agent", Late)
    monkeypatch.setattr(Late, "off", off)
    _, host = await here.join("b")
    shown = await here.until(host, lambda now: now.clock_ahead is not UNSET)
    assert isinstance(shown.clock_ahead, int)
    assert abs(shown.clock_ahead - off) <= 3
    assert shown.state == "online"
    assert "systemd-timesyncd" in str(shown.message)
    assert words in str(shown.message)
    monkeypatch.setattr(Late, "off", 0.0)
    shown = await here.until(host, lambda now: now.clock_ahead is UNSET)
    assert shown.message is UNSET


class OfUids(Agent):
    """It gives its guests other uids than others do, and has a pool that they share."""

    async def hello(self, api: int, *, deadline: float) -> Hello:
        told = await super().hello(api, deadline=deadline)
        uid_base = 900_000 if told.hostname.startswith("another") else told.uid_base
        return structs.replace(told, uid_base=uid_base, pools=(*told.pools, OfferedPool(7, "nas", shared=True)))


@pytest.mark.holds("MANY-183")
async def test_hosts_that_share_a_pool_and_give_other_uids_are_told(
    here: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent, "Agent", OfUids)
    _, first = await here.join("b")
    monkeypatch.setattr(socket, "gethostname", lambda: "another")
    _, second = await here.join("c")
    shown = await here.until(second, lambda now: now.message is not UNSET)
    assert "its uid_base is 900000, and that of b, with which it shares the pool 'nas'" in str(shown.message)
    assert "900000" in str((await here.membership.show(first)).message)
