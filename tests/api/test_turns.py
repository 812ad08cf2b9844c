"""One user asks for much at once: those who ask for little come between, and nobody's order changes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from tests.api.world import World
from tests.patience import PATIENCE
from velocity.api.turns import ALONE, RECENT, SHARE, Turns

pytestmark = pytest.mark.anyio

GREEDY, OTHER = 1, 2


class Work:
    """Requests that take so many seconds of the loop each, on a clock of their own."""

    def __init__(self) -> None:
        self.now = 0.0
        self.turns = Turns(lambda: self.now)
        self.done: list[tuple[int, int]] = []
        self.steps: list[int] = []
        """How many were done in each step of the loop."""

    async def one(self, who: int, number: int, seconds: float) -> None:
        await self.turns.take(who)
        self.now += seconds
        self.done.append((who, number))

    async def all(self, *work: Awaitable[None]) -> None:
        task = asyncio.gather(*work)
        before = 0
        async with asyncio.timeout(PATIENCE):
            while not task.done():
                await asyncio.sleep(0)
                if len(self.done) > before:
                    self.steps.append(len(self.done) - before)
                before = len(self.done)
        await task


@pytest.mark.holds("BOUND-20")
async def test_what_takes_long_is_begun_once_a_step_and_others_come_between() -> None:
    work = Work()
    await work.all(*(work.one(GREEDY, number, 10 * SHARE) for number in range(20)), work.one(OTHER, 0, SHARE / 10))
    assert work.done.index((OTHER, 0)) == 1, "in the first step, although it came last"
    assert work.steps == [2] + [1] * 19
    assert [number for who, number in work.done if who == GREEDY] == list(range(20))


async def test_what_takes_little_is_not_held_up() -> None:
    work = Work()
    await work.all(*(work.one(GREEDY, number, SHARE / 20) for number in range(100)))
    assert len(work.steps) <= 7
    assert [number for _, number in work.done] == list(range(100))


@pytest.mark.holds("BOUND-34")
async def test_who_is_alone_has_longer_steps_until_somebody_else_asks() -> None:
    """As each step costs something. What a step holds follows from what requests took in those before."""
    work, seconds = Work(), SHARE / 2
    await work.one(GREEDY, 0, seconds)
    work.now += 2 * RECENT
    for _ in range(20):
        await work.one(GREEDY, 0, seconds)
        await asyncio.sleep(0)
    for expected in (ALONE, SHARE):
        work.steps.clear()
        work.done.clear()
        await work.all(*(work.one(GREEDY, number, seconds) for number in range(60)))
        assert max(work.steps) <= expected / seconds + 1
        assert len(work.steps) <= 60 / (expected / seconds) + 5
        await work.one(OTHER, 0, 0)


async def test_two_who_ask_for_much_take_turns() -> None:
    work = Work()
    many = range(10)
    await work.all(*(work.one(who, number, 10 * SHARE) for who in (GREEDY, OTHER) for number in many))
    assert [sorted(work.done[at : at + 2]) for at in range(0, 20, 2)] == [
        [(GREEDY, number), (OTHER, number)] for number in many
    ]


async def test_who_goes_while_waiting_takes_no_turn() -> None:
    work = Work()
    tasks = [asyncio.create_task(work.one(GREEDY, number, 10 * SHARE)) for number in range(4)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*tasks, return_exceptions=True)
    assert [number for _, number in work.done] == [0, 2, 3]
    await work.one(GREEDY, 4, 0)


async def test_one_that_fails_to_begin_takes_nobodys_turn_with_it() -> None:
    """Its connection has broken just now; without a next step all others would wait for ever."""
    work, told = Work(), list[object]()

    def fails() -> bool:
        raise RuntimeError("the handle is closed")

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: told.append(context["exception"]))
    assert work.turns.begins(GREEDY)
    work.turns.wait(GREEDY, fails)
    await work.all(*(work.one(who, 0, 10 * SHARE) for who in (GREEDY, OTHER)))
    assert sorted(work.done) == [(GREEDY, 0), (OTHER, 0)]
    assert [str(one) for one in told] == ["the handle is closed"]


@pytest.mark.holds("BOUND-20")
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v/vm/list"),
        ("GET", "/v/vm/screen?vmid=1"),
        ("POST", "/m/media/tus"),
        ("GET", "/m/media/content/x"),
        ("GET", "/x"),
    ],
)
async def test_a_users_many_requests_let_another_users_come_between(w: World, method: str, path: str) -> None:
    """Whatever they ask for, also where it is refused."""
    key = await w.user("greedy", (0, "vm.view"))
    turns = w.server.services.turns
    now = turns.clock()

    def slow() -> float:  # each look at the clock is a request that took long
        nonlocal now
        now += 10 * SHARE
        return now

    turns.clock = slow
    done: list[str] = []

    async def ask(name: str, key: str) -> None:
        await w.http.request(
            method, f"http://velocity{path}", headers={"authorization": f"Bearer {key}"}, content=b'{"gid": 0}'
        )
        done.append(name)

    await asyncio.gather(*(ask("greedy", key) for _ in range(32)), ask("other", w.key))
    assert done.index("other") <= 4
    assert len(done) == 33
