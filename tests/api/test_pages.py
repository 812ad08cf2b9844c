"""Every list of the contract comes in pages, whatever is made and removed between them."""

from __future__ import annotations

import asyncio
import itertools
import typing
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import uuid4

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.api.host_changes import joined_node
from tests.api.test_transfers import begin
from tests.api.world import PASSWORD, World, world
from velocity.config import NicSetting, PoolSetting
from velocity.contract.operation import Method, Operation, Wire
from velocity.contract.registry import OPERATIONS
from velocity.contract.trash import ListTrash

pytestmark = pytest.mark.xdist_group("lists in pages")  # they share a host

T = TypeVar("T")
EXAMPLES, WHOLE = 4, 60
SMALL = {
    "explain": "the groups of one path, and whom to ask",
    "list_vm_targets": "the other hosts, as `show_host` has them, and a VM's media: 32",
    "list_images": "what the catalogue and the files of a setting name",
    "search_screens": "what stood on a bounded number of screens; `complete` says whether on all",
    "show_guest": "what one guest says of itself, which is bounded",
    "show_host": "what the settings declare, and what an administrator is to mend",
    "show_node": "the pools and NICs that the settings of one host declare",
    "show_medium": "the VMs of one medium, as its line in the list of media has them",
    "show_vm": "the devices of one VM: 8 or 32 of a kind",
}
"""Lists within an answer that cannot be long."""
VOLATILE = ("free", "heard", "allocated", "message")


def lists_of(operation: Operation[Any, Any]) -> set[str]:
    """The fields of its answer that are lists of objects, wherever a type may hide them."""

    def holds(kind: Any) -> bool:
        if typing.get_origin(kind) is list:
            (inner,) = typing.get_args(kind)
            return isinstance(inner, type) and issubclass(inner, Wire)
        return any(map(holds, typing.get_args(kind)))

    return {one.name for one in msgspec.structs.fields(operation.response) if holds(one.type)}


PAGED = [one for one in OPERATIONS if one.method is Method.POST and lists_of(one) and one.name not in SMALL]
by_name = pytest.mark.parametrize("operation", PAGED, ids=lambda one: one.name)


