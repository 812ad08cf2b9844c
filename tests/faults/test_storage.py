"""Media under random faults of a pool: what the API says against what the pool holds.

The n-th call fails with an error of the operating system, hangs, comes late, or its answer is lost; the pool is away,
read-only or full; a commit fails, or its answer is lost; the server is killed at any point. What was answered is so,
what was refused has not happened, no byte is lost, nothing is left, and the other pool works all the while.
"""

from __future__ import annotations

import asyncio
import errno
import lzma
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, TypeVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule, run_state_machine_as_test

from tests.api.world import Answer, world
from tests.faults.clock import passed
from tests.faults.served import Served
from tests.patience import asked_until
from tests.store.lossy import Lossy
from velocity.config import PoolSetting
from velocity.storage.fake import FakeStorage, connect
from velocity.storage.fake.pools import AGAIN, CallLost, Fails, FakeContent, FakeHost, Fault, Hangs, Late
from velocity.storage.port import MediaRef

T = TypeVar("T")
LONG = 130.0
"""Seconds of the loop's own time in which everything has been tried again."""
ERRORS = [
    errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ENOENT, errno.EMFILE, errno.ENFILE, errno.ENOSPC,
    errno.EDQUOT, errno.ENAMETOOLONG,
]  # fmt: skip
FAULTS = [*map(Fails, ERRORS), Late(0.5), Late(100.0), CallLost(), CallLost(), Hangs()]
LITTLE, MUCH = 40_000, 1 << 40
UNPACKED = bytes(range(250)) * 30
Some = st.lists(st.tuples(st.integers(0, 12), st.sampled_from(FAULTS)), min_size=1, max_size=2)
Faults: st.SearchStrategy[list[tuple[int, Fault]]] = st.one_of(st.just([]), Some)
Commits = st.sampled_from(["", "", "", "undone", "made"])
"""What becomes of the next commit, if that is not well: its answer is lost, and it is made or is not."""
Number = st.integers(0, 10**6)
Ways = st.sampled_from(["create", "upload", "clone", "import", "delete", "purge", "restore", "empty"])


