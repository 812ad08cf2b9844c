"""The link of the first sign-in: once, within a day, and the first password needs no old one."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.api.browsers import Browser
from tests.api.test_history import entries
from tests.api.world import World, world
from velocity.access.welcome import LIFETIME
from velocity.cli.serve import greet
from velocity.config import Settings

pytestmark = pytest.mark.anyio

SECRET = "correct horse"


def fresh(data: Path) -> AbstractAsyncContextManager[World]:
    """A server at its first start, where nobody has chosen a password."""
    return world(data, signs_in=False, root_password="")


@pytest.fixture
async def new(tmp_path: Path, anyio_backend: str) -> AsyncIterator[World]:
    async with fresh(tmp_path / "data") as made:
        yield made


def word(w: World) -> str:
    assert w.server.welcome is not None
    return w.server.welcome


async def opened(w: World, **more: Any) -> Browser:
    browser = Browser(w)
    answer = await browser.call("PUT", "/u/session", link=word(w), **more)
    assert (answer.status, answer["uid"], answer["first"]) == (200, 0, True)
    browser.csrf = answer["csrf"]
    return browser


@pytest.mark.holds("BROWSER-7")
async def test_it_is_printed_and_opens_one_session(new: World, capsys: pytest.CaptureFixture[str]) -> None:
    greet(Settings(data_dir=new.data), new.server)
    printed = capsys.readouterr().out
    (link,) = re.findall(r"http://127\.0\.0\.1:8090/#/welcome/([\w-]+)", printed)
    assert str(new.server.root_password) in printed
    browser = Browser(new)
    assert (await browser.call("PUT", "/u/session", link=link)).status == 200
    assert await Browser(new).refused("PUT", "/u/session", link=link) == (403, 28200)
    assert link not in str(await browser.call("POST", "/u/session"))


async def test_the_first_password_needs_no_old_one(new: World) -> None:
    browser = await opened(new)
    cursor = new.server.database.engine.raw_connection().cursor()
    cursor.execute("PRAGMA query_only=ON")
    assert await browser.refused("PATCH", "/u/session") == (503, 503)
    cursor.execute("PRAGMA query_only=OFF")
    assert (await browser.call("POST", "/u/session"))["first"] is True, "over a renewal that failed"
    browser.csrf = (await browser.call("PATCH", "/u/session"))["csrf"]
    assert (await browser.call("POST", "/u/session"))["first"] is True, "over a renewal too"
    await browser.call("PUT", "/u/user", name="bob", password="bob's password")
    assert (await browser.call("PATCH", "/u/user", password=SECRET)).body == {}
    assert await browser.refused("POST", "/u/session") == (401, 100), "every session has ended"
    signed_in = await browser.sign_in("root", SECRET)
    assert signed_in["first"] is False
    assert await browser.refused("PATCH", "/u/user", password="another one") == (400, 400), "from now on it is needed"
    printed = str(new.server.root_password)
    assert await browser.refused("PUT", "/u/session", name="root", password=printed) == (403, 28200)


async def test_others_passwords_are_as_ever(new: World) -> None:
    browser = await opened(new)
    await browser.call("PUT", "/u/user", name="bob", password="bob's password")
    bob = Browser(new)
    await bob.sign_in("bob", "bob's password")
    assert await bob.refused("PATCH", "/u/user", password="another one") == (400, 400)
    assert await bob.refused("PATCH", "/u/user", uid=0, password="another one") == (403, 2400)


@pytest.mark.holds("BROWSER-7")
async def test_it_ends_with_a_day(new: World) -> None:
    welcome = new.server.services.access.welcome
    begun = welcome.clock()
    welcome.clock = lambda: begun + LIFETIME + 1
    assert await Browser(new).refused("PUT", "/u/session", link=word(new)) == (403, 28200)
    welcome.clock = lambda: begun + LIFETIME - 1
    await opened(new)


async def test_it_ends_when_the_password_is_set(new: World) -> None:
    browser = Browser(new)
    printed = str(new.server.root_password)
    await browser.sign_in("root", printed)
    assert (await browser.call("PATCH", "/u/user", password=SECRET, old_password=printed)).status == 200
    assert await browser.refused("PUT", "/u/session", link=word(new)) == (403, 28200)


async def test_what_fails_does_not_use_it_up(new: World) -> None:
    browser = Browser(new)
    assert await browser.refused("PUT", "/u/session", link="wrong") == (403, 28200)
    planned = await browser.call("PUT", "/u/session", link=word(new), plan=True)
    assert planned["plan"] is True
    cursor = new.server.database.engine.raw_connection().cursor()
    cursor.execute("PRAGMA query_only=ON")
    assert await browser.refused("PUT", "/u/session", link=word(new)) == (503, 503)
    cursor.execute("PRAGMA query_only=OFF")
    assert browser.cookie == ""
    await opened(new)


@pytest.mark.holds("BROWSER-6")
async def test_it_is_kept_nowhere(new: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    browser = await opened(new)
    new.key = browser.cookie
    found = await entries(new)
    assert [(one["name"], one["operation"]) for one in found] == [("(a link)", "open_session")]
    kept = b"".join(file.read_bytes() for file in new.data.glob("velocity.db*"))
    assert word(new) not in str(found) + caplog.text
    assert word(new).encode() not in kept


async def test_only_a_first_start_that_made_a_password_makes_one(tmp_path: Path) -> None:
    async with fresh(tmp_path / "data"):
        pass
    async with fresh(tmp_path / "data") as again:
        assert (again.server.root_password, again.server.welcome) == (None, None)
    async with world(tmp_path / "configured") as configured:
        assert configured.server.welcome is None
        assert await Browser(configured).refused("PUT", "/u/session", link="") == (403, 28200)