class Shop:
    """A server with several of everything, for all tests of this file. `gid` is the group that is listed."""

    gid: int
    quiet: int
    """A group in which only the history's test does something."""
    bob: int
    source: str
    kept: frozenset[Any]
    """The ids of what the test itself needs."""

    def __init__(self, w: World, loop: asyncio.AbstractEventLoop) -> None:
        self.w, self.loop, self.number = w, loop, itertools.count()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def name(self) -> str:
        return f"n{next(self.number)}"

    async def change(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        return (await self.w.ok(method, path, **body)).body

    async def answer(self, operation: Operation[Any, Any], **more: Any) -> dict[str, Any]:
        body = {**SUBJECTS[operation.name].body(self), **more}
        return (await self.w.ok("POST", operation.path, **body)).body

    # What makes one more

    async def user(self) -> None:
        await self.change("PUT", "/u/user", name=self.name(), password=PASSWORD, gid=self.gid)

    async def member(self) -> None:
        uid = (await self.change("PUT", "/u/user", name=self.name(), password=PASSWORD, gid=self.gid))["uid"]
        await self.change("PUT", "/u/user/permission", uid=uid, gid=self.gid, permission="velocity.vm.view")

    async def membership(self) -> None:
        gid = await self.w.group(self.name(), self.gid)
        await self.change("PUT", "/u/user/permission", uid=self.bob, gid=gid, permission="velocity.vm.view")

    async def group(self) -> None:
        await self.w.group(self.name(), self.gid)

    async def session(self) -> None:
        await self.w.ok("POST", "/u/auth", "", name="root", password=PASSWORD)

    async def pool(self) -> None:
        seen = {one["mpid"] for one in (await self.w.ok("POST", "/m/pool/list", gid=self.gid))["pools"]}
        new = next((mpid for mpid in (4, 2, 9, 5, 7, 3, 8, 6) if mpid not in seen), 1)
        await self.change("PUT", "/m/pool/assign", gid=self.gid, mpid=new, write=True, manage=True)

    async def medium(self) -> None:
        """In the group, or an ISO of the one above."""
        mine = next(self.number) % 3
        await self.w.medium(self.name(), gid=self.gid if mine else 0, type="DISK" if mine else "ISO", size=512)

    async def upload(self) -> None:
        await begin(self.w, name=self.name(), gid=self.gid)

    async def vm(self) -> None:
        await self.w.vm(self.name(), self.gid)

    async def discarded(self) -> None:
        await self.change("DELETE", "/v/vm", vmid=await self.w.vm(self.name(), self.gid))

    async def node(self) -> None:
        await joined_node(self.w, self.name())

    async def event(self) -> None:
        await self.w.group(self.name(), self.quiet)

    async def task(self) -> None:
        body = {"mid": self.source, "gid": self.gid, "mpid": 1, "name": self.name()}
        await self.change("PUT", "/m/media/clone", **body)
        await self.w.server.services.tasks.settle()


@dataclass(frozen=True)
class Subject:
    """What is listed: the rest of the request, how one more is made, and the request that removes one by its id."""

    make: Callable[[Shop], Awaitable[None]] | None
    remove: tuple[str, str, str] | None = None
    body: Callable[[Shop], dict[str, Any]] = lambda shop: {"gid": shop.gid}
    more: Callable[[Shop], dict[str, Any]] = lambda _: {}


def nothing(_: Shop) -> dict[str, Any]:
    return {}


SUBJECTS = {
    "list_vms": Subject(Shop.vm, ("DELETE", "/v/vm", "vmid")),
    "list_media": Subject(Shop.medium, ("DELETE", "/m/media", "mid")),
    "list_uploads": Subject(Shop.upload, ("DELETE", "/m/media/upload", "mid")),
    "list_pools": Subject(Shop.pool, ("DELETE", "/m/pool/assign", "mpid"), more=lambda shop: {"gid": shop.gid}),
    "list_tasks": Subject(Shop.task),
    "list_users": Subject(Shop.user, ("DELETE", "/u/user", "uid"), nothing),
    "list_groups": Subject(Shop.group, ("DELETE", "/u/group", "gid"), nothing),
    "list_nics": Subject(None, body=nothing),
    "list_nodes": Subject(Shop.node, ("DELETE", "/h/node", "host"), nothing),
    "list_sessions": Subject(Shop.session, ("DELETE", "/u/session", "sid"), nothing),
    "list_trash": Subject(Shop.discarded, ("DELETE", "/t/trash", "trid"), nothing),
    "list_history": Subject(Shop.event, body=lambda shop: {"gid": shop.quiet}),
    "show_group": Subject(Shop.member, ("DELETE", "/u/user/permission", "uid"), more=lambda shop: {"gid": shop.gid}),
    "show_user": Subject(
        Shop.membership,
        ("DELETE", "/u/user/permission", "gid"),
        lambda shop: {"uid": shop.bob},
        lambda shop: {"uid": shop.bob},
    ),
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    place = tmp_path_factory.mktemp("pages")
    pools = [PoolSetting(mpid=mpid, name=f"p{mpid}", path=place / f"p{mpid}") for mpid in range(1, 10)]
    nics = [NicSetting(nicid=nicid, identifier=f"br{nicid}") for nicid in (3, 1, 7, 4, 2, 6)]
    loop = asyncio.new_event_loop()
    opened = world(place / "data", pools=pools, nics=nics, user_tasks=50, user_sessions=1000)
    w = loop.run_until_complete(opened.__aenter__())
    made = Shop(w, loop)
    try:
        made.run(furnish(made))
        yield made
    finally:
        loop.run_until_complete(opened.__aexit__(None, None, None))
        loop.close()


async def furnish(shop: Shop) -> None:
    w = shop.w
    shop.gid, shop.quiet = await w.group("shop"), await w.group("quiet")
    await w.user("bob", (shop.gid, "vm.view"))
    shop.bob = await w.uid("bob")
    await w.ok("PUT", "/m/pool/assign", gid=shop.gid, mpid=1, write=True, manage=True)
    shop.source = await w.medium("source", gid=shop.gid, size=512)
    (sid,) = [one["sid"] for one in (await w.ok("POST", "/u/session/list"))["sessions"] if one["current"]]
    shop.kept = frozenset({0, 1, shop.gid, shop.quiet, shop.bob, shop.source, sid})
    for subject in SUBJECTS.values():
        for _ in range(4 if subject.make else 0):
            assert subject.make is not None
            await subject.make(shop)


def elements(operation: Operation[Any, Any], answer: dict[str, Any]) -> list[tuple[Any, dict[str, Any]]]:
    """Of all its lists: id and element, in the order in which they stand."""
    return [
        (one[key], {name: value for name, value in one.items() if name not in VOLATILE})
        for field, key in operation.lists.items()
        for one in answer.get(field, ())
    ]


@pytest.mark.holds("API-13")
def test_what_can_be_a_long_list_has_pages() -> None:
    assert {one.name: set(one.lists) for one in PAGED} == {one.name: lists_of(one) for one in PAGED}
    assert {one.name for one in PAGED} == SUBJECTS.keys(), "and is tested below"
    assert SMALL.keys() <= {one.name for one in OPERATIONS if lists_of(one)}
    assert len(PAGED) >= 13


@pytest.mark.holds("API-13")
@by_name
def test_the_pages_together_are_the_whole_list(shop: Shop, operation: Operation[Any, Any]) -> None:
    whole = elements(operation, shop.run(shop.answer(operation)))
    assert len(whole) >= 4
    for limit in (1, 3, len(whole), 1000):
        found: list[tuple[Any, dict[str, Any]]] = []
        before = None
        while True:
            answer = shop.run(shop.answer(operation, limit=limit, before=before))
            page = elements(operation, answer)
            for field, key in operation.lists.items():
                ids = [one[key] for one in answer.get(field, ())]
                assert ids == sorted(ids, reverse=True), "the greatest id is first"
            assert all(before is None or one < before for one, _ in page)
            found += page
            if len(page) < limit:
                break
            assert len(page) == limit, "pages are full, but for the last"
            before = min(one for one, _ in page)
        assert dict(found) == dict(whole)
        assert len(found) == len(whole), "nothing comes twice"
    low, high = min(dict(whole)), max(dict(whole))
    assert elements(operation, shop.run(shop.answer(operation, before=low))) == []
    rest = elements(operation, shop.run(shop.answer(operation, before=high)))
    assert dict(rest).keys() == dict(whole).keys() - {high}


@pytest.mark.holds("API-16")
def test_a_page_asks_for_no_more_rights_than_it_takes_to_fill_it() -> None:
    asked: list[int] = []

    def shown(trid: int) -> bool:
        asked.append(trid)
        return trid % 2 == 1

    page = ListTrash(limit=100, before=9000).page(range(10_000), shown=shown)
    assert page == list(range(8999, 8800, -2))
    assert asked == list(range(8999, 8800, -1))


@pytest.mark.holds("API-14")
@by_name
def test_what_makes_no_page_is_refused_with_the_field_and_the_cure(shop: Shop, operation: Operation[Any, Any]) -> None:
    some = elements(operation, shop.run(shop.answer(operation)))[0][0]
    ids = {int: 7, "sid": "0123456789abcdef", "mid": str(uuid4())}
    own = int if isinstance(some, int) else "sid" if len(some) == 16 else "mid"
    foreign = ["no id", "", *(one for kind, one in ids.items() if kind != own)]
    wrong: list[tuple[str, Any, str]] = [
        ("limit", value, "1 to 1,000") for value in (0, -1, 1001, 2**70, "many", 1.5, True)
    ]
    wrong += [("before", value, "the id of the last one") for value in (*foreign, 2**63, [], {}, True)]
    for field, value, cure in wrong:
        body = SUBJECTS[operation.name].body(shop)
        answer = shop.run(shop.w.call("POST", operation.path, **body, **{field: value}))
        assert (answer.status, answer.code, answer.body.get("field")) == (400, 400, field), (value, answer)
        assert cure in answer["message"], value
    assert len(elements(operation, shop.run(shop.answer(operation, limit="2", before=None)))) == 2, "null is absent"


@pytest.mark.holds("API-13")
@by_name
def test_a_walk_has_what_stays_once_whatever_changes_meanwhile(
    shop: Shop, operation: Operation[Any, Any], request: pytest.FixtureRequest
) -> None:
    examples = WHOLE if request.config.getoption("--whole") else EXAMPLES
    step = st.tuples(st.booleans(), st.integers(0, 10**6))

    @settings(max_examples=examples, database=None)
    @given(st.integers(1, 4), st.lists(st.lists(step, min_size=1, max_size=2), max_size=3))
    def walk(limit: int, steps: list[list[tuple[bool, int]]]) -> None:
        shop.run(walked(shop, operation, limit, steps))

    walk()


async def walked(shop: Shop, operation: Operation[Any, Any], limit: int, steps: list[list[tuple[bool, int]]]) -> None:
    async def ids(**more: Any) -> list[Any]:
        return [one for one, _ in elements(operation, await shop.answer(operation, **more))]

    now = set(await ids(limit=1000))
    stayed, ever, seen = set(now), set(now), list[Any]()
    gaps = iter(steps)
    while True:
        page = await ids(limit=limit, before=min(seen) if seen else None)
        seen += page
        if len(page) < limit:
            break
        for makes, place in next(gaps, ()):
            await disturb(shop, operation, makes, sorted(now - shop.kept), place)
            now = set(await ids(limit=1000))
            stayed &= now
            ever |= now
    assert len(seen) == len(set(seen)), "nothing comes twice"
    assert stayed <= set(seen), "what was there all the time is left out nowhere"
    assert set(seen) <= ever


async def disturb(shop: Shop, operation: Operation[Any, Any], makes: bool, ids: list[Any], place: int) -> None:
    """Make one more, or remove the one in that place."""
    subject = SUBJECTS[operation.name]
    if subject.remove is not None and ids and (not makes or len(ids) > 8):
        method, path, field = subject.remove
        await shop.change(method, path, **{field: ids[place % len(ids)]}, **subject.more(shop))
    elif subject.make is not None and makes:
        await subject.make(shop)