class Media(Served):
    @initialize()
    def begin(self) -> None:
        self.prepare()
        self.kept: dict[str, str] = {}
        """The media that are there: name -> mid."""
        self.trash: dict[str, str] = {}
        self.trids: dict[str, int] = {}
        """What the trash calls them."""
        self.bytes: dict[str, bytes] = {}
        """What each that ever was is to hold, by its name."""
        self.run(self.first())

    async def first(self) -> None:
        self.begin_hosts()
        await self.start()
        packed = lzma.compress(UNPACKED, preset=0)
        self.packed = (await self.w.upload(packed, x_velocity_name="packed", x_velocity_type="DISK"))["mid"]
        for way in ("create", "upload", "import"):
            _, name, asking = self.asked(way, 0)
            assert await asking
            await self.compare(name, way, (dict(self.kept), {}), True)

    def begin_hosts(self) -> None:
        self.host = FakeHost((1, "good"), (2, "usb"))
        self.usb = self.host.pools[2]

    async def start(self) -> None:
        pools = [PoolSetting(mpid=one.mpid, name=one.name, path=self.data / one.name) for one in
                 self.host.pools.values()]  # fmt: skip
        self.storage: FakeStorage = connect(self.host)
        self.opened = world(self.data, machines=self.loop.machines, storage=lambda _: self.storage, pools=pools)
        self.w = await self.opened.__aenter__()
        self.database = Lossy(self.w.server.database)

    # What is asked

    @rule(asks=st.lists(st.tuples(Ways, Number, Faults, Commits), min_size=1, max_size=4), well=st.integers(0, 3))
    def ask(self, asks: list[tuple[str, int, list[tuple[int, Fault]], str]], well: int) -> None:
        """Mostly of a pool that does well until then."""

        async def work() -> None:
            for way, one, faults, commit in asks:
                if well:
                    self.heal()
                for after, fault in faults:
                    self.usb.after(after, fault)
                before = dict(self.kept), dict(self.trash)
                what, name, asking = self.asked(way, one)
                self.database.lose(commit)
                done = await asking
                self.database.lose("")
                await self.database_answers()
                if done is None:  # it goes on
                    await asyncio.sleep(LONG)
                    await self.w.server.services.tasks.settle()
                self.counted["commits that fail" if commit == "undone" else "commits without an answer"] += bool(commit)
                self.counted[f"{what} {'unknown' if done is None else 'done' if done else 'refused'}"] += 1
                await self.compare(name, what, before, done)

        self.run(work())

    @rule(way=Ways, one=Number, turns=st.integers(0, 300), faults=Faults)
    def kill_the_server(self, way: str, one: int, turns: int, faults: list[tuple[int, Fault]]) -> None:
        """So many turns of its loop after a request came in."""

        async def work() -> None:
            for after, fault in faults:
                self.usb.after(after, fault)
            before = dict(self.kept), dict(self.trash)
            what, name, asking = self.asked(way, one)
            doing = asyncio.ensure_future(asking)
            await passed(turns + 1)
            await self.kill()
            doing.cancel()
            self.usb.wake()
            await self.start()
            await self.compare(name, what, before, None)

        self.counted["kills"] += 1
        self.run(work())

    def asked(self, way: str, one: int) -> tuple[str, str, Coroutine[Any, Any, bool | None]]:
        """What is asked, the medium that it is about, and the request, which gives whether it was done."""
        there = {"delete": self.kept, "purge": self.kept, "restore": self.trash, "empty": self.trash}.get(way)
        if way == "clone":
            there = self.kept
        if there is not None and not there:
            way = "upload"
        if way in ("create", "upload", "clone", "import"):
            self.number += 1
            name = f"medium {self.number}"
            return way, name, self.making(way, name, one)
        assert there is not None
        name = sorted(there)[one % len(there)]
        mid = there[name]
        if way in ("delete", "purge"):
            return way, name, self.done(self.w.call("DELETE", "/m/media", mid=mid, purge=way == "purge"))
        verb = "PUT" if way == "restore" else "DELETE"
        return way, name, self.done(self.w.call(verb, "/t/trash", trid=self.trids[name]))

    def making(self, way: str, name: str, one: int) -> Coroutine[Any, Any, bool | None]:
        into = {"gid": 0, "mpid": 2, "name": name}
        if way == "create":
            self.bytes[name] = bytes(10_000)
            return self.done(self.w.call("PUT", "/m/media/create", **into, size=10_000))
        if way == "upload":
            self.bytes[name] = name.encode() * 500
            sent = {"x_velocity_mpid": "2", "x_velocity_name": name, "x_velocity_type": "DISK"}
            return self.done(self.w.upload(self.bytes[name], **sent))
        if way == "import":
            self.bytes[name] = UNPACKED
            return self.task(self.w.call("PUT", "/m/media/import", mid=self.packed, **into))
        source = sorted(self.kept)[one % len(self.kept)]
        self.bytes[name] = self.bytes[source]
        return self.task(self.w.call("PUT", "/m/media/clone", mid=self.kept[source], **into))

    async def database_answers(self) -> None:
        """What became of a commit is found out in a thread, which knows no other time than the host's."""
        while self.w.server.services.outcome.unknown:
            await asyncio.to_thread(time.sleep, 0.002)

    async def done(self, asking: Coroutine[Any, Any, Answer]) -> bool | None:
        """None: what became of it is told to be unknown."""
        answer = await asking
        assert answer.status in (200, 406, 503), answer
        assert answer.status == 200 or len(answer["message"]) > 10
        return None if answer.body.get("outcome") == "unknown" else answer.status == 200

    async def task(self, asking: Coroutine[Any, Any, Answer]) -> bool | None:
        answer = await asking
        if not (begun := await self.done(_given(answer))):
            return begun
        task = await asked_until(
            lambda: self.w.ok("POST", "/t/task", tid=answer["tid"]), lambda now: now["state"] != "RUNNING", every=2
        )
        assert "internal error" not in task.body.get("message", ""), task
        return bool(task["state"] == "DONE")

    async def compare(
        self, name: str, way: str, before: tuple[dict[str, str], dict[str, str]], done: bool | None
    ) -> None:
        """What was answered is so, what was refused is not (None: nobody knows); of others, only trash makes room."""
        media = (await self.w.ok("POST", "/m/media/list", gid=0))["media"]
        kept = {one["name"]: one["mid"] for one in media if one["mpid"] == 2}
        self.trids = {one["name"]: one["trid"] for one in (await self.w.ok("POST", "/t/trash/list"))["items"]}
        known = {**before[0], **before[1], **kept}
        self.kept, self.trash = kept, {one: known[one] for one in self.trids}
        for mine, then in ((kept, before[0]), (self.trash, before[1])):
            assert set(mine) - {name} <= set(then) - {name}, "nothing comes by itself"
        assert set(kept) - {name} == set(before[0]) - {name}, "no medium is lost"
        if self.usb.capacity == MUCH:
            assert set(self.trash) - {name} == set(before[1]) - {name}, "nor what was deleted"
        was = "kept" if name in before[0] else "trash" if name in before[1] else "nowhere"
        now = "kept" if name in kept else "trash" if name in self.trash else "nowhere"
        if done is False:
            assert now == was or (was == "trash" and self.usb.capacity != MUCH), f"{way} was refused, and is {now}"
        elif done:
            wanted = {"delete": "trash", "purge": "nowhere", "empty": "nowhere"}.get(way, "kept")
            if was == now == "nowhere":
                wanted = "nowhere"
            assert now == wanted or ((wanted, now) == ("trash", "nowhere") and self.usb.capacity != MUCH), (way, now)

    # Faults

    @rule(state=st.sampled_from(["online", "online", "awake", "away", "readonly"]))
    def pool(self, state: Any) -> None:
        self.usb.wake()
        if state != "awake":
            self.usb.state = state

    @rule(capacity=st.sampled_from([LITTLE, MUCH, MUCH]))
    def disk(self, capacity: int) -> None:
        self.usb.capacity = capacity

    @rule(seconds=st.sampled_from([0.5, 6.0, 100.0]))
    def wait(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    def heal(self) -> None:
        self.usb.faults.clear()
        self.usb.state = "online"
        self.usb.wake()

    async def kill(self) -> None:
        self.storage.line.cut = True
        await super().kill()

    # What must hold

    @rule()
    def the_other_pool_works(self) -> None:
        async def work() -> None:
            mid = await self.w.medium("other")
            assert (await self.w.ok("POST", "/m/pool/list", gid=0))["pools"][0]["state"] == "online"
            await self.w.ok("DELETE", "/m/media", mid=mid, purge=True)

        self.run(work())
        self.counted["other pool"] += 1

    @rule(one=Number)
    def all_is_well_again(self, one: int) -> None:
        if one % 3 == 0:
            self.run(self.calm())

    async def calm(self) -> None:
        """Nothing fails any more: then, without a restart, the pool holds what the API shows, and nothing else."""
        self.counted["calms"] += 1
        self.usb.capacity = MUCH
        self.heal()
        await asyncio.sleep(LONG)
        (_, pool) = (await self.w.ok("POST", "/m/pool/list", gid=0))["pools"]
        assert pool["state"] == "online", pool
        await asyncio.sleep(2 * AGAIN)
        assert self.usb.left == {}, "what was to be settled is"
        assert self.usb.moving == {}, "nothing is left of what was not"
        for shown, held in ((self.kept, self.usb.kept), (self.trash, self.usb.trash)):
            assert {name: held_bytes(held, mid) for name, mid in shown.items()} == {
                name: self.bytes[name] for name in shown
            }, "no byte is lost"
            assert len(held) == len(shown), "and nothing is left"
        for name, mid in self.kept.items():
            headers = {"authorization": f"Bearer {self.w.key}"}
            answer = await self.w.http.get(f"http://velocity/m/media/content/{mid}", headers=headers)
            assert (answer.status_code, answer.content) == (200, self.bytes[name])
        used = (await self.w.ok("POST", "/m/pool/list", gid=0))["pools"][1]["used"]
        assert used == sum(len(self.bytes[name]) for name in self.kept), "quotas count what is there"
        self.counted["media compared"] += len(self.kept) + len(self.trash)


def held_bytes(held: dict[MediaRef, FakeContent], mid: str) -> bytes | None:
    found = held.get(MediaRef(2, UUID(mid), "raw"))
    return None if found is None else found.read(0, found.size)


async def _given(answer: Answer) -> Answer:
    return answer


@pytest.mark.holds("DUR-52")
@pytest.mark.long
@pytest.mark.whole
def test_media_under_faults_of_their_pool(say: Callable[[str], None], whole: bool) -> None:
    class Chosen(Media):
        counted: ClassVar[Counter[str]] = Counter()

    chosen = settings(
        stateful_step_count=30, max_examples=400 if whole else 12, deadline=None, derandomize=not whole, database=None,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate],
    )  # fmt: skip
    run_state_machine_as_test(Chosen, settings=chosen)
    say(f"media under faults of their pool: {dict(sorted(Chosen.counted.items()))}, nothing lost")
    assert Chosen.counted["kills"] >= 10
    assert Chosen.counted["media compared"] >= 40
