"""Copies of the server's database on hosts that keep one: as new as the database, whole, and nobody else's."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import threading
import time
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import cast

import msgspec
import pytest
from msgspec import UNSET
from msgspec.structs import replace
from sqlalchemy import insert

from tests.api.world import world
from tests.hosts.installation import Installation, Machine
from tests.patience import PATIENCE, eventually
from tests.postgres import Postgres
from velocity.cli import doctor_hosts
from velocity.config import Settings
from velocity.contract.nodes import ListNodes, NodeInfo, SetNode
from velocity.contract.problems import Problem, Refused
from velocity.hosts import copies
from velocity.hosts.members import CopyMark, CopyPiece
from velocity.hypervisor.port import Hypervisor
from velocity.node import places
from velocity.node.agent import Agent
from velocity.node.copies import KeptCopies
from velocity.node.identity import OwnIdentity
from velocity.store.tables import instance

pytestmark = pytest.mark.anyio


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Installation]:
    made = Installation(tmp_path)
    await made.open()
    yield made
    await made.close()


def kept(one: Machine) -> KeptCopies:
    return KeptCopies(places.copies(one.settings.data_dir))


def says(file: Path, name: str) -> str | None:
    with closing(sqlite3.connect(file)) as connection:
        found = connection.execute("select value from instance where name = ?", (name,)).fetchone()
        return None if found is None else str(found[0])


async def write(here: Installation, name: str) -> None:
    await here.database.write(lambda c: c.execute(insert(instance).values(name=name, value="1")) and None)


def has(one: Machine, name: str) -> bool:
    newest = kept(one).all()[:1]
    return any(says(kept(one).file(note), name) is not None for note in newest)


@pytest.mark.holds("MANY-129", "MANY-130")
async def test_a_host_that_is_to_keep_a_copy_has_one_that_is_as_new_as_the_database(
    here: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "EVERY", 0.05)
    monkeypatch.setattr(copies, "SHARE", 0)
    one, host = await here.join("b")
    other, _ = await here.join("c")
    assert (await here.membership.show(host)).keeps_copy is UNSET
    await here.membership.set(SetNode(host=host, keeps_copy=True))
    for name in ("first", "second", "third"):
        await write(here, name)
        await eventually(partial(has, one, name), "the copy")
    now = await here.until(host, lambda now: now.copied is not UNSET)
    assert (now.keeps_copy, now.copied, now.copy_message) == (True, int(here.now), UNSET)
    found = kept(one).all()
    assert len(found) == 2, "the newest, and the one before"
    assert not kept(other).all()
    for file in places.copies(one.settings.data_dir).iterdir():
        assert file.stat().st_mode & 0o777 == 0o600, file
    await eventually(lambda: not (here.data / "copy").exists(), "what was sent to be removed")

    here.now += 3600
    await here.until(host, lambda now: now.copied == int(here.now))
    assert kept(one).all()[0].mark == found[0].mark, "nothing was sent, as nothing had changed"
    assert kept(one).all()[0].at == int(here.now)

    here.now -= 86_400
    await here.until(host, lambda now: now.copied == int(here.now))
    assert kept(one).all()[0].at == int(here.now), "the clock was set back"

    await here.membership.set(SetNode(host=host, keeps_copy=False))
    await eventually(lambda: not places.copies(one.settings.data_dir).exists(), "what it kept to be removed")
    await write(here, "late")
    await here.reopen()
    assert (await here.membership.show(host)).keeps_copy is UNSET
    assert not has(one, "late")


@pytest.mark.holds("MANY-129")
async def test_a_host_that_was_away_gets_its_copy_when_it_is_back_also_of_another_server_process(
    here: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "EVERY", 0.05)
    monkeypatch.setattr(copies, "SHARE", 0)
    one, host = await here.join("b")
    await here.membership.set(SetNode(host=host, keeps_copy=True))
    await here.until(host, lambda now: now.copied is not UNSET)
    file = kept(one).file(kept(one).all()[0])
    file.write_bytes(b"")
    assert not kept(one).all(), "one that is not whole is none"
    await here.reopen()
    await write(here, "after")
    await eventually(lambda: has(one, "after"), "the copy")


@pytest.mark.holds("MANY-133")
async def test_why_no_copy_can_be_made_is_shown_and_tried_again(
    here: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "EVERY", 0.05)
    one, host = await here.join("b")
    (here.data / "copy").mkdir()
    await here.membership.set(SetNode(host=host, keeps_copy=True))
    now = await here.until(host, lambda now: now.copy_message is not UNSET)
    assert "no copy of the database can be made" in str(now.copy_message)
    (here.data / "copy").rmdir()
    now = await here.until(host, lambda now: now.copied is not UNSET)
    assert now.copy_message is UNSET
    assert kept(one).all()


@pytest.mark.holds("MANY-131")
def test_a_copy_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    at = KeptCopies(tmp_path / "copies")
    data = b"velocity" * 100
    digest = hashlib.sha256(data).hexdigest()

    def piece(offset: int, end: int, written: int = 1) -> CopyPiece:
        return CopyPiece(CopyMark(3, written), 7, len(data), digest, offset, data[offset:end])

    at.take(piece(0, 300))
    assert at.all() == []
    with pytest.raises(ValueError, match="a piece of it is missing"):
        at.take(piece(600, 800))
    at.take(piece(300, 800))
    (note,) = at.all()
    assert at.file(note).read_bytes() == data
    at.take(piece(0, 300, written=2))
    assert at.all() == [note], "one that broke off takes nothing away"
    with pytest.raises(ValueError, match="changed on the way"):
        at.take(replace(piece(300, 800, written=2), data=b"x" * 500))
    assert at.all() == [note]
    assert not at.confirm(CopyMark(3, 2), 8)
    assert at.confirm(CopyMark(3, 1), 8)
    assert at.all()[0].at == 8


@pytest.mark.holds("MANY-131")
def test_what_a_crash_has_left_of_a_copy_goes_with_the_next_one(tmp_path: Path) -> None:
    """A database has secrets in it, and is large."""
    at = KeptCopies(tmp_path / "copies")

    def take(written: int) -> None:
        data = b"velocity %d" % written
        at.take(CopyPiece(CopyMark(3, written), 7, len(data), hashlib.sha256(data).hexdigest(), 0, data))

    for written in (1, 2):
        take(written)
    newest, before = at.all()
    at.file(before).with_suffix(".json").unlink()  # the copy was there, its note was yet to come
    take(3)
    found = [at.file(one).with_suffix(end) for one in (at.all()[0], newest) for end in (".db", ".json")]
    assert sorted(tmp_path.glob("copies/*")) == sorted(found)


@pytest.mark.holds("MANY-131")
@pytest.mark.parametrize("note", [b"", b"[]", b"{", b'{"mark":"\xff"}', b"\0" * 64])
def test_a_note_that_cannot_be_read_costs_its_own_copy(tmp_path: Path, note: bytes) -> None:
    """There are two of them for the day on which one is needed."""
    at = KeptCopies(tmp_path / "copies")
    for written in (1, 2):
        data = b"velocity %d" % written
        digest = hashlib.sha256(data).hexdigest()
        at.take(CopyPiece(CopyMark(3, written), 7, len(data), digest, 0, data))
    newest, before = at.all()
    at.file(newest).with_suffix(".json").write_bytes(note)
    assert at.all() == [before]


@pytest.mark.holds("MANY-131")
def test_a_note_that_cannot_be_read_for_a_moment_costs_no_copy(tmp_path: Path) -> None:
    at = KeptCopies(tmp_path / "copies")

    def take(written: int) -> None:
        data = b"velocity %d" % written
        at.take(CopyPiece(CopyMark(3, written), 7, len(data), hashlib.sha256(data).hexdigest(), 0, data))

    take(1)
    take(2)
    note = at.file(at.all()[0]).with_suffix(".json")
    aside = note.rename(tmp_path / "aside")
    note.symlink_to(note)  # whoever opens it gets an error of the operating system
    take(3)
    take(4)
    note.unlink()
    aside.rename(note)
    assert [one.mark.written for one in at.all()] == [4, 3, 2]
    take(5)
    assert [one.mark.written for one in at.all()] == [5, 4], "then it is old"


@pytest.mark.holds("MANY-132")
async def test_the_own_host_and_postgresql_keep_no_copies(
    here: Installation, tmp_path: Path, postgres: Postgres
) -> None:
    with pytest.raises(Refused) as error:
        await here.membership.set(SetNode(host=1, keeps_copy=True))
    assert (error.value.problem, error.value.field) == (Problem.NODE_OWN, "keeps_copy")
    async with world(tmp_path / "p", database=postgres.database()) as w:
        token = await w.ok("PUT", "/h/node/token", urls=["http://127.0.0.1:1"])
        one = here.machine("b")
        joined = await w.ok("PUT", "/h/node/join", "", **msgspec.to_builtins(one.asks(token["token"])))
        assert await w.refused("PATCH", "/h/node", host=joined["host"], keeps_copy=True) == (406, 57480)
        assert (await w.ok("POST", "/h/node/list"))["database"] == "postgresql"
    async with world(tmp_path / "s") as w:
        assert (await w.ok("POST", "/h/node/list"))["database"] == "sqlite"


@pytest.mark.holds("MANY-133")
async def test_doctor_says_how_old_copies_are_and_that_there_is_none(
    here: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "EVERY", 0.05)
    one, host = await here.join("b")
    here.now = time.time()

    async def said() -> list[tuple[str, str]]:
        nodes = await here.membership.all(ListNodes())
        return [(found.verdict, found.text) for found in doctor_hosts.copies(nodes)]

    ((verdict, text),) = await said()
    assert (verdict, "--keeps-copy" in text) == ("limited", True)
    await here.membership.set(SetNode(host=host, keeps_copy=True))
    await here.until(host, lambda now: now.copied is not UNSET)
    at = datetime.fromtimestamp(int(here.now)).astimezone().isoformat(" ", "seconds")
    assert await said() == [("ok", f"the database is copied to b (as of {at})")]
    (found,) = (one for one in doctor_hosts.node(one.settings) if one.what == "copy")
    assert (found.verdict, "all its secrets" in found.text) == ("ok", True)
    kept(one).confirm(kept(one).all()[0].mark, 1_000_000)
    (found,) = (one for one in doctor_hosts.node(one.settings) if one.what == "copy")
    assert (found.verdict, "sends none any more" in found.text) == ("limited", True)
    assert [(one.verdict, "is out of date" in one.text) for one in doctor_hosts.copies(await aged(here, host))] == [
        ("limited", True)
    ]


async def aged(here: Installation, host: int) -> list[NodeInfo]:
    """As it is shown an hour after the last copy."""
    nodes = await here.membership.all(ListNodes())
    return [replace(one, copied=1_000_000) if one.host == host else one for one in nodes]


async def test_a_piece_that_took_too_long_is_written_before_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its call is given up, and the server begins anew."""
    began, go_on = threading.Event(), threading.Event()
    order: list[tuple[str, int]] = []

    def take(_: KeptCopies, piece: CopyPiece) -> None:
        order.append(("begun", piece.at))
        began.set()
        assert go_on.wait(PATIENCE)
        order.append(("ended", piece.at))

    monkeypatch.setattr(KeptCopies, "take", take)
    agent = Agent(Settings(data_dir=tmp_path), cast(OwnIdentity, None), cast(Hypervisor, None))

    def taking(at: int) -> asyncio.Task[None]:
        return asyncio.create_task(agent.take_copy(CopyPiece(CopyMark(3, 1), at, 0, "", 0, b""), deadline=PATIENCE))

    first = taking(1)
    await eventually(began.is_set)
    first.cancel()
    second = taking(2)
    await asyncio.wait({first, second}, timeout=0.1)
    go_on.set()
    await second
    assert order == [("begun", 1), ("ended", 1), ("begun", 2), ("ended", 2)]
    assert first.cancelled()
