"""Groups, users, VMs, media and the trash, two requests at a time, amid faults of a pool, of the hypervisor and of the
database, tasks that are cancelled, and kills of the server.

No request meets an internal error; what quotas count is what is there; and once nothing fails any more, nothing is
under way, the pools and the hypervisor hold what the API shows, and a restart shows the same.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule, run_state_machine_as_test

from tests.api.world import PASSWORD, world
from tests.api.world import Answer as Said
from tests.faults.clock import passed
from tests.faults.served import Served
from tests.faults.test_lives import SHOWN, Line, Number, pick
from tests.faults.test_pairs import shown
from tests.faults.test_storage import LONG, Commits, Faults
from tests.store.lossy import Lossy
from velocity.config import PoolSetting
from velocity.hypervisor.fake import Answer, FakeHypervisor
from velocity.storage.fake import FakeStorage, connect
from velocity.storage.fake.pools import FakeHost, Fault
from velocity.storage.port import MediaFiles

MIB = 1 << 20
INTERNAL = 500
"""The code of what nobody foresaw."""
Body = dict[str, Any]
Asked = tuple[str, str, Body]
Answers = st.one_of(st.just([]), st.lists(st.sampled_from([None, None, *Answer]), max_size=3))


class Seen:
    """What is there before a request: ids to choose from."""

    def __init__(
        self, groups: list[int], vms: list[Body], media: list[Body], trash: list[int], users: list[int]
    ) -> None:
        self.groups, self.vms, self.media, self.trash, self.users = groups, vms, media, trash, users


def some(of: list[Any], number: int) -> Any:
    """One that there is; else one that there is not."""
    return pick(of, number) if of else {"vmid": 10**6, "mid": str(UUID(int=1)), "gid": 10**6, "media": []}


def name(number: int) -> str:
    """One of few, so that they are taken sometimes."""
    return f"name {number % 5}"


def disks(seen: Seen, number: int) -> list[Body]:
    own = [one["mid"] for one in seen.media]
    return [{"mid": mid, "mode": "VIRTIO"} for place, mid in enumerate(own[:4]) if number >> place & 1]


ASKS: dict[str, Callable[[Seen, int], Asked]] = {
    "group": lambda s, n: ("PUT", "/u/group", {"name": name(n), "parent_gid": pick(s.groups, n)}),
    "delete group": lambda s, n: (
        "DELETE", "/u/group", {"gid": pick(s.groups, n), "force": n % 3 > 0, "purge": n % 2 > 0}
    ),
    "quota": lambda s, n: ("PUT", "/u/group/quota", {"gid": pick(s.groups, n), "cpus": n % 30, "vms": 20}),
    "user": lambda s, n: ("PUT", "/u/user", {"name": name(n), "password": PASSWORD, "gid": pick(s.groups, n)}),
    "delete user": lambda s, n: ("DELETE", "/u/user", {"uid": pick(s.users, n)}),
    "grant": lambda s, n: (
        "PUT", "/u/user/permission",
        {"uid": pick(s.users, n), "gid": pick(s.groups, n), "permission": "velocity.vm.view"},
    ),
    "assign": lambda s, n: (
        "PUT", "/m/pool/assign",
        {"gid": pick(s.groups, n), "mpid": 2, "write": True, "manage": True, "quota": n % 9 * 10 * MIB},
    ),
    "vm": lambda s, n: (
        "PUT", "/v/vm/efi",
        {"name": name(n), "gid": pick(s.groups, n), "cpus": 1 + n % 3, "memory_mib": 64, "media": disks(s, n)},
    ),
    "alter vm": lambda s, n: (
        "PATCH", "/v/vm",
        {"vmid": some(s.vms, n)["vmid"], "name": name(n), "cpus": 1 + n % 4, "media": disks(s, n // 7)},
    ),
    "run": lambda s, n: ("PUT", "/v/vm/state", {"vmid": some(s.vms, n)["vmid"], "state": "RUNNING"}),
    "pause": lambda s, n: ("PUT", "/v/vm/state", {"vmid": some(s.vms, n)["vmid"], "state": "PAUSED"}),
    "kill": lambda s, n: ("PUT", "/v/vm/state", {"vmid": some(s.vms, n)["vmid"], "state": "STOPPED", "force": True}),
    "restart": lambda s, n: ("PUT", "/v/vm/restart", {"vmid": some(s.vms, n)["vmid"], "force": True}),
    "choose boot": lambda s, n: ("PUT", "/v/vm/boot", {"vmid": some(s.vms, n)["vmid"], "firmware_setup": n % 2 > 0}),
    "delete vm": lambda s, n: (
        "DELETE", "/v/vm", {"vmid": some(s.vms, n)["vmid"], "disks": n % 3 > 0, "purge": n % 2 > 0}
    ),
    "move vm": lambda s, n: (
        "PUT", "/v/vm/move", {"vmid": some(s.vms, n)["vmid"], "gid": pick(s.groups, n // 3), "disks": n % 2 > 0}
    ),
    "clone vm": lambda s, n: (
        "PUT", "/v/vm/clone", {"vmid": some(s.vms, n)["vmid"], "gid": pick(s.groups, n // 3), "name": name(n)}
    ),
    "medium": lambda s, n: (
        "PUT", "/m/media/create", {"mpid": 1 + n % 2, "gid": pick(s.groups, n), "name": name(n), "size": MIB}
    ),
    "delete medium": lambda s, n: ("DELETE", "/m/media", {"mid": some(s.media, n)["mid"], "purge": n % 2 > 0}),
    "grow": lambda s, n: (
        "PATCH", "/m/media", {"mid": some(s.media, n)["mid"], "size": (1 + n % 4) * MIB, "name": name(n)}
    ),
    "move medium": lambda s, n: ("PUT", "/m/media/move", {"mid": some(s.media, n)["mid"], "gid": pick(s.groups, n)}),
    "to a pool": lambda s, n: ("PUT", "/m/media/move", {"mid": some(s.media, n)["mid"], "mpid": 1 + n % 2}),
    "compact": lambda s, n: ("PUT", "/m/media/convert", {"mid": some(s.media, n)["mid"], "format": "raw"}),
    "clone medium": lambda s, n: (
        "PUT", "/m/media/clone",
        {"mid": some(s.media, n)["mid"], "gid": pick(s.groups, n // 3), "mpid": 1 + n % 2, "name": name(n)},
    ),
    "restore": lambda s, n: ("PUT", "/t/trash", {"trid": pick(s.trash or [10**6], n)}),
    "purge": lambda s, n: ("DELETE", "/t/trash", {"trid": pick(s.trash or [10**6], n)}),
    "empty": lambda s, n: ("DELETE", "/t/trash/all", {}),
}  # fmt: skip
Ask = st.tuples(st.sampled_from(sorted(ASKS)), Number)


class Books(Served):
    """`fake` and `host` outlive the server."""

    @initialize()
    def begin(self) -> None:
        self.prepare()
        self.fake = FakeHypervisor()
        self.host = FakeHost((1, "good"), (2, "usb"))
        self.usb = self.host.pools[2]
        self.run(self.first())

    async def first(self) -> None:
        await self.start()
        for number in range(2):
            gid = await self.w.group(f"team {number}")
            for mpid in (1, 2):
                await self.w.ok("PUT", "/m/pool/assign", gid=gid, mpid=mpid, write=True, manage=True, quota=40 * MIB)
            mids = [await self.w.medium(name(place), gid=gid, mpid=2) for place in range(2)]
            vmid = await self.w.vm(name(0), gid, media=[{"mid": mids[0], "mode": "VIRTIO"}])
            if number:
                await self.w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
            await self.w.ok("DELETE", "/v/vm", vmid=await self.w.vm("gone", gid))
            await self.w.ok("DELETE", "/m/media", mid=mids[1])

    async def start(self) -> None:
        pools = [PoolSetting(mpid=one.mpid, name=one.name, path=self.data / one.name) for one in
                 self.host.pools.values()]  # fmt: skip
        self.storage: FakeStorage = connect(self.host)
        self.line = Line(self.fake)

        async def driver(media: MediaFiles) -> Any:
            return self.line

        self.opened = world(
            self.data,
            self.fake,
            machines=self.loop.machines,
            driver=driver,
            storage=lambda _: self.storage,
            pools=pools,
        )
        self.w = await self.opened.__aenter__()
        self.database = Lossy(self.w.server.database)

    async def seen(self) -> Seen:
        groups = [one["gid"] for one in (await self.w.ok("POST", "/u/group/list"))["groups"] if one["gid"]]
        vms: list[Body] = []
        media: list[Body] = []
        for gid in groups:
            vms += (await self.w.ok("POST", "/v/vm/list", gid=gid))["vms"]
            media += (await self.w.ok("POST", "/m/media/list", gid=gid))["media"]
        trash = [one["trid"] for one in (await self.w.ok("POST", "/t/trash/list"))["items"]]
        users = [one["uid"] for one in (await self.w.ok("POST", "/u/user/list"))["users"]]
        return Seen(groups or [0], vms, media, trash, users)

    # What is asked

    @rule(
        one=Ask, two=Ask, turns=st.integers(0, 60), faults=Faults, answers=Answers, commit=Commits,
        cancel=st.one_of(st.none(), st.integers(0, 60)), kill=st.sampled_from([*[None] * 9, 5, 60, 150]),
    )  # fmt: skip
    def ask(
        self, one: tuple[str, int], two: tuple[str, int], turns: int, faults: list[tuple[int, Fault]],
        answers: list[Answer | None], commit: str, cancel: int | None, kill: int | None,
    ) -> None:  # fmt: skip
        """The second one so many turns of the loop after the first; what follows them comes so many turns later."""

        async def work() -> None:
            seen = await self.seen()
            for after, fault in faults:
                self.usb.after(after, fault)
            self.fake.faults.answers.extend(answers)
            self.database.lose("" if kill else commit)
            begun = [asyncio.ensure_future(self.asked(seen, *one))]
            await passed(turns)
            begun.append(asyncio.ensure_future(self.asked(seen, *two)))
            if kill is not None:
                await self.killed(begun, kill)
            elif "tid" in (said := await begun[1]).body and cancel is not None:
                await passed(cancel)
                twice = [self.w.call("DELETE", "/t/task", tid=said["tid"]) for _ in range(2)]
                assert {each.status for each in await asyncio.gather(*twice)} <= {200, 404, 503}
                self.counted["cancelled"] += 1
            await asyncio.gather(*begun, return_exceptions=kill is not None)
            await self.calm_down(LONG if faults or answers or commit else 1.0)
            await self.balance()

        self.run(work())

    async def killed(self, begun: list[asyncio.Task[Said]], turns: int) -> None:
        """The server, so many turns of its loop later; and started again."""
        self.counted["kills"] += 1
        await passed(turns)
        await self.kill()
        for one in begun:
            one.cancel()
        self.usb.wake()
        await self.start()

    async def asked(self, seen: Seen, way: str, number: int) -> Said:
        method, path, body = ASKS[way](seen, number)
        answer = await self.w.call(method, path, **body)
        assert answer.body.get("code") != INTERNAL, (way, answer)
        self.counted[f"{way} {'done' if answer.status == 200 else 'refused'}"] += 1
        return answer

    async def kill(self) -> None:
        self.storage.line.cut = self.line.cut = True
        await super().kill()
        await self.fake.machines.close()

    # What must hold

    async def calm_down(self, seconds: float = LONG) -> None:
        """Nothing fails any more, and what was begun ends within so many seconds of the loop's own."""
        self.database.lose("")
        for pool in self.host.pools.values():
            pool.faults.clear()
            pool.wake()
        self.fake.faults.answers.clear()
        for uuid in list(self.fake.runs):
            self.fake.let_go(uuid)
        while (
            self.w.server.services.outcome.unknown
        ):  # a thread finds it out, which knows no other time than the host's
            await asyncio.to_thread(time.sleep, 0.002)
        await asyncio.sleep(seconds)
        await self.w.server.settle()

    async def balance(self) -> None:
        """What quotas count is what is there."""
        groups = {one["gid"]: one["parent_gid"] for one in (await self.w.ok("POST", "/u/group/list"))["groups"]}
        vms, used = Counter[int](), Counter[tuple[int, int]]()
        for gid in groups:
            line = [gid]
            while line[-1]:
                line.append(groups[line[-1]])
            own = (await self.w.ok("POST", "/v/vm/list", gid=gid))["vms"]
            media = (await self.w.ok("POST", "/m/media/list", gid=gid))["media"]
            for above in line:
                vms[above] += len(own)
                for one in media:
                    used[above, one["mpid"]] += one["size"]
        for gid in groups:
            assert (await self.w.ok("POST", "/u/group/quota", gid=gid))["usage"]["vms"] == vms[gid], gid
            for pool in (await self.w.ok("POST", "/m/pool/list", gid=gid))["pools"]:
                assert pool["used"] == used[gid, pool["mpid"]], (gid, pool)

    async def calm(self) -> None:
        await self.calm_down()
        await self.balance()
        await self.holds()
        before = await shown(self.w)
        await self.opened.__aexit__(None, None, None)
        await self.start()
        await self.calm_down()
        await self.holds()
        assert await shown(self.w) == before, "a restart shows the same"
        self.counted["books compared"] += 1

    async def holds(self) -> None:
        """The pools and the hypervisor hold what is shown, and nothing else."""
        services = self.w.server.services
        for pool in self.host.pools.values():
            kept = {one.ref for one in services.library.all() if one.mpid == pool.mpid}
            assert (set(pool.kept), pool.moving, pool.left) == (kept, {}, {}), pool.name
        lying = {one.mpid: [str(ref.medium) for ref in one.trash] for one in self.host.pools.values()}
        assert sum(map(len, lying.values())) == await self.in_the_trash()
        states = {one.machine.uuid: one.state.value for one in services.fleet.all()}
        runs = {uuid: SHOWN[run.fact] for uuid, run in self.fake.runs.items()}
        assert runs == {uuid: state for uuid, state in states.items() if state != "STOPPED"}
        assert all(one.state.value != "RUNNING" for one in services.tasks.all())

    async def in_the_trash(self) -> int:
        """How many media."""
        items = [await self.contents(trid) for trid in (await self.seen()).trash]
        return sum(items)

    async def contents(self, trid: int) -> int:
        plan = await self.w.ok("DELETE", "/t/trash", trid=trid, plan=True)
        return sum(one["kind"] == "medium" for one in plan["steps"])


@pytest.mark.holds("TEAM-27")
@pytest.mark.long
@pytest.mark.whole
def test_what_quotas_count_is_what_is_there_and_a_restart_shows_the_same(
    say: Callable[[str], None], whole: bool
) -> None:
    class Chosen(Books):
        counted: ClassVar[Counter[str]] = Counter()

    chosen = settings(
        stateful_step_count=25, max_examples=300 if whole else 6, deadline=None, derandomize=not whole, database=None,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate],
    )  # fmt: skip
    run_state_machine_as_test(Chosen, settings=chosen)
    say(f"books amid faults: {dict(sorted(Chosen.counted.items()))}, all balanced")
    assert Chosen.counted["kills"] >= 5
    assert Chosen.counted["books compared"] >= 5
