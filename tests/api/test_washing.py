"""What is refused does not wash what was done out of the history: it is counted, and has a bound of its own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.test_history import entries
from tests.api.world import World, world
from velocity.contract.problems import Problem, Refused
from velocity.history.refusals import OTHERS, Refusals
from velocity.history.rules import HistoryEntry
from velocity.history.service import WAITING
from velocity.store.database import Database
from velocity.store.history import SqlHistory

pytestmark = pytest.mark.anyio


async def nobody(w: World, times: int, address: str = "192.0.2.1", path: str = "/v/vm", key: str = "") -> None:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(w.server.asgi, client=(address, 1))) as http:
        for number in range(times):
            response = await http.post(f"http://velocity{path}", json={"vmid": number}, headers=headers)
            assert response.status_code in (401, 403)


def refused(minute: int = 1, address: str = "1", **more: Any) -> HistoryEntry:
    fields: dict[str, Any] = {"uid": None, "name": "", "operation": "show_vm", "target": "", "status": 401, "code": 100}
    refused.number += 1  # type: ignore[attr-defined]
    more = {"gid": 0, "message": "no", "vmid": None, "request": f"r{refused.number}", **more}  # type: ignore[attr-defined]
    return HistoryEntry(at=minute * 60, address=address, **{**fields, **more})


refused.number = 0  # type: ignore[attr-defined]


@pytest.mark.holds("BOUND-17")
@pytest.mark.parametrize("key", ["", "wrong"])
async def test_nobody_gets_one_entry_an_address_and_minute(w: World, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setattr("time.time", lambda: 6_000_000_000.0)
    await w.vm("made before")
    await nobody(w, 300, key=key)
    await nobody(w, 20, path="/u/user/list", key=key)
    await nobody(w, 5, "192.0.2.2", key=key)
    found = (await entries(w))[:3]
    assert [(one["address"], one["status"], one.get("times")) for one in found] == [
        ("192.0.2.2", 401, 5),
        ("192.0.2.1", 401, 320),
        ("127.0.0.1", 200, None),
    ]
    monkeypatch.setattr("time.time", lambda: 6_000_000_060.0)
    await nobody(w, 2, key=key)
    found = (await entries(w))[:2]
    assert [(one["address"], one.get("times")) for one in found] == [("192.0.2.1", 2), ("192.0.2.2", 5)]


async def test_what_a_user_is_refused_again_is_counted_and_what_differs_is_not(
    w: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 6_000_000_000.0)
    key = await w.user("bob")
    for _ in range(4):
        await w.refused("PUT", "/u/group", key, _plan=False, name="a", parent_gid=0)
    await w.refused("PUT", "/u/group", key, _plan=False, name="b", parent_gid=0)
    await w.refused("POST", "/u/auth", "", name="bob", password="a wrong one")
    await w.refused("POST", "/u/auth", "", name="bob", password="a wrong two")
    found = [(one["operation"], one["target"], one.get("times")) for one in (await entries(w))[:3]]
    assert found == [
        ("sign_in", "", 2),
        ("create_group", "parent_gid=0 name=b", None),
        ("create_group", "parent_gid=0 name=a", 4),
    ]


@pytest.mark.holds("BOUND-36")
async def test_refusals_of_a_user_who_asks_too_much_are_one_entry_whatever_they_are_about(
    w: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 6_000_000_000.0)
    vmids = [await w.vm(f"vm {number}") for number in range(5)]
    with contextlib.ExitStack() as held:
        for _ in range(8):
            held.enter_context(w.server.services.screens.waiting.of(0))
        for vmid in vmids * 10:
            assert (await w.call("POST", "/v/vm/screen", vmid=vmid)).status == 429
        assert (await w.call("POST", "/v/vm/screen/search", text="panic")).status == 429
    found = (await entries(w))[:2]
    assert [(one["operation"], one["status"], one["target"], one.get("vmid"), one.get("times")) for one in found] == [
        ("search_screens", 429, "", None, None),
        ("show_screen", 429, "", None, 50),
    ]
    assert "user_pictures" in found[1]["message"]


async def test_the_number_is_kept_over_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 6_000_000_000.0)
    async with world(tmp_path / "data") as w:
        await nobody(w, 30)
    async with world(tmp_path / "data", signs_in=True) as w:
        assert [one["times"] for one in await entries(w, refused=True)] == [30]


async def test_while_nothing_can_be_written_they_are_counted_too(w: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 6_000_000_000.0)
    add, count = SqlHistory.add, SqlHistory.count

    async def fails(_store: SqlHistory, _what: Any) -> Any:
        raise Refused(Problem.UNAVAILABLE, "no")

    monkeypatch.setattr(SqlHistory, "add", fails)
    await nobody(w, 10)
    await entries(w)
    monkeypatch.setattr(SqlHistory, "add", add)
    monkeypatch.setattr(SqlHistory, "count", fails)
    await nobody(w, 10)
    await entries(w)
    monkeypatch.setattr(SqlHistory, "count", count)
    assert (await entries(w))[0]["times"] == 20


@pytest.mark.holds("BOUND-17")
async def test_refusals_take_no_place_that_what_was_done_needs(w: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """They wait for a database that takes nothing now, and so do changes."""
    history = w.server.services.history
    await history.settle()
    for number in range(WAITING):
        history.note(refused(address=f"10.0.{number // 250}.{number % 250}"))
    history.note(refused(uid=1, name="made", operation="create_vm", status=200, code=None))
    found = await entries(w, limit=1)
    assert found[0]["name"] == "made"
    await history.settle()
    assert len(await entries(w, refused=True, limit=1000)) == 1000


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[SqlHistory]:
    database = Database(database_url)
    database.open()
    yield SqlHistory(database)
    await database.close()


@pytest.mark.holds("BOUND-17")
async def test_refusals_are_rotated_by_themselves(store: SqlHistory) -> None:
    done: dict[str, Any] = {"uid": 1, "name": "done", "status": 200, "code": None}
    await store.add([refused(**done) for _ in range(3)])
    await store.add([refused(name="refused") for _ in range(10)])

    async def names() -> list[str]:
        return [entry.name for _, entry in await store.newest(None, None, 100, None, None, None)]

    await store.rotate(0, 3, 10)
    assert await names() == ["refused"] * 10 + ["done"] * 3
    await store.rotate(0, 3, 4)
    assert await names() == ["refused"] * 4 + ["done"] * 3
    await store.rotate(0, 2, 4)
    assert await names() == ["refused"] * 4 + ["done"] * 2
    await store.rotate(10**6, 2, 4)
    assert await names() == []


@pytest.mark.holds("BOUND-17")
@pytest.mark.parametrize("code", [None, 403])
async def test_a_user_who_does_much_pushes_out_nothing_of_others(store: SqlHistory, code: int | None) -> None:
    def entry(uid: int) -> HistoryEntry:
        return refused(uid=uid, name=f"{uid}", status=code or 200, code=code)

    async def count(uid: int) -> int:
        return len(await store.newest(None, None, 100, uid, None, None))

    await store.add([entry(1) for _ in range(4)])
    await store.add([entry(2) for _ in range(20)])
    await store.rotate(0, 10, 10)
    assert (await count(1), await count(2)) == (4, 6)
    await store.add([entry(3) for _ in range(5)])
    await store.rotate(0, 10, 10)
    assert (await count(1), await count(2), await count(3)) == (4, 5, 5)
    await store.rotate(0, 10, 10)
    assert (await count(1), await count(2), await count(3)) == (0, 5, 5), "the oldest, as nobody has more than half"


async def test_the_store_tells_under_which_ids_refusals_are(store: SqlHistory) -> None:
    one, two = refused(), refused()
    done = refused(uid=1, status=200, code=None)
    hids = await store.add([one, done, two])
    assert set(hids) == {one.request, two.request}
    await store.count([(hids[two.request], 7)])
    kept = {entry.request: entry.times for _, entry in await store.newest(None, None, 10, None, None, None)}
    assert kept == {one.request: 1, done.request: 1, two.request: 7}


def test_refusals_of_too_many_addresses_are_counted_together() -> None:
    refusals = Refusals(3)
    kept = [refusals.first(refused(address=str(number))) for number in range(6)]
    assert [one and one.address for one in kept] == ["0", "1", "2", OTHERS, None, None]
    assert refusals.first(refused(address="1")) is None
    again = refusals.first(refused(2, address="1"))
    assert again is not None, "another minute"


def test_an_address_of_ipv6_counts_by_its_network() -> None:
    refusals = Refusals(10)
    assert refusals.first(refused(address="2001:db8::1")) is not None
    assert refusals.first(refused(address="2001:db8::2")) is None
    assert refusals.first(refused(address="2001:db8:0:1::2")) is not None


def test_of_an_entry_that_was_lost_nothing_is_told() -> None:
    refusals = Refusals(10)
    first = refusals.first(refused())
    assert first is not None and refusals.first(refused()) is None
    refusals.lost([first.request])
    assert not refusals.have_grown


def test_what_counted_in_an_entry_that_was_lost_waits_for_nothing() -> None:
    """Else the server would wait for it at its end, for ever."""
    refusals = Refusals(10)
    first = refused()
    assert refusals.first(first) is first
    assert refusals.first(refused()) is None
    refusals.lost([first.request])
    again = refused()
    assert refusals.first(again) is again, "it is an entry of its own"
    assert not refusals.have_grown
    assert refusals.first(refused()) is None
    refusals.stored({again.request: 7})
    assert [(one.hid, one.times) for one in refusals.take_grown()] == [(7, 2)]
